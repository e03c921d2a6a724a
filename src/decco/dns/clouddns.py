"""Google Cloud DNS: one atomic ``changes.create`` request per batch.

The checks of the service are the prerequisites: an addition fails if the set exists, a deletion fails unless name,
type, TTL and values match exactly. Written from the public discovery document (dns v1) and its reference pages; tested
against a model of them only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import aiohttp

from decco.dns.errors import (
    BatchRefused,
    DnsError,
    InvalidRecord,
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

URL = "https://dns.googleapis.com"
MAX_SETS = 1000
"""Additions, and deletions, per change ("Quotas and limits")."""
MAX_OCTETS = 100_000
"""Of all record data of a change together."""
PAGE = 1000
FEW_NAMES = 20
_NAMED = re.compile(r"named '([^' ]+)")
CONFLICTS = frozenset({"alreadyExists", "conditionNotMet", "notFound"})

HTTP_UNAUTHORIZED = 401


class Token(Protocol):
    """Returns an OAuth 2 access token that is valid for some minutes and is not ``rejected``."""

    async def __call__(self, rejected: str | None = None) -> str: ...


class CloudDnsProvider:
    """``zone_ids`` names the managed zone if several have the same name; otherwise it is looked up by visibility."""

    def __init__(
        self,
        name: str,
        zones: tuple[str, ...],
        *,
        project: str,
        token: Token,
        private: bool = False,
        zone_ids: dict[str, str] | None = None,
        url: str = URL,
        timeout: float = 30.0,
    ) -> None:
        self.name = name
        self.zone_names = zones
        self._root = f"{url.rstrip('/')}/dns/v1/projects/{project}/managedZones"
        self._proxy = proxy_from_environment(url)
        self._token = token
        self._private = private
        self._zone_ids = zone_ids or {}
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=timeout / 3)
        self._session: aiohttp.ClientSession | None = None

    async def zones(self) -> tuple[Zone, ...]:
        found = []
        for name in self.zone_names:
            zone_id = self._zone_ids.get(name) or await self._look_up(name)
            if zone_id is not None:
                found.append(Zone(name, zone_id))
        return tuple(found)

    async def _look_up(self, name: str) -> str | None:
        answer = await self._ask("GET", self._root, {"dnsName": f"{name}."})
        ids = [
            str(zone["name"])
            for zone in answer.get("managedZones", ())
            if (zone.get("visibility") == "private") == self._private
        ]
        if len(ids) > 1:
            raise ProviderRefused(
                f"the provider {self.name} has {len(ids)} managed zones for {name}: "
                "say which one with zoneIds in its settings"
            )
        return ids[0] if ids else None

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        if names is not None and len(names) <= FEW_NAMES:
            return [s for name in sorted(names) for s in await self._sets(zone, {"name": f"{name}."})]
        found = await self._sets(zone, {})
        return found if names is None else [s for s in found if s.name in names]

    async def _sets(self, zone: Zone, only: dict[str, str]) -> list[RecordSet]:
        found: list[RecordSet] = []
        query = {"maxResults": str(PAGE), **only}
        while True:
            page = await self._ask("GET", f"{self._root}/{zone.id}/rrsets", query)
            found += [_read(item) for item in page.get("rrsets", ())]
            if "nextPageToken" not in page:
                return found
            query["pageToken"] = page["nextPageToken"]

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        additions = deletions = octets = 0
        for count, change in enumerate(changes):
            gone, new = _steps(change)
            additions += len(new)
            deletions += len(gone)
            octets += sum(len(_value(s.type, v)) for s in (*gone, *new) for v in s.values)
            if max(additions, deletions) > MAX_SETS or octets > MAX_OCTETS:
                return max(1, count)
        return max(1, len(changes))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        steps = [_steps(change) for change in changes]
        body = {
            "deletions": [_write(s) for gone, _ in steps for s in gone],
            "additions": [_write(s) for _, new in steps for s in new],
        }
        try:
            await self._ask("POST", f"{self._root}/{zone.id}/changes", {}, body)
        except BatchRefused as error:
            if len(changes) > 1:
                named = {canonical(name) for name in _NAMED.findall(str(error))}
                raise BatchRefused(
                    str(error), suspects=frozenset(c.name for c in changes if named & {c.name, c.ownership_name})
                ) from error
            return [
                RecordConflict(
                    f"{changes[0].name} is not as decco left it, so decco reads the zone again; "
                    f"see who else writes to it: {error}"
                )
            ]
        except InvalidRecord as error:
            if len(changes) > 1:
                raise BatchRefused(str(error)) from error
            return [error]
        return [None] * len(changes)

    async def _ask(
        self, method: str, url: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        token = await self._token()
        status, answer = await self._send(method, url, query, body, token)
        if status == HTTP_UNAUTHORIZED:  # revoked before it expired: one new token for each rejected one
            status, answer = await self._send(method, url, query, body, await self._token(rejected=token))
        if status < 400 and isinstance(answer, dict):
            return answer
        raise self._said(status, answer, changes=body is not None)

    async def _send(
        self, method: str, url: str, query: dict[str, str], body: dict[str, Any] | None, token: str
    ) -> tuple[int, Any]:
        """Returns the status and the decoded answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, proxy=self._proxy)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._session.request(method, url, params=query, json=body, headers=headers) as response:
                return response.status, await response.json(content_type=None)
        except aiohttp.ClientConnectorError as error:
            raise ProviderUnreachable(f"the provider {self.name} cannot be reached: {error}") from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            uncertain = body is not None
            raise ProviderUnreachable(f"the provider {self.name} broke off: {error}", uncertain=uncertain) from error

    def _said(self, status: int, answer: Any, *, changes: bool) -> DnsError:
        error = answer.get("error", {}) if isinstance(answer, dict) else {}
        details = [e for e in error.get("errors", ()) if isinstance(e, dict)]
        reason = str(details[0].get("reason", "")) if details else ""
        said = "; ".join(str(e.get("message", "")) for e in details) or str(error.get("message", answer))
        text = f"the provider {self.name} said {status} {reason}: {said}"[:1000]
        if "parameters.managedZone" in text or "parameters.project" in text:
            return ZoneNotFound(text)
        if changes and reason in CONFLICTS:
            return BatchRefused(text)
        if reason in ("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded") or status == 429:
            return ProviderThrottled(text)
        if status in (HTTP_UNAUTHORIZED, 403):
            return ProviderRefused(text)
        if status == 400:
            return InvalidRecord(text)
        return ProviderUnreachable(text, uncertain=changes)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _steps(change: Change) -> tuple[list[RecordSet], list[RecordSet]]:
    """Give the deletions and the additions of a change."""
    replaced = [old for new in change.written if (old := change.old(new)) is not None]
    return [*change.removed, *replaced], list(change.written)


def _value(rtype: str, value: str) -> str:
    if rtype == TXT:
        return quoted(value)
    return value + "." if rtype == CNAME else value


def _write(records: RecordSet) -> dict[str, Any]:
    return {
        "name": f"{records.name}.",
        "type": records.type,
        "ttl": records.ttl,
        "rrdatas": [_value(records.type, value) for value in records.values],
    }


def _read(item: dict[str, Any]) -> RecordSet:
    rtype = str(item["type"])
    if "routingPolicy" in item:
        # Weighted or geolocation routing: never decco's, even with an ownership record.
        return record_set(item["name"], f"{rtype} with a routing policy", 0, ())
    values = [str(value) for value in item.get("rrdatas", ())]
    if rtype == TXT:
        values = [unquoted(value) for value in values]
    elif rtype not in (A, AAAA, CNAME):
        values = []
    return record_set(item["name"], rtype, int(item.get("ttl", 0)), values)
