"""Implementations of the commands, imported on demand because they need most of decco."""
