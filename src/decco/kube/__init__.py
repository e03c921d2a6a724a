"""A small Kubernetes client and controller runtime; independent of Space and App."""
