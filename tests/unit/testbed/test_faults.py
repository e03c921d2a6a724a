"""The rules of the fault proxy, and how it takes a watch apart; the rest is tested against a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from testbed.faults import Call, Drop, Rule, html, refuse
from testbed.watchstream import lines
from tests.promises import PATIENCE

CALL = Call("GET", "/api/v1/pods", {"limit": "5"}, {"User-Agent": "x"}, b"", watch=False)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({}, True),
        ({"method": "GET"}, True),
        ({"method": "POST"}, False),
        ({"path": "/pods$"}, True),
        ({"path": "^/pods"}, False),
        ({"watch": False}, True),
        ({"watch": True}, False),
        ({"when": lambda call: call.query.get("limit") == "5"}, True),
        ({"when": lambda call: b"x" in call.body}, False),
        ({"times": 0}, False),
        ({"method": "GET", "path": "/nodes"}, False),
    ],
)
def test_a_rule_is_for_what_fits_all_it_says(rule: dict[str, Any], matches: bool) -> None:
    assert Rule(Drop(), **rule).matches(CALL) is matches


async def test_a_rule_is_used_up_and_can_be_waited_for() -> None:
    rule = Rule(Drop(), times=2)
    waiting = asyncio.create_task(rule.hit(2))
    for _ in range(2):
        assert rule.matches(CALL)
        assert not waiting.done()
        await rule.count()
    assert not rule.matches(CALL)
    await asyncio.wait_for(waiting, PATIENCE)


def test_a_refusal_looks_like_one_of_the_api_server() -> None:
    refusal = refuse(429, "slow down", retry_after=7)
    assert refusal.headers == {"Retry-After": "7"}
    assert b'"reason": "TooManyRequests"' in refusal.body
    assert b'"code": 429' in refusal.body
    assert refuse(409, reason="AlreadyExists").body.count(b"AlreadyExists") == 1
    assert html(502).content_type == "text/html"


class Reply:
    """The part of aiohttp's answer that is read."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.content = self

    async def iter_any(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\nb\n"], [b"a\n", b"b\n"]),
        ([b"a", b"b\nc", b"\n"], [b"ab\n", b"c\n"]),
        ([b"a\n", b"unfinished"], [b"a\n", b"unfinished"]),
        ([b"\n\n"], [b"\n", b"\n"]),
        ([], []),
        ([b"x" * 3_000_000, b"\n"], [b"x" * 3_000_000 + b"\n"]),
    ],
)
async def test_lines_of_any_length_and_in_any_pieces(chunks: list[bytes], expected: list[bytes]) -> None:
    assert [line async for line in lines(Reply(*chunks))] == expected  # type: ignore[arg-type]
