"""The findings of ``decco explain`` about a host name, Space or App."""
