"""Event handlers, one module per watched kind: which Spaces and Apps depend on a change. ``kinds.py`` names them."""
