"""Read-only views: simulated writes, ownership of names, connectivity, and preflight checks."""
