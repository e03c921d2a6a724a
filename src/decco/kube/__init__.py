"""A small Kubernetes client and controller runtime; knows nothing of Space or App."""
