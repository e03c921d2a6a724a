"""The published records, as the servers of the zone answer: no resolver, no cache.

The servers are those that the settings name for the zone, or else those of its NS records. Each answer that was right
is remembered by its digest: servers repeat themselves, so a short probe compares bytes and parses nothing.

Import this file where it is used: dnspython takes memory that a cluster without records need not spend.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import socket
import time
from collections.abc import Set
from functools import lru_cache

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from decco.probe.gathered import Gathered
from decco.probe.model import Observation, Record, Result, Server

QUERY_SECONDS = 2.0
"""Time limit of one question to one server."""
FOUND_SECONDS, NOT_FOUND_SECONDS = 3600.0, 300.0
"""For how long the servers of a zone are kept, and that there are none."""
MAX_REMEMBERED = 50_000
"""Answers whose digests are kept, and records whose turns are counted."""
_MAX_ANSWER = 65_535
_MAX_AT_ONCE = 1_000
"""Answers that are read in one step of the event loop; there are less unless somebody floods."""
_TYPES = {"A": b"\0\1", "CNAME": b"\0\5", "SOA": b"\0\6", "AAAA": b"\0\x1c"}


class RecordProbe:
    """Asks the servers of zones."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered
        self._zones: dict[str, tuple[float, tuple[Server, ...]]] = {}
        """Zone -> until when its servers are kept, and the servers."""
        self._finding = asyncio.Lock()
        self._good: dict[tuple[Record, Server, str], bytes] = {}
        self._shared: dict[Server, _Shared] = {}
        self._turns: dict[Record, int] = {}
        """How many short probes a record has had, from a beginning of its own."""

    async def __call__(self, record: Record, *, short: bool) -> Observation:
        """Probes a record once; a short probe asks one server, another each time."""
        servers = record.servers or await self._servers_of(record.zone)
        if not servers:
            return Observation(Result.CONNECT, f"the servers of zone {record.zone} are not known")
        if short and await self._repeats(record, servers[self._next_turn(record) % len(servers)]):
            return Observation(Result.ANSWERED)
        found = await asyncio.gather(*(self._ask(record, server) for server in servers))
        answers = [answer for answer in found if answer is not None]
        if not answers:
            return Observation(Result.CONNECT, f"no server of zone {record.zone} answers")
        different = next(filter(None, answers), "")
        return Observation(Result.RECORD, different) if different else Observation(Result.ANSWERED)

    def _next_turn(self, record: Record) -> int:
        """A count for all records would lead each of them to the same server in each interval."""
        if len(self._turns) >= MAX_REMEMBERED:
            self._turns.clear()
        turn = self._turns[record] = self._turns.get(record, hash(record)) + 1
        return turn

    async def _ask(self, record: Record, server: Server) -> str | None:
        """What the server answers instead of the record, "" if it answers with it; None without an answer."""
        found: set[tuple[str, str]] = set()
        name = dns.name.from_text(record.name)
        for kind in _kinds(record.values):
            try:
                wire = await _exchange(server, _question(record, kind))
                answer = dns.message.from_wire(wire)
                if answer.flags & dns.flags.TC:
                    query = dns.message.from_wire(wire[:2] + _question(record, kind))
                    answer = await dns.asyncquery.tcp(query, server.address, QUERY_SECONDS, server.port)
            except (dns.exception.DNSException, OSError, EOFError, TimeoutError):
                return None
            if not answer.flags & dns.flags.AA:
                return None  # the server is not one of the zone's
            rtype = dns.rdatatype.from_text(kind)
            sets = (each for each in answer.answer if each.rdtype == rtype and each.name == name)
            values = {(kind, str(value).lower().rstrip(".")) for each in sets for value in each}
            if _fits(values, {each for each in record.values if each[0] == kind}, record):
                if len(self._good) >= MAX_REMEMBERED:
                    self._good.clear()
                self._good[record, server, kind] = _digest(wire)
            found |= values
        if _fits(found, record.values, record):
            return ""
        shown = ", ".join(sorted(value for _, value in found)) or "that there is no record"
        return f"server {server.address} answers {shown}"

    async def _repeats(self, record: Record, server: Server) -> bool:
        """Whether the server answers as it did when that was right."""
        for kind in _kinds(record.values):
            known = self._good.get((record, server, kind))
            try:
                if known is None or _digest(await self._query_shared(server, _question(record, kind))) != known:
                    return False
            except (OSError, EOFError, TimeoutError):
                return False
        return True

    async def _query_shared(self, server: Server, question: bytes) -> bytes:
        """One socket for all questions that wait for this server. An answer counts only if its digest is known."""
        shared = self._shared.get(server)
        if shared is None:
            shared = self._shared[server] = _Shared(server, self._gathered)
        try:
            return await shared.query(question)
        finally:
            if not shared.waiting and self._shared.get(server) is shared:
                del self._shared[server]
                shared.close()

    async def _servers_of(self, zone: str) -> tuple[Server, ...]:
        async with self._finding:
            until, servers = self._zones.get(zone, (0.0, ()))
            if time.monotonic() >= until:
                servers = await find_servers(zone)
                keep = FOUND_SECONDS if servers else NOT_FOUND_SECONDS
                self._zones[zone] = time.monotonic() + keep, servers
            return servers


async def find_servers(zone: str) -> tuple[Server, ...]:
    """The zone's servers by its NS records, as far as they answer for it from here; () if there are none."""
    found: set[str] = set()
    try:
        resolver = await asyncio.to_thread(dns.asyncresolver.Resolver)  # it reads a file
        for server in await resolver.resolve(zone, "NS"):
            for kind in ("A", "AAAA"):
                try:
                    found.update(str(each) for each in await resolver.resolve(str(server), kind))
                except dns.exception.DNSException:
                    continue
    except (dns.exception.DNSException, OSError):
        return ()
    servers = [Server(address) for address in sorted(found)]
    answering = await asyncio.gather(*(_is_of(zone, server) for server in servers))
    return tuple(server for server, answers in zip(servers, answering, strict=True) if answers)


async def _is_of(zone: str, server: Server) -> bool:
    try:
        answer = dns.message.from_wire(await _exchange(server, _question_of(zone, "SOA")))
    except (dns.exception.DNSException, OSError, EOFError, TimeoutError):
        return False
    return bool(answer.flags & dns.flags.AA)


def _fits(found: Set[tuple[str, str]], expected: Set[tuple[str, str]], record: Record) -> bool:
    return expected <= found if record.shared else expected == found


@lru_cache(maxsize=64)
def _kinds(values: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted({kind for kind, _ in values}))


def _question(record: Record, kind: str) -> bytes:
    return _question_of(record.name, kind)


def _question_of(name: str, kind: str) -> bytes:
    """A query (RFC 1035 section 4.1) without its first two bytes, the number. No recursion is desired, so the server
    answers only what it has itself.
    """
    labels = b"".join(bytes((len(label),)) + label.encode("ascii") for label in name.split("."))
    return b"\0\0\0\1\0\0\0\0\0\0" + labels + b"\0" + _TYPES[kind] + b"\0\1"


class _Shared:
    """A socket whose answers belong to the questions of the same number."""

    def __init__(self, server: Server, gathered: Gathered) -> None:
        self._sock = _connect(server)
        self._gathered = gathered
        self.waiting: dict[bytes, asyncio.Future[bytes]] = {}
        gathered.add(self._sock.fileno(), self._received)

    async def query(self, question: bytes) -> bytes:
        """Raises OSError, EOFError if the number is taken, and TimeoutError."""
        number = os.urandom(2)
        if number in self.waiting:
            raise EOFError
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        self.waiting[number] = answer
        timer = loop.call_later(QUERY_SECONDS, _end, answer, TimeoutError())
        try:
            self._sock.send(number + question)
            return await answer
        finally:
            timer.cancel()
            del self.waiting[number]

    def _received(self) -> None:
        try:
            for _ in range(_MAX_AT_ONCE):
                wire = self._sock.recv(_MAX_ANSWER)
                answer = self.waiting.get(wire[:2])
                if answer is not None and not answer.done():
                    answer.set_result(wire)
        except BlockingIOError:
            return
        except OSError as error:  # the server refuses
            for answer in self.waiting.values():
                _end(answer, error)

    def close(self) -> None:
        self._gathered.remove(self._sock.fileno())
        self._sock.close()


def _end(answer: asyncio.Future[bytes], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _connect(server: Server) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(server.address).version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.connect(server)
    except BaseException:
        sock.close()
        raise
    return sock


async def _exchange(server: Server, question: bytes) -> bytes:
    """Raises OSError, EOFError for another answer, and TimeoutError."""
    number = os.urandom(2)
    with _connect(server) as sock:
        sock.send(number + question)
        async with asyncio.timeout(QUERY_SECONDS):
            wire = await asyncio.get_running_loop().sock_recv(sock, _MAX_ANSWER)
    if wire[:2] != number:
        raise EOFError
    return wire


def _digest(wire: bytes) -> bytes:
    return hashlib.blake2b(wire[2:], digest_size=16).digest()
