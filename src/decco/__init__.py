"""decco: one shared Kubernetes cluster for many customers' Internet-facing services."""

__version__ = "0.1.0"
