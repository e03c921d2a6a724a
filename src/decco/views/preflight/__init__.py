"""Is a cluster fit for decco, and decco for the cluster: each check is a function that reads, and says one thing."""
