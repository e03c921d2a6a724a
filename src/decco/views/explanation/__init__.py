"""The statements of ``decco explain`` about a host name, Space or App: explain.py combines the other modules."""
