"""Images for the testbed's node, as archives that containerd imports without a registry.

``catalog`` is the entry: one function an image, which gives its name and its archive. ``built`` builds our Dockerfiles
by a real engine; ``oci`` writes the archives of the other images without any. ``shelf`` keeps all in the cache under a
hash of what is in them.
"""
