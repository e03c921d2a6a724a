"""A cluster's address and decco's credentials for it, renewed in time.

A ``Source`` loads them (see ``config.py``); this file decides when to load again: shortly before credentials expire, at
intervals if they are in files, and when the API server has refused them, once for all requests that it refused.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from dataclasses import dataclass, field
from typing import Final, Protocol

from decco.errors import ConfigError
from decco.frozen import frozen
from decco.kube.clock import boot_time
from decco.log import get_logger

log = get_logger(__name__)

RETRY_SECONDS: Final = 10.0
"""After a renewal that failed, the old credentials are used for this long before the next try."""
MIN_REFRESH_SECONDS: Final = 5.0
"""Renewals that answers of 401 cause are at least this far apart, so a plugin is not run for every request."""


@frozen
class Access:
    """What a source loads of the cluster at one moment; ``ssl`` is True for plain http, ``lasts`` in seconds, inf if
    nothing in it can change.
    """

    server: str
    ssl: ssl.SSLContext | bool
    proxy: str | None
    server_hostname: str | None
    authorization: str | None
    lasts: float
    namespace: str = ""
    """That of the kubeconfig's context; "" if it names none."""


class Source(Protocol):
    """Where access to a cluster comes from; ``load`` may be called again at any time and returns the current state.

    ``rejected``: the server has refused the credentials of the last load, so a cached copy must not be returned.
    """

    def describe(self) -> str: ...

    async def load(self, *, rejected: bool = False) -> Access: ...


@dataclass
class Connection:
    """Everything a client needs to open connections and to authenticate.

    ``server`` is a URL without a trailing slash, with a path if the API server is behind one; ``ssl`` a context, or
    True for plain http; ``server_hostname`` the name the server's certificate must show where it is not the URL's;
    ``generation`` grows with each change of the credentials. Without ``source`` nothing is ever renewed.
    """

    server: str
    ssl: ssl.SSLContext | bool = True
    proxy: str | None = None
    server_hostname: str | None = None
    source: Source | None = None
    generation: int = 0
    namespace: str = ""
    """Where the user works, as for kubectl; "" if that is not known."""
    _authorization: str | None = field(default=None, repr=False)
    _due_at: float = math.inf
    """On a clock that counts suspended time, in which credentials expire too."""
    _reloads: int = 0
    _rejected_at: float = -math.inf
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @classmethod
    def of(cls, source: Source, access: Access) -> Connection:
        """The connection that a source's first load describes."""
        connection = cls(access.server, proxy=access.proxy, server_hostname=access.server_hostname, source=source)
        connection.namespace = access.namespace
        connection.take(access)
        return connection

    @property
    def due(self) -> bool:
        """Whether ``headers`` would read the credentials again first."""
        return boot_time() >= self._due_at

    async def headers(self) -> dict[str, str]:
        """The headers with the credentials, renewed first if that is due.

        A renewal that fails is logged and tried again soon: until the server answers 401, the old ones may still be
        valid.
        """
        if self.due:
            try:
                await self._reload(rejected=False)
            except ConfigError as error:
                log.warning("credentials cannot be renewed, keeping the old ones", error=str(error))
        return {} if self._authorization is None else {"Authorization": self._authorization}

    async def refresh(self) -> None:
        """The server has refused the credentials: read them again, from files or from a plugin. Raises ConfigError.

        Safe to call from many tasks at once: tasks that wait while another one reads use its result. Within 5 s of the
        last such call nothing is read.
        """
        await self._reload(rejected=True)

    async def _reload(self, *, rejected: bool) -> None:
        seen = self._reloads
        async with self._lock:
            if self.source is None or self._reloads != seen:
                return
            if rejected:
                if boot_time() < self._rejected_at + MIN_REFRESH_SECONDS:
                    return
                self._rejected_at = boot_time()
            self._due_at = boot_time() + RETRY_SECONDS
            try:
                self.take(await self.source.load(rejected=rejected))
            finally:
                self._reloads += 1

    def describe(self) -> str:
        """The connection in words, for a start-up line and for errors."""
        return f"{self.source.describe()} at {self.server}" if self.source else self.server

    def take(self, access: Access) -> None:
        """Use these credentials from now on."""
        self._due_at = boot_time() + access.lasts
        if (self._authorization, self.ssl) != (access.authorization, access.ssl):
            self._authorization, self.ssl = access.authorization, access.ssl
            self.generation += 1
