"""The DNS service of the settings: credentials are read from decco's namespace, and providers that write Kubernetes
objects get a client.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from decco.backoff import pauses
from decco.dns.errors import DnsError, InvalidRecord, ProviderRefused, ProviderThrottled, ProviderUnreachable
from decco.dns.factory import ProviderEnvironment, make_dns
from decco.dns.service import Dns
from decco.errors import ConfigError
from decco.kube import discovery
from decco.kube.client import Client
from decco.kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    NotServed,
    TooManyRequests,
    Unauthorized,
)
from decco.log import get_logger
from decco.metrics import Metrics
from decco.objects import SECRETS, Key, Obj, Resource
from decco.settings import Settings

log = get_logger(__name__)

RETRY_SECONDS = (0.5, 10.0)
"""First and longest pause between tries to read the credentials."""


async def dns_service(settings: Settings, client: Client, metrics: Metrics) -> Dns | None:
    """The service of all providers, not running yet, for a process that may always write; None without providers.

    Raises KubeError, and ConfigError for a credential that cannot be read.
    """
    if not settings.dns.providers:
        return None
    make = _maker(settings, await read_provider_environment(settings, client), metrics, lambda: True)
    return await asyncio.to_thread(make)


async def dns_maker(
    settings: Settings, client: Client, metrics: Metrics, may_write: Callable[[], bool]
) -> Callable[[], Dns] | None:
    """Returns a function that makes the service of all providers, called for each leader session; None without
    providers.

    A new service has no state of the zones, so it begins with a comparison of their whole content. Making it reads key
    files, so it belongs into a thread. Waits for an API server that does not answer. Raises ConfigError for credentials
    that are missing or unusable at the start; later ones are read when a call is refused.
    """
    if not settings.dns.providers:
        return None
    for pause in pauses(*RETRY_SECONDS):
        try:
            environment = await read_provider_environment(settings, client)
            break
        except KubeError as error:
            log.warning("dns credentials cannot be read yet", error=str(error), retry_seconds=pause)
        await asyncio.sleep(pause)
    make = _maker(settings, environment, metrics, may_write)
    # A mistake in them ends the process at the start, not hours later at the first leader session.
    await asyncio.to_thread(make)
    return make


def _maker(
    settings: Settings, environment: ProviderEnvironment, metrics: Metrics, may_write: Callable[[], bool]
) -> Callable[[], Dns]:
    for provider in settings.dns.providers:
        metrics.add_dns_provider(provider.label)
    return lambda: make_dns(
        settings.dns,
        settings.cluster_id,
        environment,
        metrics.dns_call,
        dry_run=settings.dry_run,
        may_write=may_write,
    )


async def read_provider_environment(settings: Settings, client: Client) -> ProviderEnvironment:
    """What the providers need. Raises KubeError, and ConfigError for a credential that cannot be read."""
    secrets = {}
    for name in sorted(settings.dns.secret_names):
        try:
            secrets[name] = _content(await client.get(SECRETS, Key(settings.namespace, name)))
        except NotFound:
            continue  # reported by the provider that needs it
        except Forbidden as error:
            raise ConfigError(f"dns.providers: decco may not read its Secret {name} ({error}): grant it get") from error
    objects = {}
    for kind in {provider.kind for provider in settings.dns.providers if provider.kind is not None}:
        if (served := await _served(client, kind)) is not None:
            objects[kind] = ObjectsClient(client, served)

    async def read(name: str) -> Mapping[str, bytes] | None:
        try:
            return _content(await client.get(SECRETS, Key(settings.namespace, name)))
        except KubeError as error:
            log.warning("dns credentials cannot be read", secret=name, error=str(error))
            return None

    return ProviderEnvironment(secrets, settings.namespace, read, objects)


def _content(secret: Obj) -> Mapping[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError) as error:
        name = secret["metadata"]["name"]
        raise ConfigError(
            f"dns.providers: the Secret {name} holds a value that is not base64: create it again with kubectl"
        ) from error


async def _served(client: Client, kind: Resource) -> Resource | None:
    """The kind in the version that the cluster serves now."""
    return (await discovery.served(client, kind.group)).get(kind.kind)


T = TypeVar("T")


class ObjectsClient:
    """``decco.dns.provider.Objects`` over decco's own client, in the version that the cluster serves now."""

    def __init__(self, client: Client, resource: Resource) -> None:
        self._client = client
        self._resource = resource

    async def list(self) -> Sequence[Obj]:
        async def all_pages(kind: Resource) -> list[Obj]:
            return [obj async for page in self._client.list_pages(kind) for obj in page.items]

        return await self._call(all_pages) or []

    async def get(self, namespace: str, name: str) -> Obj | None:
        return await self._call(lambda kind: self._client.get(kind, Key(namespace, name)), NotFound)

    async def create(self, obj: Obj) -> Obj | None:
        return await self._call(lambda kind: self._client.create(kind, _in_version(obj, kind)), AlreadyExists)

    async def replace(self, obj: Obj) -> Obj | None:
        return await self._call(lambda kind: self._client.replace(kind, _in_version(obj, kind)), Conflict, NotFound)

    async def delete(self, namespace: str, name: str, uid: str, resource_version: str) -> bool:
        """Also True for an object that was gone already."""

        async def delete(kind: Resource) -> bool:
            await self._client.delete(kind, Key(namespace, name), uid=uid, resource_version=resource_version)
            return True

        return await self._call(delete, Conflict) or False

    async def _call(self, request: Callable[[Resource], Awaitable[T]], *expected: type[KubeError]) -> T | None:
        """The answer to ``request``, which is made again if the kind is served in another version now; None for an
        expected error. Raises DnsError for any other.
        """
        try:
            try:
                return await request(self._resource)
            except NotServed:
                kind = await _served(self._client, self._resource)
                if kind is None or kind.version == self._resource.version:
                    raise
                self._resource = kind
                return await request(kind)
        except expected:
            return None
        except KubeError as error:
            raise _dns_error(error, self._resource.kind) from error


def _in_version(obj: Obj, kind: Resource) -> Obj:
    return {**obj, "apiVersion": kind.api_version}


def _dns_error(error: KubeError, kind: str) -> DnsError:
    message = f"the API server and {kind} objects: {error}"
    if isinstance(error, Forbidden | Unauthorized | NotFound | NotServed):
        return ProviderRefused(message)
    if isinstance(error, TooManyRequests):
        return ProviderThrottled(message)
    if isinstance(error, Invalid):
        return InvalidRecord(message)
    return ProviderUnreachable(message, uncertain=True)
