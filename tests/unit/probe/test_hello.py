"""The short probe, against TLS servers on the loopback address, and bytes that no server sends."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl

import pytest

from decco.probe import attempts, gathered, hello
from decco.probe.attempts import Attempts
from decco.probe.gathered import Gathered
from decco.probe.model import Observation, Result, Target
from tests.unit.probe.servers import Pair, server_context, serving, target


def hellos() -> hello.Hellos:
    return hello.Hellos(Gathered())


@pytest.mark.parametrize("asks", [True, False])
async def test_the_expected_server(pair: Pair, asks: bool) -> None:
    context = server_context(pair)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pair.folder / "crt")
    async with serving(context) as port:
        assert await hellos().as_expected(target(port, pair), 5)
        assert await hellos().as_expected(target(port, pair, requests_client_certificate=True), 5) is asks


async def test_another_certificate_a_short_chain_and_no_server(pair: Pair) -> None:
    async with serving(server_context(pair)) as port:
        assert not await hellos().as_expected(target(port, chain=(b"\1" * 32,)), 5)
    assert not await hellos().as_expected(target(port, pair), 5)
    async with serving(server_context(pair, file="crt")) as port:
        assert not await hellos().as_expected(target(port, pair), 5)


async def test_the_address_of_a_host_name_is_kept_for_a_while(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def resolve(target: Target) -> tuple[int, str]:
        asked.append(target.address)
        return socket.AF_INET, "127.0.0.1"

    monkeypatch.setattr(hello, "resolve", resolve)
    short = hellos()
    async with serving(server_context(pair)) as port:
        for name in ("one.example", "one.example", "two.example"):
            assert await short.as_expected(target(port, pair, address=name), 5)
        assert asked == ["one.example", "two.example"]
        monkeypatch.setattr(hello, "RESOLVED_SECONDS", 0.0)
        again = hellos()
        for _ in range(2):
            assert await again.as_expected(target(port, pair, address="one.example"), 5)
    assert asked == ["one.example", "two.example", "one.example", "one.example"]


async def test_probes_at_once_are_taken_together(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many wake-ups as for one: that is what they cost."""
    looks = []
    look = Gathered._poll_sockets
    monkeypatch.setattr(Gathered, "_poll_sockets", lambda self: (looks.append(True), look(self)))
    monkeypatch.setattr(gathered, "PAUSE_SECONDS", 0.25)
    short = hellos()
    async with serving(server_context(pair)) as port:
        assert all(await asyncio.gather(*(short.as_expected(target(port, pair), 60) for _ in range(20))))
    assert len(looks) < 20


async def test_a_silent_server_ends_a_short_probe_in_its_time(pair: Pair) -> None:
    async with serving(None) as port:
        assert not await hellos().as_expected(target(port, pair), 0.1)


async def test_a_server_without_tls_1_2_has_whole_probes(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    context = server_context(pair)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    tried = []

    async def short(*arguments: object) -> bool:
        tried.append(True)
        return await real(*arguments)  # type: ignore[arg-type]

    real = hello.Hellos.as_expected
    monkeypatch.setattr(hello.Hellos, "as_expected", short)
    probe = Attempts()
    async with serving(context) as port:
        for _ in range(3):
            assert await probe(target(port, pair), True) == Observation(Result.ANSWERED)
    assert tried == [True]


async def test_what_a_short_probe_cannot_confirm_is_found_out_by_a_whole_one(pair: Pair) -> None:
    async with serving(server_context(pair)) as port:
        found = await Attempts()(target(port, chain=(b"\1" * 32,)), True)
    assert found.result is Result.CERTIFICATE


def test_a_probe_path_and_any_certificate_have_whole_probes(pair: Pair) -> None:
    assert attempts._has_short(target(443, pair))
    assert not attempts._has_short(target(443, pair, probe_path="/healthz"))
    assert not attempts._has_short(target(443))


def test_any_bytes_and_any_cut_end_the_parser() -> None:
    dice = random.Random(14)
    for _ in range(300):
        parser = hello.Parser()
        for _ in range(20):
            parser.feed(bytes((22, 3, 3, 0, dice.randrange(40))) + dice.randbytes(dice.randrange(60)))
        assert len(parser._messages) < 200_000


def test_a_server_that_never_ends_is_cut_off() -> None:
    parser = hello.Parser()
    for _ in range(100):
        parser.feed(bytes((22, 3, 3)) + (16_000).to_bytes(2, "big") + b"\x0b\xff\xff\xff" + bytes(15_996))
    assert parser.failed


def test_a_server_that_sends_empty_records_is_cut_off() -> None:
    parser = hello.Parser()
    for _ in range(100):
        parser.feed(bytes((22, 3, 3, 0, 0)) * 1_000)
    assert parser.failed
