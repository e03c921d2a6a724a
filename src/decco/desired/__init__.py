"""Desired state, pure: frozen inputs in, objects and conditions out. No I/O, no clock, no cache."""
