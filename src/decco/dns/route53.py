"""Amazon Route 53: one atomic ChangeResourceRecordSets request per batch.

The checks of the service are the prerequisites. CREATE fails if the set exists, DELETE fails unless the set matches
exactly. So a claim is two CREATEs, and a change starts with a DELETE of each set, including the ownership record.
UPSERT checks nothing and only follows the DELETE of the set that it replaces. CREATE does not detect a record of
another type that was added after the name was last read; the next comparison detects it.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiobotocore.config
import aiobotocore.session
import botocore.exceptions
import botocore.loaders

from decco.dns.errors import (
    BatchRefused,
    DnsError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnreachable,
    RecordConflict,
    ZoneNotFound,
)
from decco.dns.names import canonical
from decco.dns.provider import Change, Outcome, Zone
from decco.dns.records import AAAA, CNAME, TXT, A, RecordSet, record_set
from decco.dns.txt import quoted, unquoted
from decco.proxy import proxy_from_environment

T = TypeVar("T")
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


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys from a Secret; without them the default chain is used: environment, web identity, files, instance."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class Route53Provider:
    """``zone_ids`` names the hosted zone if several have the same name; otherwise it is looked up by visibility."""

    def __init__(
        self,
        name: str,
        zones: tuple[str, ...],
        *,
        private: bool = False,
        zone_ids: dict[str, str] | None = None,
        credentials: Credentials | None = None,
        endpoint_url: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.name = name
        self.zone_names = zones
        self._private = private
        self._zone_ids = zone_ids or {}
        self._credentials = credentials
        self._endpoint_url = endpoint_url
        self._proxy = proxy_from_environment(endpoint_url or ENDPOINT)
        self._timeout = timeout
        self._open = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None

    async def zones(self) -> tuple[Zone, ...]:
        client = await self._connected()
        found = []
        for name in self.zone_names:
            zone_id = self._zone_ids.get(name)
            if zone_id is None:
                zone_id = await self._look_up(client, name)
            if zone_id is not None:
                found.append(Zone(name, zone_id))
        return tuple(found)

    async def _look_up(self, client: Any, name: str) -> str | None:
        page = await self._call(client.list_hosted_zones_by_name(DNSName=name, MaxItems="100"), "", changes=False)
        ids = [
            zone["Id"].rpartition("/")[2]
            for zone in page["HostedZones"]
            if canonical(zone["Name"]) == name and bool(zone.get("Config", {}).get("PrivateZone")) == self._private
        ]
        if len(ids) > 1:
            kind = "private" if self._private else "public"
            raise ProviderRefused(
                f"the provider {self.name} has {len(ids)} {kind} hosted zones called {name}: "
                "say which one with zoneIds in its settings"
            )
        return ids[0] if ids else None

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        client = await self._connected()
        if names is not None and len(names) <= FEW_NAMES:
            return [s for name in sorted(names) for s in await self._at(client, zone, name)]
        found = [s async for s in self._pages(client, zone)]
        return found if names is None else [s for s in found if s.name in names]

    async def _at(self, client: Any, zone: Zone, name: str) -> list[RecordSet]:
        listing = client.list_resource_record_sets(HostedZoneId=zone.id, StartRecordName=name, MaxItems="100")
        page = await self._call(listing, zone.name, changes=False)
        return [s for s in map(_read, page["ResourceRecordSets"]) if s.name == name]

    async def _pages(self, client: Any, zone: Zone) -> AsyncIterator[RecordSet]:
        start: dict[str, str] = {}
        while True:
            listing = client.list_resource_record_sets(HostedZoneId=zone.id, MaxItems=str(PAGE), **start)
            page = await self._call(listing, zone.name, changes=False)
            for item in page["ResourceRecordSets"]:
                yield _read(item)
            if not page["IsTruncated"]:
                return
            start = {"StartRecordName": page["NextRecordName"], "StartRecordType": page["NextRecordType"]}
            if "NextRecordIdentifier" in page:
                start["StartRecordIdentifier"] = page["NextRecordIdentifier"]

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        records = characters = 0
        for count, change in enumerate(changes):
            for action, sent in _steps(change):
                times = 2 if action == "UPSERT" else 1  # as the quotas count it
                records += times * len(sent.values)
                characters += times * sum(len(_value(sent.type, value)) for value in sent.values)
            if records > MAX_RECORDS or characters > MAX_CHARACTERS:
                return max(1, count)
        return max(1, len(changes))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        client = await self._connected()
        batch = [
            {
                "Action": action,
                "ResourceRecordSet": {
                    "Name": sent.name,
                    "Type": sent.type,
                    "TTL": sent.ttl,
                    "ResourceRecords": [{"Value": _value(sent.type, value)} for value in sent.values],
                },
            }
            for change in changes
            for action, sent in _steps(change)
        ]
        sending = client.change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch={"Changes": batch})
        try:
            await self._call(sending, zone.name, changes=True)
        except BatchRefused as error:
            if len(changes) > 1:
                named = {canonical(_unescape(name)) for name in _NAMED.findall(str(error))}
                raise BatchRefused(
                    str(error), suspects=frozenset(c.name for c in changes if named & {c.name, c.ownership_name})
                ) from error
            return [
                RecordConflict(
                    f"{changes[0].name} is not as decco left it, so decco reads the zone again; "
                    f"see who else writes to it: {error}"
                )
            ]
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
                    raise ProviderRefused(
                        f"the provider {self.name} has no usable AWS credentials or settings, so correct the "
                        f"variables AWS_* of decco's pod, or the files that they name: {error}"
                    ) from error
                self._open.push_async_exit(context)
        return self._client

    async def _make_client(self) -> tuple[Any, Any]:
        keys = self._credentials
        session = aiobotocore.session.get_session()
        session.register_component("data_loader", _models())
        context = session.create_client(
            "route53",
            region_name="us-east-1",  # the one endpoint of this global service
            endpoint_url=self._endpoint_url,
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key if keys else None,
            aws_session_token=keys.session_token if keys else None,
            config=aiobotocore.config.AioConfig(
                proxies={} if self._proxy is None else {"http": self._proxy, "https": self._proxy},
                connect_timeout=self._timeout,
                read_timeout=self._timeout,
                retries={"total_max_attempts": 1},  # the zone's queue retries, with the unconfirmed changes in mind
            ),
        )
        return context, await context.__aenter__()

    async def _call(self, call: Awaitable[T], zone: str, *, changes: bool) -> T:
        try:
            return await call
        except botocore.exceptions.ClientError as error:
            raise self._said(error, zone, changes=changes) from error
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
            raise ProviderRefused(
                f"the provider {self.name} has no AWS credentials, so "
                f"name a Secret in its settings, or give decco's pod a role: {error}"
            ) from error
        except (botocore.exceptions.EndpointConnectionError, botocore.exceptions.ConnectTimeoutError) as error:
            raise ProviderUnreachable(f"the provider {self.name} cannot be reached: {error}") from error
        except botocore.exceptions.BotoCoreError as error:
            raise ProviderUnreachable(f"the provider {self.name} broke off: {error}", uncertain=changes) from error

    def _said(self, error: botocore.exceptions.ClientError, zone: str, *, changes: bool) -> DnsError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        text = f"the provider {self.name} said {code}: {error.response.get('Error', {}).get('Message', '')}"[:1000]
        if code == "InvalidChangeBatch":
            return BatchRefused(text)
        if code == "NoSuchHostedZone":
            return ZoneNotFound(
                f"the provider {self.name} no longer has a hosted zone {zone}: create it, or remove it from the "
                "settings"
            )
        if code in THROTTLED:
            return ProviderThrottled(text)
        if code in REFUSED:
            return ProviderRefused(text)
        # Includes InternalFailure and ServiceUnavailable: the change may have been carried out.
        return ProviderUnreachable(text, uncertain=changes)


@functools.cache
def _models() -> botocore.loaders.Loader:
    """The descriptions of the API, shared because each client would otherwise read and parse them."""
    return botocore.loaders.create_loader()


def _steps(change: Change) -> list[tuple[str, RecordSet]]:
    """The actions of one change; deletions come first, since a name may change its type."""
    if not change.before:
        return [("CREATE", s) for s in change.after]
    # Each set of ``before`` is deleted, also if it stays: the DELETE verifies in the transaction that it is unchanged.
    replaced = {(s.name, s.type) for s in change.before}
    return [
        *(("DELETE", s) for s in change.before),
        *(("UPSERT" if (s.name, s.type) in replaced else "CREATE", s) for s in change.after),
    ]


def _value(rtype: str, value: str) -> str:
    if rtype == TXT:
        return quoted(value)
    return value + "." if rtype == CNAME else value


def _unescape(name: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 8)), name)


def _read(item: dict[str, Any]) -> RecordSet:
    name, rtype = _unescape(item["Name"]), item["Type"]
    if "SetIdentifier" in item or "AliasTarget" in item:
        # Weighted or geolocation routing, or an AWS alias: never decco's, even with an ownership record.
        return record_set(name, f"{rtype} with a routing policy", 0, ())
    values = [record["Value"] for record in item.get("ResourceRecords", ())]
    if rtype == TXT:
        values = [unquoted(value, base=8) for value in values]
    elif rtype not in (A, AAAA, CNAME):
        values = []
    return record_set(name, rtype, int(item.get("TTL", 0)), values)
