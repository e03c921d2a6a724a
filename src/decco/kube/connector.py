"""The pool of connections to the API server: the one used last is used first, so that those of a peak are closed."""

from __future__ import annotations

from typing import Any

from decco.kube.default_tls import aiohttp


class LastUsedFirst(aiohttp.TCPConnector):
    """aiohttp takes the connection that has been idle for longest. A request every two seconds, such as a Lease's
    renewal, then uses thirty connections in turn, and none of them is ever idle for a minute.
    """

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        idle = self._conns.get(key)
        if idle and idle[-1][0] is protocol:
            idle.rotate(1)
