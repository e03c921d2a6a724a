"""CoreDNS with its etcd plugin: SkyDNS records in etcd, changed in transactions through etcd's JSON gateway.

The plugin answers for a name with everything below it (plugin/etcd README, "Special Behaviour"), so an ownership
record, or the records of a longer name, would appear in the answers for a shorter name. Two rules separate names:

* A record is a key *below* its name, ``/skydns/com/example/x/_decco-<digest>``: the plugin reads the exact key only if
  it has no keys below it.
* Each value has its own name as ``group``: the plugin returns only the group of the shortest key that it finds.

Prerequisites are comparisons of the transaction: a claim requires that no key of decco exists in the range
``x/_decco``, and no key at the name itself; a change requires exactly the values that were read. A key of another
writer below a name (``x/abc``) is detected when the zone is read, not by the transaction.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import json
import ssl
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import aiohttp

from decco.dns.errors import (
    BatchRefused,
    InvalidRecord,
    ProviderRefused,
    ProviderUnreachable,
    RecordConflict,
)
from decco.dns.names import canonical
from decco.dns.provider import Change, Outcome, Zone
from decco.dns.records import AAAA, CNAME, TXT, A, RecordSet, record_set
from decco.proxy import proxy_from_environment

LEAF = "_decco-"
PAGE = 5000
MAX_OPERATIONS = 128
"""etcd's default of --max-txn-ops: comparisons, and operations, per transaction."""
HTTP_UNAUTHORIZED = 401
GRPC_UNAUTHENTICATED, GRPC_DENIED, GRPC_INVALID = 16, 7, 3
DENIALS = ("permission denied", "authentication failed", "user name is empty", "authentication is not enabled")
"""etcd's messages for rejected credentials that have the code for invalid arguments (api/v3rpc/rpctypes/error.go)."""
TOKEN_REJECTED = ("invalid auth token", "revision of auth store is old")
"""etcd's messages for a rejected token that have the code for invalid arguments. A change of users or roles ends a
token; a new one is accepted."""
DEFAULT_TTL = 300  # the plugin's default for a value without a TTL


class CoreDnsProvider:
    """``endpoints`` are tried in order; ``prefix`` is the plugin's ``path``."""

    def __init__(
        self,
        name: str,
        zones: tuple[str, ...],
        endpoints: Sequence[str],
        *,
        prefix: str = "/skydns",
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.name = name
        self.zone_names = zones
        self._endpoints = {url.rstrip("/"): proxy_from_environment(url) for url in endpoints}
        """URL -> its proxy."""
        self._prefix = "/" + prefix.strip("/")
        self._login = login
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=timeout / 3)
        self._session: aiohttp.ClientSession | None = None
        self._token: str | None = None
        self._authenticating = asyncio.Lock()
        self._seen: dict[tuple[str, str], dict[str, bytes]] = {}
        """(name, type) -> key -> value, as last read or written. Transactions compare with it."""

    async def zones(self) -> tuple[Zone, ...]:
        """All of them: in etcd a zone is only a prefix of keys and is not created."""
        return tuple(Zone(name) for name in self.zone_names)

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        if names is None:
            pairs = [
                *await self._range(self._path(zone.name)),
                *await self._range(self._path(zone.name) + "/", all_below=True),
            ]
            self._seen = {at: known for at, known in self._seen.items() if not _inside(at[0], zone.name)}
            return self._sets(pairs, None)
        pairs = []
        for name in sorted(names):
            path = self._path(name)
            pairs += [*await self._range(path), *await self._range(path + "/", all_below=True)]
            self._seen = {at: known for at, known in self._seen.items() if at[0] != name}
        return self._sets(dict(pairs).items(), names)

    def _sets(self, pairs: Iterable[tuple[str, bytes]], names: Collection[str] | None) -> list[RecordSet]:
        found: dict[tuple[str, str], tuple[int, list[str]]] = {}
        for key, value in pairs:
            for name, rtype, ttl, text in self._read(key, value):
                if names is not None and name not in names:
                    continue
                found.setdefault((name, rtype), (ttl, []))[1].append(text)
                self._seen.setdefault((name, rtype), {})[key] = value
        return [record_set(name, rtype, ttl, values) for (name, rtype), (ttl, values) in found.items()]

    def _read(self, key: str, value: bytes) -> list[tuple[str, str, int, str]]:
        """The records of a key: at the name of the key and, for keys of other writers, also at the parent name."""
        labels = key.removeprefix(self._prefix).strip("/").split("/")
        try:
            service = json.loads(value)
            rtype, text = _meaning(service)
            ttl = int(service.get("ttl") or DEFAULT_TTL)
        except (ValueError, TypeError, AttributeError):
            rtype, text, ttl = "unreadable", "", DEFAULT_TTL
        here = canonical(".".join(reversed(labels)))
        above = canonical(".".join(reversed(labels[:-1])))
        if labels[-1].startswith(LEAF):
            return [(above, rtype, ttl, text)]
        # SkyDNS stores several records of a name as keys with any label below it, as ExternalDNS does.
        both = [(here, rtype, ttl, text)]
        if above and not labels[-1].startswith("_"):
            both.append((above, f"{rtype} below it", ttl, text))
        return both

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        comparisons = operations = 0
        for count, change in enumerate(changes):
            compares, success = self._transaction(zone, change)
            comparisons += len(compares)
            operations += len(success)
            if max(comparisons, operations) > MAX_OPERATIONS:
                return max(1, count)
        return max(1, len(changes))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        compares: list[dict[str, Any]] = []
        success: list[dict[str, Any]] = []
        for change in changes:
            more_compares, more = self._transaction(zone, change)
            compares += more_compares
            success += more
        answer = await self._post("kv/txn", {"compare": compares, "success": success}, changes=True)
        if not answer.get("succeeded"):
            if len(changes) > 1:
                raise BatchRefused(f"one of {len(changes)} names is not as expected")
            return [
                RecordConflict(
                    f"{changes[0].name}, or its ownership record, is not as decco left it in etcd: "
                    "decco reads the zone again, see who else writes to it"
                )
            ]
        for change in changes:
            for old in change.before:
                self._seen.pop((old.name, old.type), None)
            for new in change.after:
                self._seen[new.name, new.type] = self._values(new)
        return [None] * len(changes)

    def _transaction(self, zone: Zone, change: Change) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The comparisons and the operations of one change."""
        before: dict[str, bytes] = {}
        for old in change.before:
            before |= self._seen.get((old.name, old.type)) or self._values(old)
        after: dict[str, bytes] = {}
        for new in change.after:
            after |= self._values(new)
        if before:
            compares = [_equal(key, value) for key, value in before.items()]
            compares += [_absent(key) for key in after.keys() - before.keys()]
        else:
            path = self._path(change.name)
            compares = [_absent(f"{path}/_decco", f"{path}/_deccp")]
            if change.name != zone.name:  # at the apex, records of other types and other owners may exist
                compares.append(_absent(path))
            if not change.ownership_name.startswith(
                "_decco." + change.name
            ):  # the ownership record of a long name is elsewhere
                path = self._path(change.ownership_name)
                compares.append(_absent(path, path[:-1] + chr(ord(path[-1]) + 1)))
        operations: list[dict[str, Any]] = [
            {"requestDeleteRange": {"key": _b64(key)}} for key in sorted(before.keys() - after.keys())
        ]
        operations += [
            {"requestPut": {"key": _b64(key), "value": _b64(value)}}
            for key, value in sorted(after.items())
            if before.get(key) != value
        ]
        return compares, operations

    def _values(self, records: RecordSet) -> dict[str, bytes]:
        path = self._path(records.name)
        found = {}
        for value in records.values:
            digest = hashlib.sha256(f"{records.type} {value}".encode()).hexdigest()[:12]
            service = {
                "text" if records.type == TXT else "host": value,
                "ttl": records.ttl,
                "group": records.name,
            }
            found[f"{path}/{LEAF}{digest}"] = json.dumps(service, separators=(",", ":")).encode()
        return found

    def _path(self, name: str) -> str:
        return "/".join([self._prefix, *reversed(name.split("."))])

    async def _range(self, key: str, *, all_below: bool = False) -> list[tuple[str, bytes]]:
        """Read one key, or all keys with this prefix, in pages of one revision."""
        body: dict[str, Any] = {"key": _b64(key), "limit": PAGE}
        if all_below:
            body["range_end"] = _b64(key[:-1] + chr(ord(key[-1]) + 1))
        found: list[tuple[str, bytes]] = []
        while True:
            answer = await self._post("kv/range", body, changes=False)
            found += [
                (_unb64(pair["key"]).decode("utf-8", "replace"), _unb64(pair.get("value", "")))
                for pair in answer.get("kvs") or ()
            ]
            if not answer.get("more"):
                return found
            body["key"] = base64.b64encode(_unb64(answer["kvs"][-1]["key"]) + b"\0").decode()
            body.setdefault("revision", answer["header"]["revision"])

    async def _post(self, path: str, body: Mapping[str, Any], *, changes: bool) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        token = await self._authenticate(rejected=None)
        try:
            return await self._send(path, body, changes, token)
        except _TokenRejected:
            token = await self._authenticate(rejected=token)
        try:
            return await self._send(path, body, changes, token)
        except _TokenRejected as error:
            raise self._refused(f"it rejects the token that it has just issued ({error})") from error

    async def _authenticate(self, rejected: str | None) -> str | None:
        """Returns a token that is not ``rejected``. Concurrent calls with the same rejected token cause one request."""
        if self._login is None:
            return None
        async with self._authenticating:
            if self._token is None or self._token == rejected:
                self._token = None
                user, password = self._login
                answer = await self._send("auth/authenticate", {"name": user, "password": password}, False, None)
                self._token = str(answer["token"])
            return self._token

    async def _send(self, path: str, body: Mapping[str, Any], changes: bool, token: str | None) -> dict[str, Any]:
        assert self._session is not None
        headers = {"Authorization": token} if token else {}
        trouble: Exception | None = None
        for endpoint, proxy in self._endpoints.items():
            try:
                async with self._session.post(
                    f"{endpoint}/v3/{path}", json=body, headers=headers, ssl=self._tls or True, proxy=proxy
                ) as response:
                    answer = await response.json(content_type=None)
                    return self._checked(response.status, answer, uncertain=changes, with_token=token is not None)
            except aiohttp.ClientConnectorError as error:
                trouble = error  # nothing was sent: try the next member
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise ProviderUnreachable(f"etcd at {endpoint} broke off: {error}", uncertain=changes) from error
        raise ProviderUnreachable(
            f"no etcd endpoint of the provider {self.name} can be reached: {trouble}"
        ) from trouble

    def _checked(self, status: int, answer: Any, *, uncertain: bool, with_token: bool) -> dict[str, Any]:
        if status < 400 and isinstance(answer, dict):
            return answer
        code = answer.get("code") if isinstance(answer, dict) else None
        text = str(answer.get("message") or answer.get("error") if isinstance(answer, dict) else answer)[:300]
        if with_token and (code == GRPC_UNAUTHENTICATED or any(words in text for words in TOKEN_REJECTED)):
            raise _TokenRejected(text)
        denied = status == HTTP_UNAUTHORIZED or code in (GRPC_UNAUTHENTICATED, GRPC_DENIED)
        if denied or any(words in text for words in DENIALS):
            raise self._refused(text)
        if code == GRPC_INVALID:
            raise InvalidRecord(
                f"etcd did not take what the provider {self.name} sent, so look at its log and limits: {text}"
            )
        raise ProviderUnreachable(f"etcd said to the provider {self.name}: {status} {text}", uncertain=uncertain)

    def _refused(self, text: str) -> ProviderRefused:
        return ProviderRefused(
            f"etcd refused the provider {self.name}, so "
            f"correct its username and password, or the role of that user: {text}"
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class _TokenRejected(Exception):
    """etcd does not accept the token: it expires after five minutes by default, and when users or roles change."""


def _inside(name: str, zone: str) -> bool:
    return name == zone or name.endswith("." + zone)


def _meaning(service: Mapping[str, Any]) -> tuple[str, str]:
    """The type and the value of a SkyDNS service, by the rules of the plugin (msg/type.go)."""
    host, text = str(service.get("host") or ""), str(service.get("text") or "")
    if service.get("mail"):
        return "MX", host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return (TXT, text) if text else (CNAME, host)
    return (A if address.version == 4 else AAAA), str(address)


def _b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text)


def _equal(key: str, value: bytes) -> dict[str, Any]:
    return {"key": _b64(key), "target": "VALUE", "result": "EQUAL", "value": _b64(value)}


def _absent(key: str, end: str | None = None) -> dict[str, Any]:
    """A comparison: no key ``key`` or, with ``end``, no key from ``key`` up to ``end``."""
    compare: dict[str, Any] = {"key": _b64(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
    if end is not None:
        compare["range_end"] = _b64(end)
    return compare
