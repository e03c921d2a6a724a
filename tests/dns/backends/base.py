"""A provider next to the real or modelled service that it talks to, in one shape for the contract suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar

import pytest

from decco.dns.provider import Provider
from testbed.dns.server import Records
from testbed.dns.wire import Framing, Trouble, Wire
from tests.dns.lines import Line

Answers = dict[Trouble, Callable[[bytes], bytes]]
SKEW_SECONDS = 3600.0


class Backend:
    """A DNS service under test; all methods but ``provider`` act as a person or program that is not decco."""

    kind: ClassVar[str]
    real: ClassVar[bool] = True
    """Whether it is the real program; False for models."""
    types: ClassVar[frozenset[str]] = frozenset({"A", "AAAA", "CNAME", "TXT", "MX", "SRV", "CAA"})
    """Types that the service can hold."""
    unfit: ClassVar[dict[str, str]] = {}
    """Case -> why it does not apply to this service."""

    @classmethod
    def missing(cls) -> str:
        """One line that says what to install, or ""."""
        return ""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def create_zone(self, zone: str) -> None:
        raise NotImplementedError

    def remove_zone(self, zone: str) -> None:
        raise NotImplementedError

    def provider(self, *zones: str) -> Provider:
        raise NotImplementedError

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        """Set a record set; values as in a zone file."""
        raise NotImplementedError

    def drop(self, zone: str, name: str, rtype: str) -> None:
        raise NotImplementedError

    def read(self, zone: str) -> Records:
        """Everything in the zone but its own SOA, NS and name server."""
        raise NotImplementedError

    def ask(self, name: str, rtype: str) -> set[str] | None:
        """What a resolver would receive at this very name; None where nothing serves DNS."""
        return None

    refusal: ClassVar[str] = "ProviderRefused"
    """Reason that is reported for unknown credentials."""
    lookups: ClassVar[int] = 0
    """Requests that precede the first reading of a zone."""
    troubles: ClassVar[Answers] = {}
    """What the service says in troubles that are answers."""

    def stranger(self, *zones: str) -> Provider:
        """A provider whose credentials the service refuses."""
        raise NotImplementedError

    @contextmanager
    def skewed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Let the provider's clock be an hour away from the service's."""
        raise NotImplementedError
        yield

    @asynccontextmanager
    async def line(self, *zones: str) -> AsyncIterator[Line]:
        """A provider on a line that can be troubled."""
        raise NotImplementedError
        yield


class WiredBackend(Backend):
    """A service on a TCP port of loopback."""

    framing: ClassVar[Framing]

    def port(self) -> int:
        raise NotImplementedError

    def provider_at(self, port: int, *zones: str) -> Provider:
        raise NotImplementedError

    def provider(self, *zones: str) -> Provider:
        return self.provider_at(self.port(), *zones)

    @asynccontextmanager
    async def line(self, *zones: str) -> AsyncIterator[Line]:
        async with Wire(self.port(), self.framing, self.troubles) as wire:
            yield Line(self.provider_at(wire.port, *zones), wire.trouble, wire.quiet)
