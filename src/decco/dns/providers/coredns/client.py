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
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import aiohttp

from decco.dns.credentials import Credentials
from decco.dns.errors import InvalidRecord, ProviderRefused, ProviderUnreachable, RecordConflict
from decco.dns.provider import Change, Context, Outcome, ProviderBase, Zone, fitting, refuse
from decco.dns.providers.coredns.settings import Settings
from decco.dns.records import AAAA, CNAME, TXT, A, RecordSet, record_set
from decco.dns.registry import PREFIX
from decco.errors import ConfigError
from decco.hostnames import canonical, in_zone
from decco.proxy import proxy_from_environment
from decco.text import printable

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
Login = tuple[str, str]
"""User name and password."""


class CoreDnsProvider(ProviderBase):
    """In etcd a zone is only a prefix of keys and is not created."""

    def __init__(self, settings: Settings, login: Login | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(settings.label, settings.zones)
        self._endpoints = {url.rstrip("/"): proxy_from_environment(url) for url in settings.endpoints}
        """URL -> its proxy."""
        self._prefix = "/" + settings.path.strip("/")
        self._login = login
        self._tls = tls
        seconds = settings.timeout_seconds
        self._timeout = aiohttp.ClientTimeout(total=seconds, connect=seconds / 3)
        self._session: aiohttp.ClientSession | None = None
        self._token: str | None = None
        self._authenticating = asyncio.Lock()
        self._seen: dict[tuple[str, str], dict[str, bytes]] = {}
        """(name, type) -> key -> value, as last read or written. Transactions compare with it."""

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        pairs: dict[str, bytes] = {}
        for path in map(self._path, [zone.name] if names is None else sorted(names)):
            pairs |= [*await self._range(path), *await self._range(path + "/", all_below=True)]
        self._seen = {
            at: known
            for at, known in self._seen.items()
            if not (in_zone(at[0], zone.name) if names is None else at[0] in names)
        }
        found: dict[tuple[str, str], tuple[int, list[str]]] = {}
        for key, value in pairs.items():
            for name, rtype, ttl, text in self._read(key, value):
                if names is None or name in names:
                    found.setdefault((name, rtype), (ttl, []))[1].append(text)
                    self._seen.setdefault((name, rtype), {})[key] = value
        return [record_set(name, rtype, ttl, values) for (name, rtype), (ttl, values) in found.items()]

    def _read(self, key: str, value: bytes) -> Iterator[tuple[str, str, int, str]]:
        """The records of a key: at the name of the key and, for keys of other writers, also at the parent name."""
        *parents, last = key.removeprefix(self._prefix).strip("/").split("/")
        try:
            service = json.loads(value)
            rtype, text = _meaning(service)
            ttl = int(service.get("ttl") or DEFAULT_TTL)
        except (ValueError, TypeError, AttributeError):
            rtype, text, ttl = "unreadable", "", DEFAULT_TTL
        above = canonical(".".join(reversed(parents)))
        if last.startswith(LEAF):
            yield above, rtype, ttl, text
            return
        # SkyDNS stores several records of a name as keys with any label below it, as ExternalDNS does.
        yield canonical(".".join(reversed([*parents, last]))), rtype, ttl, text
        if above and not last.startswith("_"):
            yield above, f"{rtype} below it", ttl, text

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        def cost(change: Change) -> tuple[int, ...]:
            return tuple(map(len, self._transaction(zone, change)))

        return fitting(changes, (MAX_OPERATIONS, MAX_OPERATIONS), cost)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        parts = [self._transaction(zone, change) for change in changes]
        body = {
            "compare": [compare for compares, _ in parts for compare in compares],
            "success": [operation for _, operations in parts for operation in operations],
        }
        answer = await self._post("kv/txn", body, changes=True)
        if not answer.get("succeeded"):
            alone = RecordConflict(
                f"{changes[0].name}, or its ownership record, is not as decco left it in etcd: "
                "decco reads the zone again, see who else writes to it"
            )
            return refuse(changes, f"one of {len(changes)} names is not as expected", alone)
        for change in changes:
            for old in change.before:
                self._seen.pop((old.name, old.type), None)
            for new in change.after:
                self._seen[new.name, new.type] = self._values(new)
        return [None] * len(changes)

    def _transaction(self, zone: Zone, change: Change) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
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
            if not change.ownership_name.startswith(PREFIX + change.name):  # that of a long name is elsewhere
                path = self._path(change.ownership_name)
                compares.append(_absent(path, _next(path)))
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
            body["range_end"] = _b64(_next(key))
        found: list[tuple[str, bytes]] = []
        while True:
            answer = await self._post("kv/range", body, changes=False)
            for pair in answer.get("kvs") or ():
                at, value = (base64.b64decode(pair.get(part, "")) for part in ("key", "value"))
                found.append((at.decode("utf-8", "replace"), value))
            if not answer.get("more"):
                return found
            body["key"] = _b64(at + b"\0")
            body.setdefault("revision", answer["header"]["revision"])

    async def _post(self, path: str, body: Mapping[str, Any], *, changes: bool) -> dict[str, Any]:
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
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
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
        said = answer.get("message") or answer.get("error") if isinstance(answer, dict) else answer
        text = printable(str(said), 300)
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


def _next(prefix: str) -> str:
    """The end of the range of all keys with this prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _equal(key: str, value: bytes) -> dict[str, Any]:
    return {"key": _b64(key), "target": "VALUE", "result": "EQUAL", "value": _b64(value)}


def _absent(key: str, end: str | None = None) -> dict[str, Any]:
    """A comparison: no key ``key`` or, with ``end``, no key from ``key`` up to ``end``."""
    compare: dict[str, Any] = {"key": _b64(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
    if end is not None:
        compare["range_end"] = _b64(end)
    return compare


def make(settings: Settings, context: Context) -> CoreDnsProvider:
    credentials = context.credentials
    given = [bool(credentials.content.get(key)) for key in ("username", "password")]
    if any(key in credentials.content for key in ("username", "password")) and not all(given):
        raise ConfigError(
            f"dns.providers: the Secret of {settings.label} has only one of username and password: add the other"
        )
    login = (credentials.password("username"), credentials.password("password")) if all(given) else None
    return CoreDnsProvider(settings, login, _tls(settings.label, credentials))


def _tls(name: str, credentials: Credentials) -> ssl.SSLContext | None:
    """Make the context from a Secret's PEM texts; None uses the system's authorities."""
    authority, certificate, key = (credentials.pem(key) for key in ("ca.crt", "tls.crt", "tls.key"))
    if not (authority or certificate or key):
        return None
    if bool(certificate) != bool(key):
        raise ConfigError(f"dns.providers: the Secret of {name} has only one of tls.crt and tls.key: add the other")
    try:
        context = ssl.create_default_context(cadata=authority.decode("ascii", "ignore") if authority else None)
        if certificate and key:
            # The standard library reads a key pair from files only.
            with tempfile.NamedTemporaryFile(prefix="decco-") as pair:  # mode 0600
                pair.write(key + b"\n" + certificate)
                pair.flush()
                # An encrypted key must be an error, not a prompt on the terminal.
                context.load_cert_chain(pair.name, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"dns.providers: the certificates in the Secret of {name} must be PEM, and tls.key the key of tls.crt"
        ) from error
    return context
