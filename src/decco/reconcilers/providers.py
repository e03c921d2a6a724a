"""The DNS service of the settings: credentials are read from decco's namespace, DNSEndpoints get a client."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence

import structlog

from decco.dns import externaldns
from decco.dns.errors import DnsError, InvalidRecord, ProviderRefused, ProviderThrottled, ProviderUnreachable
from decco.dns.factory import Outside, make_dns
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
    TooManyRequests,
    Unauthorized,
)
from decco.metrics import Metrics
from decco.objects import SECRETS, Key, Obj, Resource
from decco.settings import Settings
from decco.settings_dns import ExternalDnsSettings

log = structlog.get_logger(__name__)

RETRY_SECONDS = (0.5, 10.0)
"""First and longest pause between tries to read the credentials."""


async def dns_service(settings: Settings, client: Client, metrics: Metrics, *, patient: bool = True) -> Dns | None:
    """The service of all providers, not running yet, for a process that always may write; see ``dns_maker``."""
    make = await dns_maker(settings, client, metrics, lambda: True, patient=patient)
    return None if make is None else await asyncio.to_thread(make)


async def dns_maker(
    settings: Settings,
    client: Client,
    metrics: Metrics,
    may_write: Callable[[], bool],
    *,
    patient: bool = True,
) -> Callable[[], Dns] | None:
    """Gives what makes the service of all providers, one for each time of leading; None if the settings name none.

    A new one knows nothing of the zones, so it begins with a comparison of all that they hold. Making it reads key
    files, so it belongs into a thread. Waits for an API server that does not answer, or raises KubeError at once if it
    is not ``patient``. Raises ConfigError for credentials that are missing or unusable at the start; later ones are
    read when a call is refused.
    """
    if not settings.dns.providers:
        return None
    pause, longest = RETRY_SECONDS
    while True:
        try:
            outside = await _outside(settings, client)
            break
        except KubeError as error:
            if not patient:
                raise
            log.warning("dns credentials cannot be read yet", error=str(error), retry_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, longest)
    for provider in settings.dns.providers:
        metrics.add_dns_provider(provider.name or provider.type)

    def make() -> Dns:
        return make_dns(
            settings.dns,
            settings.cluster_id,
            outside,
            metrics.dns_call,
            dry_run=settings.dry_run,
            may_write=may_write,
        )

    # A mistake in them ends the start, and not hours later the first time of leading.
    await asyncio.to_thread(make)
    return make


async def _outside(settings: Settings, client: Client) -> Outside:
    secrets = {}
    for name in sorted(settings.dns.secret_names):
        try:
            secrets[name] = _content(await client.get(SECRETS, Key(settings.namespace, name)))
        except NotFound:
            continue  # told by whoever needs it
        except Forbidden as error:
            raise ConfigError(f"dns.providers: decco may not read its Secret {name} ({error}): grant it get") from error
    endpoints = None
    if any(isinstance(provider, ExternalDnsSettings) for provider in settings.dns.providers):
        group = externaldns.API_VERSION.partition("/")[0]
        resource = (await discovery.served(client, group)).get(externaldns.KIND)
        endpoints = EndpointsClient(client, resource) if resource is not None else None

    async def read(name: str) -> Mapping[str, bytes] | None:
        try:
            return _content(await client.get(SECRETS, Key(settings.namespace, name)))
        except KubeError as error:
            log.warning("dns credentials cannot be read", secret=name, error=str(error))
            return None

    return Outside(secrets, settings.namespace, read, endpoints)


def _content(secret: Obj) -> Mapping[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError) as error:
        name = secret["metadata"]["name"]
        raise ConfigError(
            f"dns.providers: the Secret {name} holds a value that is not base64: create it anew with kubectl"
        ) from error


class EndpointsClient:
    """``externaldns.Endpoints`` over decco's own client."""

    def __init__(self, client: Client, resource: Resource) -> None:
        self._client = client
        self._resource = resource

    async def list(self) -> Sequence[Obj]:
        found: list[Obj] = []
        try:
            async for page in self._client.list_pages(self._resource):
                found += page.items
        except KubeError as error:
            raise _told(error) from error
        return found

    async def get(self, namespace: str, name: str) -> Obj | None:
        try:
            return await self._client.get(self._resource, Key(namespace, name))
        except NotFound:
            return None
        except KubeError as error:
            raise _told(error) from error

    async def create(self, obj: Obj) -> Obj | None:
        try:
            return await self._client.create(self._resource, obj)
        except AlreadyExists:
            return None
        except KubeError as error:
            raise _told(error) from error

    async def replace(self, obj: Obj) -> Obj | None:
        try:
            return await self._client.replace(self._resource, obj)
        except (Conflict, NotFound):
            return None
        except KubeError as error:
            raise _told(error) from error

    async def delete(self, namespace: str, name: str, uid: str, resource_version: str) -> bool:
        """Also True for an object that was gone already: what was to be removed is not there."""
        try:
            await self._client.delete(self._resource, Key(namespace, name), uid=uid, resource_version=resource_version)
        except Conflict:
            return False
        except KubeError as error:
            raise _told(error) from error
        return True


def _told(error: KubeError) -> DnsError:
    sentence = f"the API server and DNSEndpoint objects: {error}"
    if isinstance(error, Forbidden | Unauthorized | NotFound):
        return ProviderRefused(sentence)
    if isinstance(error, TooManyRequests):
        return ProviderThrottled(sentence)
    if isinstance(error, Invalid):
        return InvalidRecord(sentence)
    return ProviderUnreachable(sentence, uncertain=True)


async def read_outside(settings: Settings, client: Client) -> Outside:
    """What the providers need from the cluster, read once: for who asks one without publishing anything.

    Raises KubeError, and ConfigError for a credential that cannot be read.
    """
    return await _outside(settings, client)
