from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from decco.resolver import service
from decco.resolver.model import Known, LookupResult
from decco.resolver.service import (
    FAILURES,
    MAX_ADDRESSES,
    MAX_AT_ONCE_OF_A_GROUP,
    MAX_NAMES_OF_A_GROUP,
    PAUSE_SECONDS,
    TOO_MANY,
    Resolver,
)

NAME = "api.example.com"


@dataclass(frozen=True)
class Limits:
    refresh_min_seconds: float = 30.0
    refresh_max_seconds: float = 300.0
    keep_seconds: float = 900.0


class World:
    """A resolver on the loop's own time, with answers by name."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.answers: dict[str, LookupResult | Exception] = {}
        self.asked: list[tuple[float, str]] = []
        self.called: list[tuple[float, str]] = []
        self.seconds = 0.0
        self.resolver = Resolver(Limits, self.query, clock=self.loop.time)
        self.resolver.subscribe(lambda uid: self.called.append((self.now, uid)))
        self.start = self.loop.time()

    @property
    def now(self) -> float:
        return round(self.loop.time() - self.start, 1)

    async def query(self, name: str) -> LookupResult:
        self.asked.append((self.now, name))
        if self.seconds:
            await asyncio.sleep(self.seconds)
        answer = self.answers.get(name, LookupResult(error="the name does not exist"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ensure(
        self, *names: str, uid: str = "a", group: str = "acme", former: dict[str, tuple[str, ...]] | None = None
    ) -> dict[str, Known]:
        return self.resolver.ensure(uid, names, group=group, former=former or {})

    def known(self, name: str = NAME) -> Known:
        return self.ensure(name)[name]


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    task = asyncio.create_task(world.resolver.run())
    try:
        yield world
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


pytestmark = pytest.mark.looptime


async def test_a_name_is_asked_for_at_once_and_again_when_its_answer_is_old() -> None:
    async with running() as world:
        world.answers[NAME] = LookupResult(("1.1.1.1", "8.8.8.8"), ttl=60)
        assert world.known() == Known(pending=True)
        await asyncio.sleep(1)
        assert world.known() == Known(("1.1.1.1", "8.8.8.8"))
        assert world.called == [(0.0, "a")]
        await asyncio.sleep(149)
        assert [when for when, _ in world.asked] == [0.0, 60.0, 120.0]
        assert world.called == [(0.0, "a")]  # nothing has changed


@pytest.mark.parametrize(("ttl", "pause"), [(0, 30), (10, 30), (60, 60), (86_400, 300)])
async def test_the_ttl_has_a_floor_and_a_ceiling(ttl: float, pause: float) -> None:
    async with running() as world:
        world.answers[NAME] = LookupResult(("1.1.1.1",), ttl=ttl)
        world.known()
        await asyncio.sleep(2 * pause + 1)
        assert [when for when, _ in world.asked] == [0, pause, 2 * pause]


async def test_an_address_that_an_answer_no_longer_has_is_kept_for_a_while() -> None:
    async with running() as world:
        world.answers[NAME] = LookupResult(("1.1.1.1",), ttl=30)
        world.known()
        await asyncio.sleep(1)
        world.answers[NAME] = LookupResult(("8.8.8.8",), ttl=30)
        await asyncio.sleep(30)
        assert world.known().addresses == ("1.1.1.1", "8.8.8.8")
        await asyncio.sleep(880)
        assert world.known().addresses == ("1.1.1.1", "8.8.8.8")
        await asyncio.sleep(60)
        assert world.known().addresses == ("8.8.8.8",)


async def test_failures_keep_the_last_addresses_and_are_reported_when_they_last() -> None:
    async with running() as world:
        world.answers[NAME] = LookupResult(("1.1.1.1",), ttl=30)
        world.known()
        await asyncio.sleep(1)
        for failure in (
            LookupResult(error="no DNS server answered in time", partial=True),
            LookupResult(error="the name does not exist"),
        ):
            world.answers[NAME] = failure
            await asyncio.sleep(30)
            assert world.known() == Known(("1.1.1.1",))
        await asyncio.sleep(7200)
        assert world.known() == Known(("1.1.1.1",), error="the name does not exist")
        world.answers[NAME] = LookupResult(("1.1.1.1",), ttl=30)
        await asyncio.sleep(300)
        assert world.known() == Known(("1.1.1.1",))


async def test_a_half_answer_removes_nothing() -> None:
    async with running() as world:
        world.answers[NAME] = LookupResult(("1.1.1.1", "2606:4700::1111"), ttl=30)
        world.known()
        await asyncio.sleep(1)
        world.answers[NAME] = LookupResult(("1.1.1.1",), ttl=30, partial=True)  # AAAA timed out
        await asyncio.sleep(7200)
        assert world.known().addresses == ("1.1.1.1", "2606:4700::1111")


async def test_a_name_without_addresses_has_its_error_at_once_and_is_asked_for_ever_more_rarely() -> None:
    async with running() as world:
        world.known()
        await asyncio.sleep(1)
        assert world.known() == Known(error="the name does not exist")
        await asyncio.sleep(1000)
        assert [when for when, _ in world.asked] == [0, 30, 90, 210, 450, 750]
        assert FAILURES == 3
        assert world.called == [(0.0, "a")]


async def test_addresses_from_before_count_until_there_is_an_answer() -> None:
    async with running() as world:
        world.answers[NAME] = LookupResult(error="no DNS server answered in time", partial=True)
        former = {NAME: ("1.1.1.1",)}
        assert world.ensure(NAME, former=former)[NAME] == Known(("1.1.1.1",), pending=True)
        await asyncio.sleep(1)
        assert world.ensure(NAME)[NAME] == Known(("1.1.1.1",))
        assert world.called == [(0.0, "a")]  # it is no longer pending


async def test_names_that_change_all_the_time_call_their_owner_rarely() -> None:
    async with running() as world:
        names = [f"n{i}.example.com" for i in range(20)]
        for i, name in enumerate(names):
            world.answers[name] = LookupResult((f"1.1.1.{i}",), ttl=30)
            world.ensure(*names[: i + 1])
            await asyncio.sleep(0.1)
        world.called.clear()
        for round_ in range(2, 12):
            for i, name in enumerate(names):
                world.answers[name] = LookupResult((f"1.1.{round_}.{i}",), ttl=30)
            await asyncio.sleep(30)
        pauses = [later - earlier for (earlier, _), (later, _) in zip(world.called, world.called[1:], strict=False)]
        assert world.called
        assert min(pauses) >= PAUSE_SECONDS - 0.1


async def test_the_number_of_addresses_is_bounded_and_the_last_ones_stay() -> None:
    async with running() as world:
        world.known()
        for i in range(MAX_ADDRESSES + 10):
            world.answers[NAME] = LookupResult((f"1.1.1.{i}",), ttl=0)
            await asyncio.sleep(30)
        await asyncio.sleep(1)
        found = world.known().addresses
        assert len(found) == MAX_ADDRESSES
        assert f"1.1.1.{MAX_ADDRESSES + 9}" in found
        assert "1.1.1.0" not in found


async def test_the_names_of_a_space_are_bounded_and_others_have_theirs() -> None:
    async with running() as world:
        names = [f"n{i:03}.example.com" for i in range(MAX_NAMES_OF_A_GROUP + 1)]
        found = world.ensure(*names, former={names[-1]: ("1.1.1.1",)})
        assert found[names[-1]] == Known(("1.1.1.1",), error=TOO_MANY)
        assert sum(known.error == TOO_MANY for known in found.values()) == 1
        assert world.ensure(names[-1], uid="b", group="other")[names[-1]].pending
        world.ensure(*names[1:])  # one is free again
        assert not world.ensure(*names[1:])[names[-1]].error


async def test_owners_share_a_name_and_it_ends_with_the_last() -> None:
    async with running() as world:
        world.answers[NAME] = LookupResult(("1.1.1.1",), ttl=30)
        world.ensure(NAME, uid="a")
        world.ensure(NAME, uid="b", group="other")
        await asyncio.sleep(1)
        assert [name for _, name in world.asked] == [NAME]
        assert sorted(uid for _, uid in world.called) == ["a", "b"]
        world.resolver.forget("a")
        await asyncio.sleep(30)
        assert len(world.asked) == 2
        world.ensure(uid="b", group="other")
        world.resolver.forget("nobody")
        await asyncio.sleep(600)
        assert len(world.asked) == 2


async def test_questions_at_once_are_bounded() -> None:
    async with running() as world:
        world.seconds = 5
        for part in range(5):
            names = [f"n{i}.example.com" for i in range(part, 100, 5)]
            world.ensure(*names, uid=f"u{part}", group=f"space-{part}")
        await asyncio.sleep(1)
        assert len(world.asked) == service.MAX_AT_ONCE
        await asyncio.sleep(16)
        assert len(world.asked) == 100


async def test_a_defect_in_a_question_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as world:
        world.answers = {NAME: RuntimeError("oops"), "b.example.com": LookupResult(("1.1.1.1",), ttl=30)}
        world.ensure(NAME, "b.example.com")
        await asyncio.sleep(1)
        found = world.ensure(NAME, "b.example.com")
        assert found[NAME].error == "RuntimeError"
        assert found["b.example.com"].addresses == ("1.1.1.1",)


def test_results_for_two_types_of_records() -> None:
    nothing, gone = LookupResult(error="it has no addresses"), LookupResult(error="the name does not exist")
    failed = LookupResult(error="no DNS server answered in time", partial=True)
    four, six = LookupResult(("1.1.1.1",), 60.0), LookupResult(("2606:4700::1111",), 30.0)
    assert LookupResult.merged([four, six]) == LookupResult(("1.1.1.1", "2606:4700::1111"), 30.0)
    assert LookupResult.merged([four, nothing]) == LookupResult(("1.1.1.1",), 60.0)
    assert LookupResult.merged([four, failed]) == LookupResult(("1.1.1.1",), 60.0, partial=True)
    assert LookupResult.merged([gone, failed]) == failed
    assert LookupResult.merged([gone, gone]) == gone


async def test_names_without_an_answer_do_not_delay_those_of_another_space() -> None:
    async with running() as world:
        world.seconds = 5.0
        slow = [f"n{i:03d}.evil.example" for i in range(MAX_NAMES_OF_A_GROUP)]
        world.ensure(*slow, uid="evil", group="evil")
        await asyncio.sleep(0.1)
        world.ensure(NAME)
        await asyncio.sleep(1)
        assert [at for at, name in world.asked if name == NAME] == [0.1]
        assert len(world.asked) == MAX_AT_ONCE_OF_A_GROUP + 1
        # Half of them are not needed any more: the others are asked in their order, and none is forgotten.
        world.ensure(*slow[::2], uid="evil", group="evil")
        await asyncio.sleep(5 * MAX_NAMES_OF_A_GROUP / MAX_AT_ONCE_OF_A_GROUP)
        asked = [name for _, name in world.asked if name != NAME]
        assert list(dict.fromkeys(asked[MAX_AT_ONCE_OF_A_GROUP:]))[: len(slow) // 2 - 4] == slow[::2][4:]
        assert set(slow[::2]) <= set(asked)
