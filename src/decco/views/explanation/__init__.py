"""What ``decco explain`` says of a host name, Space or App: ``explain`` tells it, each other file one part of it."""
