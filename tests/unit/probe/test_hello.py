"""The short probe, against TLS servers on the loopback address, and bytes that no server sends."""

from __future__ import annotations

import random
import ssl

import pytest

from decco.probe import attempts, hello
from decco.probe.attempts import Attempts
from decco.probe.model import Observation, Result
from tests.unit.probe.servers import Pair, server_context, serving, target


@pytest.mark.parametrize("asks", [True, False])
async def test_the_expected_server(pair: Pair, asks: bool) -> None:
    context = server_context(pair)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pair.folder / "crt")
    async with serving(context) as port:
        assert await hello.as_expected(target(port, pair), 5)
        assert await hello.as_expected(target(port, pair, requests_client_certificate=True), 5) is asks


async def test_another_certificate_a_short_chain_and_no_server(pair: Pair) -> None:
    async with serving(server_context(pair)) as port:
        assert not await hello.as_expected(target(port, chain=(b"\1" * 32,)), 5)
    assert not await hello.as_expected(target(port, pair), 5)
    async with serving(server_context(pair, file="crt")) as port:
        assert not await hello.as_expected(target(port, pair), 5)


async def test_a_server_without_tls_1_2_has_whole_probes(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    context = server_context(pair)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    tried = []

    async def short(*_: object) -> bool:
        tried.append(True)
        return await real(*_)  # type: ignore[arg-type]

    real = hello.as_expected
    monkeypatch.setattr(hello, "as_expected", short)
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
