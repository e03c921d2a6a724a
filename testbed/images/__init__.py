"""Images for the testbed's node, written as OCI archives without any container engine or registry.

``catalog`` is the entry: one function an image, which gives its name and its archive. ``oci`` writes archives,
``shelf`` keeps them in the cache under a hash of all that is in them, the other modules say what is in which image.
"""
