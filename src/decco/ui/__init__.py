"""``decco ui``: what ``explain`` and ``graph`` find, as a page on loopback that follows the cluster."""
