"""Returns memory that was freed to the system, which the C library by itself keeps between what is still in use."""

from __future__ import annotations

import ctypes


def trim() -> None:
    """To be called when the caches are full: parsed lists and handshakes have left 0.3 MB without Apps. Does nothing
    with a C library that has no ``malloc_trim``, such as musl.
    """
    trim_heap = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim_heap is not None:
        trim_heap(0)
