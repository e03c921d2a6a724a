"""The commands: argument parsing and output only."""
