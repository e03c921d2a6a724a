"""Providers for the contract suite whose connection to the service can be made to fail, or that open it themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from decco.dns.errors import DnsError, ProviderRefused, ProviderThrottled, ProviderUnreachable, ZoneNotFound
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.providers.externaldns.client import ExternalDnsProvider
from decco.dns.providers.externaldns.settings import Settings
from decco.dns.wrappers.base import Wrapper
from decco.kube.client import Client
from decco.kube.config import connect
from decco.kube.connection import Connection
from decco.objects import Obj
from decco.reconcilers.providers import ObjectsClient
from testbed.dns.wire import Trouble

ENDPOINTS = Settings.kind


@dataclass(frozen=True)
class Line:
    """``trouble(kind, on, times=, skip=, keep=)`` makes future requests fail, see ``testbed.dns.wire.Wire``;
    ``quiet`` reports whether all of it has happened.
    """

    provider: Provider
    trouble: Callable[..., None]
    quiet: Callable[[], bool]


class MemoryLine(Wrapper):
    """A service in this process has no line; the errors that the layers above would get are raised."""

    _BEFORE: ClassVar[dict[Trouble, Callable[[], DnsError]]] = {
        Trouble.FAILS: lambda: ProviderUnreachable("failed", one_zone=True),
        Trouble.REFUSED: lambda: ProviderRefused("may not"),
        Trouble.NOT_SERVED: lambda: ZoneNotFound("no such zone"),
        Trouble.THROTTLED: lambda: ProviderThrottled("too often"),
        Trouble.LOST_REQUEST: lambda: ProviderUnreachable("lost", uncertain=True),
    }

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self._planned: list[tuple[Trouble, int]] = []

    def trouble(self, trouble: Trouble, on: str, *, times: int = 1, skip: int = 0, keep: int = 0) -> None:
        assert on == "change"
        self._planned += [(trouble, skip if number == 0 else 0) for number in range(times)]

    def quiet(self) -> bool:
        return not self._planned

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        if not self._planned:
            return await self.inner.apply(zone, changes)
        trouble, skip = self._planned.pop(0)
        if skip:
            self._planned.insert(0, (trouble, skip - 1))
            return await self.inner.apply(zone, changes)
        if trouble in self._BEFORE:
            raise self._BEFORE[trouble]()
        await self.inner.apply(zone, changes)
        raise ProviderUnreachable("the reply is lost", uncertain=True)


class ConnectedEndpoints(ExternalDnsProvider):
    """Opens decco's own client of the API server at the first call and ends it with ``close``."""

    def __init__(
        self, name: str, zones: tuple[str, ...], namespace: str, *, kubeconfig: Path | None = None, url: str = ""
    ) -> None:
        self._late = _LateEndpoints(kubeconfig, url)
        super().__init__(name, zones, self._late, namespace)

    async def close(self) -> None:
        await self._late.close()


class _LateEndpoints:
    def __init__(self, kubeconfig: Path | None, url: str) -> None:
        self._kubeconfig = kubeconfig
        self._url = url
        self._client: Client | None = None

    async def _opened(self) -> ObjectsClient:
        if self._client is None:
            connection = await connect(str(self._kubeconfig)) if self._kubeconfig else Connection(self._url)
            self._client = await Client(connection, user_agent="decco").__aenter__()
        return ObjectsClient(self._client, ENDPOINTS)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.__aexit__(None, None, None)
            self._client = None

    async def list(self) -> Sequence[Obj]:
        return await (await self._opened()).list()

    async def get(self, namespace: str, name: str) -> Obj | None:
        return await (await self._opened()).get(namespace, name)

    async def create(self, obj: Obj) -> Obj | None:
        return await (await self._opened()).create(obj)

    async def replace(self, obj: Obj) -> Obj | None:
        return await (await self._opened()).replace(obj)

    async def delete(self, namespace: str, name: str, uid: str, resource_version: str) -> bool:
        return await (await self._opened()).delete(namespace, name, uid, resource_version)
