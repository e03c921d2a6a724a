"""Converts objects of the first decco (github.com/platform9/decco) to Spaces and Apps; ``decco import``."""
