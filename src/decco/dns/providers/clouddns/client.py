"""Google Cloud DNS: one atomic ``changes.create`` request per batch.

The checks of the service are the prerequisites: an addition fails if the set exists, a deletion fails unless name,
type, TTL and values match exactly. Written from the public discovery document (dns v1) and its reference pages; tested
against a model of them only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import aiohttp

from decco.dns import errors
from decco.dns.credentials import check_environment
from decco.dns.provider import Change, Context, Outcome, ProviderBase, Zone, fitting, refuse
from decco.dns.providers.clouddns.google_token import GoogleToken
from decco.dns.providers.clouddns.settings import Settings
from decco.dns.records import RecordSet, from_presented, presented
from decco.errors import ConfigError
from decco.hostnames import canonical
from decco.proxy import proxy_from_environment
from decco.text import printable

MAX_SETS = 1000
"""Additions, and deletions, per change ("Quotas and limits")."""
MAX_OCTETS = 100_000
"""Of all record data of a change together."""
PAGE = 1000
FEW_NAMES = 20
"""Up to this number, names are read one by one; for more, reading the whole zone is cheaper."""
_NAMED = re.compile(r"named '([^' ]+)")
CONFLICTS = frozenset({"alreadyExists", "conditionNotMet", "notFound"})
HTTP_UNAUTHORIZED = 401


class Token(Protocol):
    """Returns an OAuth 2 access token that is valid for some minutes and is not ``rejected``."""

    async def __call__(self, rejected: str | None = None) -> str: ...


class CloudDnsProvider(ProviderBase):
    def __init__(self, settings: Settings, token: Token) -> None:
        super().__init__(settings.label, settings.zones)
        self._settings = settings
        self._root = f"{settings.url.rstrip('/')}/dns/v1/projects/{settings.project}/managedZones"
        self._proxy = proxy_from_environment(settings.url)
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def _zone_id(self, name: str) -> str | None:
        if known := self._settings.zone_ids.get(name):
            return known
        answer = await self._ask("GET", self._root, {"dnsName": f"{name}."})
        private = self._settings.visibility == "private"
        zones = answer.get("managedZones", ())
        ids = [str(zone["name"]) for zone in zones if (zone.get("visibility") == "private") == private]
        if len(ids) > 1:
            raise errors.ProviderRefused(
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
        return fitting(changes, (MAX_SETS, MAX_SETS, MAX_OCTETS), _cost)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        body = {
            "deletions": [_write(s) for change in changes for s in change.dropped],
            "additions": [_write(s) for change in changes for s in change.written],
        }
        try:
            await self._ask("POST", f"{self._root}/{zone.id}/changes", {}, body)
        except errors.BatchRefused as error:
            alone = errors.RecordConflict(
                f"{changes[0].name} is not as decco left it, so decco reads the zone again; "
                f"see who else writes to it: {error}"
            )
            return refuse(changes, str(error), alone, {canonical(name) for name in _NAMED.findall(str(error))})
        except errors.InvalidRecord as error:
            return refuse(changes, str(error), error)
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
        raise self._error(status, answer, changes=body is not None)

    async def _send(
        self, method: str, url: str, query: dict[str, str], body: dict[str, Any] | None, token: str
    ) -> tuple[int, Any]:
        """Returns the status and the decoded answer."""
        if self._session is None:
            seconds = self._settings.timeout_seconds
            timeout = aiohttp.ClientTimeout(total=seconds, connect=seconds / 3)
            self._session = aiohttp.ClientSession(timeout=timeout, proxy=self._proxy)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._session.request(method, url, params=query, json=body, headers=headers) as response:
                return response.status, await response.json(content_type=None)
        except aiohttp.ClientConnectorError as error:
            raise errors.ProviderUnreachable(f"the provider {self.name} cannot be reached: {error}") from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            uncertain = body is not None
            raise errors.ProviderUnreachable(
                f"the provider {self.name} broke off: {error}", uncertain=uncertain
            ) from error

    def _error(self, status: int, answer: Any, *, changes: bool) -> errors.DnsError:
        error = answer.get("error", {}) if isinstance(answer, dict) else {}
        details = [e for e in error.get("errors", ()) if isinstance(e, dict)]
        reason = str(details[0].get("reason", "")) if details else ""
        said = "; ".join(str(e.get("message", "")) for e in details) or str(error.get("message", answer))
        text = printable(f"the provider {self.name} said {status} {reason}: {said}", 1000)
        if "parameters.managedZone" in text or "parameters.project" in text:
            return errors.ZoneNotFound(text)
        if changes and reason in CONFLICTS:
            return errors.BatchRefused(text)
        if reason in ("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded") or status == 429:
            return errors.ProviderThrottled(text)
        if status in (HTTP_UNAUTHORIZED, 403):
            return errors.ProviderRefused(text)
        if status == 400:
            return errors.InvalidRecord(text)
        return errors.ProviderUnreachable(text, uncertain=changes)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _cost(change: Change) -> tuple[int, int, int]:
    """Deletions, additions, octets."""
    octets = sum(len(presented(s.type, value)) for s in (*change.dropped, *change.written) for value in s.values)
    return len(change.dropped), len(change.written), octets


def _write(records: RecordSet) -> dict[str, Any]:
    values = [presented(records.type, value) for value in records.values]
    return {"name": f"{records.name}.", "type": records.type, "ttl": records.ttl, "rrdatas": values}


def _read(item: dict[str, Any]) -> RecordSet:
    values = [str(value) for value in item.get("rrdatas", ())]
    policy = "routingPolicy" in item
    return from_presented(item["name"], str(item["type"]), int(item.get("ttl", 0)), values, policy=policy)


def make(settings: Settings, context: Context) -> CloudDnsProvider:
    key = context.credentials.content.get("key.json")
    if settings.secret_name is None:
        check_environment(os.environ, ("GOOGLE_APPLICATION_CREDENTIALS",))
    elif key is None:
        raise ConfigError(f"dns.providers: the Secret of {settings.label} needs the key key.json")
    return CloudDnsProvider(settings, GoogleToken(key))
