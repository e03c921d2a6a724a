"""Preflight checks of a cluster and of the controller in it: each check is a function that only reads."""
