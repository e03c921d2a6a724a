"""Imports aiohttp without what decco does not need of it at the start.

* The certificate authorities of the system, until a connection needs them: aiohttp 3.13 creates its default TLS context
  at import and reads all of them for it, 0.84 MB of the resident memory after the imports (53.8 to 52.9 MB) and 70 ms
  of CPU. The connection to the API server has a context of its own; only Cloud DNS, and an etcd with a public
  certificate, use this one.
* The C++ library: only frozenlist's extension needs it, 1.1 MB. aiohttp has its lists of signals from frozenlist, and
  decco has no signals; frozenlist's own pure Python does as well.
"""

from __future__ import annotations

import os
import ssl
from typing import Any, Final

__all__ = ["OnDemand", "aiohttp"]

_create_default_context: Final = ssl.create_default_context


class OnDemand(ssl.SSLContext):
    """A default context that reads the authorities at its first connection. Verification is required from the start."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        self._read()
        return super().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        self._read()
        return super().wrap_socket(*args, **kwargs)

    def _read(self) -> None:
        if not getattr(self, "_complete", False):
            self.load_default_certs(ssl.Purpose.SERVER_AUTH)
            self._complete = True


def _on_demand(*args: Any, **kwargs: Any) -> ssl.SSLContext:
    """What a caller with arguments asks for is created at once."""
    return _create_default_context(*args, **kwargs) if args or kwargs else OnDemand(ssl.PROTOCOL_TLS_CLIENT)


_PURE_PYTHON: Final = "FROZENLIST_NO_EXTENSIONS"

_chosen = os.environ.get(_PURE_PYTHON)
os.environ[_PURE_PYTHON] = _chosen or "1"
ssl.create_default_context = _on_demand
try:
    import aiohttp
finally:
    ssl.create_default_context = _create_default_context
    # Programs that decco starts get the environment that it was started with.
    del os.environ[_PURE_PYTHON]
    if _chosen is not None:
        os.environ[_PURE_PYTHON] = _chosen
