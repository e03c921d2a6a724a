"""Published records at the zone's servers: real questions to DNS servers on the loopback address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from decco.probe import records
from decco.probe.gathered import Gathered
from decco.probe.model import Observation, Record, Result, Server
from decco.probe.records import RecordProbe
from tests.sample import thorough

NAME, ZONE = "db.acme.example", "acme.example"
ANSWERED = Observation(Result.ANSWERED)


@dataclass
class Zone(asyncio.DatagramProtocol):
    """A server: (name, type) -> values."""

    sets: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    authoritative: bool = True
    silent: bool = False
    asked: int = 0
    clients: set[Any] = field(default_factory=set)
    before: bytes = b""
    """What arrives before each answer."""
    transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        self.clients.add(addr)
        if self.before:
            self.transport.sendto(self.before, addr)
        if self.silent:
            return
        query = dns.message.from_wire(data)
        assert not query.flags & dns.flags.RD
        [question] = query.question
        answer = dns.message.make_response(query)
        kind = question.to_text().split()[-1]
        values = self.sets.get((question.name.to_text(omit_final_dot=True), kind))
        if self.authoritative:
            answer.flags |= dns.flags.AA
        if values:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *values))
        elif not self.sets:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


@contextlib.asynccontextmanager
async def serving(*zones: Zone) -> AsyncIterator[tuple[Server, ...]]:
    loop = asyncio.get_running_loop()
    servers = []
    for zone in zones:
        transport, _ = await loop.create_datagram_endpoint(lambda zone=zone: zone, ("127.0.0.1", 0))  # type: ignore[misc]
        servers.append(Server(*transport.get_extra_info("sockname")[:2]))
    try:
        yield tuple(servers)
    finally:
        for zone in zones:
            zone.transport.close()
        await asyncio.sleep(0)


def record(servers: tuple[Server, ...], *values: tuple[str, str], name: str = NAME) -> Record:
    return Record(ZONE, name, frozenset(values or [("A", "192.0.2.1")]), servers)


GOOD = {(NAME, "A"): ["192.0.2.1"]}


@pytest.mark.parametrize(
    ("values", "sets"),
    [
        ([("A", "192.0.2.1")], GOOD),
        ([("A", "192.0.2.1"), ("A", "192.0.2.2")], {(NAME, "A"): ["192.0.2.2", "192.0.2.1"]}),
        (
            [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")],
            {**GOOD, (NAME, "AAAA"): ["2001:0db8::1"]},
        ),
        ([("CNAME", "edge.example")], {(NAME, "CNAME"): ["Edge.Example."]}),
    ],
)
async def test_served(values: list[tuple[str, str]], sets: dict[tuple[str, str], list[str]]) -> None:
    async with serving(Zone(sets)) as servers:
        assert await RecordProbe(Gathered())(record(servers, *values), short=False) == ANSWERED


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ({}, "that there is no record"),
        ({(NAME, "AAAA"): ["2001:db8::1"]}, "that there is no record"),
        ({(NAME, "A"): ["192.0.2.9"]}, "192.0.2.9"),
        ({(NAME, "A"): ["192.0.2.1", "192.0.2.9"]}, "192.0.2.1, 192.0.2.9"),
    ],
)
async def test_not_served(sets: dict[tuple[str, str], list[str]], says: str) -> None:
    async with serving(Zone(sets)) as servers:
        found = await RecordProbe(Gathered())(record(servers), short=False)
    assert found == Observation(Result.RECORD, f"server 127.0.0.1 answers {says}")


async def test_one_server_that_does_not_follow_is_a_failure_also_for_a_short_probe() -> None:
    late = Zone({(NAME, "A"): ["192.0.2.9"]})
    async with serving(Zone(GOOD), Zone(GOOD), late) as servers:
        probe = RecordProbe(Gathered())
        assert (await probe(record(servers), short=False)).result is Result.RECORD
        late.sets = GOOD
        assert await probe(record(servers), short=False) == ANSWERED
        late.sets = {(NAME, "A"): ["192.0.2.9"]}
        results = [(await probe(record(servers), short=True)).result for _ in range(3)]
    assert Result.RECORD in results


async def test_a_short_probe_asks_one_server_another_each_time_and_parses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zones = [Zone(GOOD), Zone(GOOD)]
    async with serving(*zones) as servers:
        probe = RecordProbe(Gathered())
        await probe(record(servers), short=False)
        assert [zone.asked for zone in zones] == [1, 1]
        monkeypatch.setattr(RecordProbe, "_ask", None)
        for _ in range(4):
            assert await probe(record(servers), short=True) == ANSWERED
    assert [zone.asked for zone in zones] == [3, 3]


async def test_each_of_many_records_is_asked_of_one_server_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number may be a multiple of that of the servers, and their order the same in each interval."""
    names = [f"e{number}.{ZONE}" for number in range(4)]
    zones = [Zone({(name, "A"): ["192.0.2.1"] for name in names}) for _ in range(2)]
    async with serving(*zones) as servers:
        probe, found = RecordProbe(Gathered()), [record(servers, name=name) for name in names]
        for each in found:
            await probe(each, short=False)
        monkeypatch.setattr(RecordProbe, "_ask", None)
        asked = []
        for _ in range(2):
            for each in found:
                before = zones[0].asked
                await probe(each, short=True)
                asked.append(zones[0].asked - before)
    assert [first != second for first, second in zip(asked[:4], asked[4:], strict=True)] == [True] * 4


@thorough
async def test_servers_that_are_silent_or_not_of_the_zone_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "QUERY_SECONDS", 0.05)
    async with serving(Zone(silent=True), Zone(authoritative=False)) as servers:
        found = await RecordProbe(Gathered())(record(servers), short=False)
        assert found == Observation(Result.CONNECT, "no server of zone acme.example answers")
        monkeypatch.setattr(records, "QUERY_SECONDS", 2.0)  # a busy machine is no silent server
        async with serving(Zone(GOOD)) as others:
            assert await RecordProbe(Gathered())(record((*servers, *others)), short=False) == ANSWERED


async def test_a_zone_without_servers_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    async def none(zone: str) -> tuple[Server, ...]:
        tried.append(zone)
        return ()

    monkeypatch.setattr(records, "find_servers", none)
    probe = RecordProbe(Gathered())
    for _ in range(3):
        assert (await probe(record(()), short=True)).result is Result.CONNECT
    assert tried == [ZONE]


async def test_only_servers_that_answer_for_the_zone_are_its_own() -> None:
    async with serving(Zone({(ZONE, "SOA"): ["ns.acme.example. a.acme.example. 1 1 1 1 1"]})) as [server]:
        assert await records._is_of(ZONE, server)
    async with serving(Zone(authoritative=False)) as [server]:
        assert not await records._is_of(ZONE, server)


async def test_short_probes_at_the_same_time_share_a_socket_that_is_closed_afterwards() -> None:
    names = [f"{number}.{ZONE}" for number in range(20)]
    zone = Zone({(name, "A"): ["192.0.2.1"] for name in names})
    async with serving(zone) as servers:
        probe = RecordProbe(Gathered())
        asked = [record(servers, name=name) for name in names]
        for each in asked:
            await probe(each, short=False)
        before = open_files()
        zone.clients.clear()
        for _ in range(3):
            zone.asked = 0
            assert await asyncio.gather(*(probe(each, short=True) for each in asked)) == [ANSWERED] * 20
            assert zone.asked == 20
        assert len(zone.clients) == 3
        assert open_files() == before


async def test_a_short_probe_ignores_what_nobody_asked_for() -> None:
    zone = Zone(dict(GOOD))
    async with serving(zone) as servers:
        probe = RecordProbe(Gathered())
        await probe(record(servers), short=False)
        zone.before, zone.asked = b"\0\0 no answer", 0
        assert await probe(record(servers), short=True) == ANSWERED
        assert zone.asked == 1


async def test_a_server_that_is_gone_fails_all_short_probes_that_wait() -> None:
    names = [f"{number}.{ZONE}" for number in range(5)]
    zone = Zone({(name, "A"): ["192.0.2.1"] for name in names})
    async with serving(zone) as servers:
        probe = RecordProbe(Gathered())
        asked = [record(servers, name=name) for name in names]
        for each in asked:
            await probe(each, short=False)
    before = open_files()
    found = await asyncio.gather(*(probe(each, short=True) for each in asked))
    assert {each.result for each in found} == {Result.CONNECT}
    assert open_files() == before


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
