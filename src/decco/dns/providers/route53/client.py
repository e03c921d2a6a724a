"""Amazon Route 53: one atomic ChangeResourceRecordSets request per batch.

The checks of the service are the prerequisites. CREATE fails if the set exists, DELETE fails unless the set matches
exactly. So a claim is two CREATEs, and a change starts with a DELETE of each set, including the ownership record.
UPSERT checks nothing and only follows the DELETE of the set that it replaces. CREATE does not detect a record of
another type that was added after the name was last read; the next comparison detects it.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import field
from typing import Any

import aiobotocore.config
import aiobotocore.session
import botocore.exceptions
import botocore.loaders

from decco.dns import errors
from decco.dns.credentials import access_key, check_environment
from decco.dns.provider import Change, Context, Outcome, ProviderBase, Zone, fitting, refuse
from decco.dns.providers.route53.settings import Settings
from decco.dns.records import RecordSet, from_presented, presented
from decco.errors import ConfigError
from decco.frozen import frozen
from decco.hostnames import canonical
from decco.proxy import proxy_from_environment
from decco.text import printable

ENDPOINT = "https://route53.amazonaws.com"
"""Of the default partition; used only to select the proxy."""
MAX_RECORDS = 1000
"""ResourceRecord elements per request ("Quotas", Route 53 Developer Guide)."""
MAX_CHARACTERS = 32_000
"""Of all Value elements of a request together, quotation marks included."""
PAGE = 300
FEW_NAMES = 20
"""Up to this number, names are read one by one; for more, reading the whole zone is cheaper."""
THROTTLED = frozenset({"Throttling", "ThrottlingException", "PriorRequestNotComplete", "RequestLimitExceeded"})
REFUSED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "NotAuthorized",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_ESCAPE = re.compile(r"\\(\d{3})")
_NAMED = re.compile(r"name='([^']+)'")
_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")


@frozen
class Keys:
    """Keys from a Secret; without them the default chain is used: environment, web identity, files, instance."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class Route53Provider(ProviderBase):
    def __init__(self, settings: Settings, keys: Keys | None) -> None:
        super().__init__(settings.label, settings.zones)
        self._settings = settings
        self._keys = keys
        self._proxy = proxy_from_environment(settings.endpoint_url or ENDPOINT)
        self._open = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None

    async def _zone_id(self, name: str) -> str | None:
        if known := self._settings.zone_ids.get(name):
            return known
        client = await self._connected()
        with self._errors():
            page = await client.list_hosted_zones_by_name(DNSName=name, MaxItems="100")
        visibility = self._settings.visibility
        ids = [
            zone["Id"].rpartition("/")[2]
            for zone in page["HostedZones"]
            if canonical(zone["Name"]) == name
            and bool(zone.get("Config", {}).get("PrivateZone")) == (visibility == "private")
        ]
        if len(ids) > 1:
            raise errors.ProviderRefused(
                f"the provider {self.name} has {len(ids)} {visibility} hosted zones called {name}: "
                "say which one with zoneIds in its settings"
            )
        return ids[0] if ids else None

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        client = await self._connected()
        found: list[RecordSet] = []
        with self._errors(zone.name):
            if names is not None and len(names) <= FEW_NAMES:
                for name in sorted(names):
                    page = await client.list_resource_record_sets(
                        HostedZoneId=zone.id, StartRecordName=name, MaxItems="100"
                    )
                    found += [s for s in map(_read, page["ResourceRecordSets"]) if s.name == name]
                return found
            pages = client.get_paginator("list_resource_record_sets")
            async for page in pages.paginate(HostedZoneId=zone.id, PaginationConfig={"PageSize": PAGE}):
                found += map(_read, page["ResourceRecordSets"])
        return found if names is None else [s for s in found if s.name in names]

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return fitting(changes, (MAX_RECORDS, MAX_CHARACTERS), _cost)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        client = await self._connected()
        batch = [_write(action, sent) for change in changes for action, sent in _steps(change)]
        try:
            with self._errors(zone.name, changes=True):
                await client.change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch={"Changes": batch})
        except errors.BatchRefused as error:
            alone = errors.RecordConflict(
                f"{changes[0].name} is not as decco left it, so decco reads the zone again; "
                f"see who else writes to it: {error}"
            )
            named = {canonical(_unescape(name)) for name in _NAMED.findall(str(error))}
            return refuse(changes, str(error), alone, named)
        return [None] * len(changes)

    async def close(self) -> None:
        self._client = None
        await self._open.aclose()

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                # Reads models and settings from files for 50 to 300 ms, so it must not block the event loop. The client
                # opens its connections later, in the event loop that uses it.
                try:
                    context, self._client = await asyncio.to_thread(asyncio.run, self._make_client())
                except (botocore.exceptions.BotoCoreError, ValueError) as error:  # a profile that does not exist
                    raise errors.ProviderRefused(
                        f"the provider {self.name} has no usable AWS credentials or settings, so correct the "
                        f"variables AWS_* of decco's pod, or the files that they name: {error}"
                    ) from error
                self._open.push_async_exit(context)
        return self._client

    async def _make_client(self) -> tuple[Any, Any]:
        keys, settings, proxy = self._keys, self._settings, self._proxy
        session = aiobotocore.session.get_session()
        session.register_component("data_loader", _models())
        context = session.create_client(
            "route53",
            region_name="us-east-1",  # the one endpoint of this global service
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key if keys else None,
            aws_session_token=keys.session_token if keys else None,
            config=aiobotocore.config.AioConfig(
                proxies={} if proxy is None else {"http": proxy, "https": proxy},
                connect_timeout=settings.timeout_seconds,
                read_timeout=settings.timeout_seconds,
                retries={"total_max_attempts": 1},  # the zone's queue retries, with the unconfirmed changes in mind
            ),
        )
        client = await context.__aenter__()
        client.can_paginate("list_resource_record_sets")  # reads that description now, not in the event loop
        return context, client

    @contextmanager
    def _errors(self, zone: str = "", *, changes: bool = False) -> Iterator[None]:
        """Raises botocore's errors of a call as errors.DnsError."""
        try:
            yield
        except botocore.exceptions.ClientError as error:
            raise self._error(error, zone, changes=changes) from error
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
            raise errors.ProviderRefused(
                f"the provider {self.name} has no AWS credentials, so "
                f"name a Secret in its settings, or give decco's pod a role: {error}"
            ) from error
        except (botocore.exceptions.EndpointConnectionError, botocore.exceptions.ConnectTimeoutError) as error:
            raise errors.ProviderUnreachable(f"the provider {self.name} cannot be reached: {error}") from error
        except botocore.exceptions.BotoCoreError as error:
            raise errors.ProviderUnreachable(
                f"the provider {self.name} broke off: {error}", uncertain=changes
            ) from error

    def _error(self, error: botocore.exceptions.ClientError, zone: str, *, changes: bool) -> errors.DnsError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        said = error.response.get("Error", {}).get("Message", "")
        text = printable(f"the provider {self.name} said {code}: {said}", 1000)
        if code == "InvalidChangeBatch":
            return errors.BatchRefused(text)
        if code == "NoSuchHostedZone":
            return errors.ZoneNotFound(
                f"the provider {self.name} no longer has a hosted zone {zone}: create it, or remove it from the "
                "settings"
            )
        if code in THROTTLED:
            return errors.ProviderThrottled(text)
        if code in REFUSED:
            return errors.ProviderRefused(text)
        # Includes InternalFailure and ServiceUnavailable: the change may have been carried out.
        return errors.ProviderUnreachable(text, uncertain=changes)


@functools.cache
def _models() -> botocore.loaders.Loader:
    """The descriptions of the API, shared because each client would otherwise read and parse them."""
    return botocore.loaders.create_loader()


def _steps(change: Change) -> list[tuple[str, RecordSet]]:
    """The actions of one change; deletions come first, since a name may change its type.

    Each set of ``before`` is deleted, also if it stays: the DELETE verifies in the transaction that it is unchanged.
    """
    replaced = {(s.name, s.type) for s in change.before}
    return [
        *(("DELETE", s) for s in change.before),
        *(("UPSERT" if (s.name, s.type) in replaced else "CREATE", s) for s in change.after),
    ]


def _cost(change: Change) -> tuple[int, int]:
    """Records and characters, as the quotas count them: those of an UPSERT twice."""
    values = [
        presented(sent.type, value)
        for action, sent in _steps(change)
        for value in sent.values * (2 if action == "UPSERT" else 1)
    ]
    return len(values), sum(map(len, values))


def _write(action: str, sent: RecordSet) -> dict[str, Any]:
    values = [{"Value": presented(sent.type, value)} for value in sent.values]
    return {
        "Action": action,
        "ResourceRecordSet": {"Name": sent.name, "Type": sent.type, "TTL": sent.ttl, "ResourceRecords": values},
    }


def _read(item: dict[str, Any]) -> RecordSet:
    policy = "SetIdentifier" in item or "AliasTarget" in item
    values = [record["Value"] for record in item.get("ResourceRecords", ())]
    name, ttl = _unescape(item["Name"]), int(item.get("TTL", 0))
    return from_presented(name, item["Type"], ttl, values, policy=policy, base=8)


def _unescape(name: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 8)), name)


def make(settings: Settings, context: Context) -> Route53Provider:
    if settings.secret_name is None:
        check_environment(os.environ, _VARIABLES)
        return Route53Provider(settings, keys_of_environment(os.environ))
    names = ("accessKeyId", "secretAccessKey", "sessionToken")
    key, secret, token = (context.credentials.access_key(name) for name in names)
    if not (key and secret):
        raise ConfigError(
            f"dns.providers: the Secret of {settings.label} needs the keys accessKeyId and secretAccessKey"
        )
    return Route53Provider(settings, Keys(key, secret, token or None))


def keys_of_environment(environ: Mapping[str, str]) -> Keys | None:
    """The cleaned keys of the environment; None if they are absent or already clean.

    With None, AWS's default chain is used. It would send a line break unchanged.
    """
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    raw = [environ.get(name, "") for name in names]
    key, secret, token = (access_key(value, f"the variable {name}") for name, value in zip(names, raw, strict=True))
    return Keys(key, secret, token or None) if key and secret and raw != [key, secret, token] else None
