"""The watch's state machine: where each way in which a request can end leads to. No server: requests are scripted."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from decco.kube import errors
from decco.kube import watch as w
from decco.kube.client import ListPage
from decco.kube.errors import Garbled, Unreachable
from decco.kube.transport import Outages
from decco.objects import APPS, SECRETS, Obj, Resource
from tests.capture import capture_logs

CUT = Unreachable("cut", sent=True)
GONE = errors.Gone(410, "Expired", "too old resource version")
NOT_SERVED = errors.NotServed(404, "", "404 page not found")


def obj(name: str, version: int) -> Obj:
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(version)}}


def line(kind: str, thing: Any) -> bytes:
    return orjson.dumps({"type": kind, "object": thing})


def bookmark(version: int) -> bytes:
    return line("BOOKMARK", {"kind": "App", "metadata": {"resourceVersion": str(version)}})


def error_event(code: int, reason: str) -> bytes:
    return line("ERROR", {"kind": "Status", "code": code, "reason": reason, "message": "from the stream"})


@dataclass
class Listing:
    """A list request: its pages, each with the version it names, then the error if there is one."""

    pages: Sequence[tuple[list[Obj], str]] = ()
    error: Exception | None = None


@dataclass
class Watching:
    """A watch request: its lines, how long it stands, then an end or an error."""

    lines: Sequence[bytes] = ()
    error: Exception | None = None
    seconds: float = 0.0


class EndOfScriptError(Exception):
    """There is no request left in the script."""


@dataclass
class Script:
    """Stands where the client does, plays back what is written, and notes what was asked."""

    steps: list[Listing | Watching]
    asked: list[str] = field(default_factory=list)
    """"list" or "watch <version>", in order."""
    pauses: list[float] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    now: float = 0.0
    outages: Outages = field(default_factory=Outages)
    before_watch: Callable[[], None] = lambda: None

    def _next(self) -> Listing | Watching:
        if not self.steps:
            raise EndOfScriptError
        return self.steps.pop(0)

    async def list_pages(self, *_: Any, limit: int, **__: Any) -> AsyncGenerator[ListPage, None]:
        assert limit == 250
        self.asked.append("list")
        step = self._next()
        assert isinstance(step, Listing), f"a list, where the script has {step}"
        for items, version in step.pages:
            yield ListPage(items, version, remaining=False)
        if step.error:
            raise step.error

    async def watch_lines(
        self, *_: Any, resource_version: str, timeout_seconds: int, idle_seconds: float, **__: Any
    ) -> AsyncGenerator[bytes, None]:
        least, most = w.WATCH_SECONDS
        assert least <= timeout_seconds <= most
        assert idle_seconds == 75.0
        self.asked.append(f"watch {resource_version}")
        self.before_watch()
        step = self._next()
        assert isinstance(step, Watching), f"a watch, where the script has {step}"
        for text in step.lines:
            yield text
        self.now += step.seconds
        if step.error:
            raise step.error

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def run(self, resource: Resource = APPS) -> list[str]:
        """All events in short form, up to the end of the script."""
        events: list[str] = []
        client: Any = self
        stream = w.watch(
            client,
            w.WatchSpec(resource),
            idle_seconds=75.0,
            on_trouble=lambda e, _: self.troubles.append(e),
            sleep=self.sleep,
            clock=lambda: self.now,
        )
        try:
            async with aclosing(stream):
                async for event in stream:
                    events.append(short(event))  # noqa: PERF401 - what came before the end counts
        except EndOfScriptError:
            return events
        raise AssertionError("a watch is endless")


def short(event: w.WatchEvent) -> str:
    match event:
        case w.InitApply(obj=o) | w.Apply(obj=o) | w.Delete(obj=o):
            return f"{type(event).__name__} {o['metadata']['name']}@{o['metadata']['resourceVersion']}"
        case w.InitDone(resource_version=v) | w.Bookmark(resource_version=v):
            return f"{type(event).__name__} {v}"
        case _:
            return type(event).__name__


EMPTY = Listing([([], "10")])
QUIET = Watching(seconds=300.0)
"""A watch that ends as the server was asked to end it."""


async def test_a_list_then_its_changes() -> None:
    script = Script(
        [
            Listing([([obj("a", 1), obj("b", 2)], "10"), ([obj("c", 3)], "10")]),
            Watching(
                [
                    line("ADDED", obj("d", 11)),
                    line("MODIFIED", obj("a", 12)),
                    line("DELETED", obj("b", 13)),
                    bookmark(20),
                ]
            ),
        ]
    )
    assert await script.run() == [
        "Init",
        "InitApply a@1",
        "InitApply b@2",
        "InitApply c@3",
        "InitDone 10",
        "Apply d@11",
        "Apply a@12",
        "Delete b@13",
        "Bookmark 20",
    ]
    assert script.asked == ["list", "watch 10", "watch 20"]
    assert script.troubles == []


CHANGE = line("MODIFIED", obj("a", 15))


@pytest.mark.parametrize(
    ("ending", "then"),
    [
        # What may resume
        (Watching([CHANGE]), "watch 15"),
        (Watching([CHANGE, bookmark(30)]), "watch 30"),
        (Watching([bookmark(30)], CUT), "watch 30"),
        (Watching([CHANGE], CUT), "watch 15"),
        (Watching([], CUT), "watch 10"),
        (Watching([CHANGE], Unreachable("silent for 75 s")), "watch 15"),
        (Watching([CHANGE, b'{"type":"MODIF']), "watch 15"),
        (Watching([CHANGE, b"<html>busy</html>"]), "watch 15"),
        (Watching([CHANGE], errors.Unauthorized(401, "Unauthorized", "")), "watch 15"),
        (Watching([CHANGE], errors.Forbidden(403, "Forbidden", "")), "watch 15"),
        (Watching([CHANGE], errors.TooManyRequests(429, "TooManyRequests", "")), "watch 15"),
        (Watching([CHANGE], errors.ServerError(503, "ServiceUnavailable", "")), "watch 15"),
        (Watching([CHANGE, error_event(429, "TooManyRequests")]), "watch 15"),
        # What may not
        (Watching([CHANGE], GONE), "list"),
        (Watching([CHANGE, error_event(410, "Expired")]), "list"),
        (Watching([CHANGE, error_event(410, "Gone")]), "list"),
        (Watching([CHANGE, error_event(500, "InternalError")]), "list"),
        (Watching([CHANGE], NOT_SERVED), "list"),
        (Watching([CHANGE], errors.BadRequest(400, "BadRequest", "invalid resource version")), "list"),
        (
            Watching([], errors.ServerError(504, "Timeout", "", {"causes": [{"reason": "ResourceVersionTooLarge"}]})),
            "list",
        ),
    ],
)
async def test_where_each_ending_leads(ending: Watching, then: str) -> None:
    script = Script([EMPTY, ending])
    await script.run()
    assert script.asked == ["list", "watch 10", then]


@pytest.mark.parametrize("bad", [b"{", b"[]", b"{}", b'{"type":"ADDED"}', b'{"type":"ADDED","object":null}', b'"text"'])
async def test_the_same_garbage_twice_leads_to_a_list(bad: bytes) -> None:
    script = Script([EMPTY, Watching([CHANGE, bad]), Watching([bad]), EMPTY])
    await script.run()
    assert script.asked == ["list", "watch 10", "watch 15", "list", "watch 10"]
    assert [type(t) for t in script.troubles] == [Garbled, Garbled]


async def test_no_part_of_a_secret_gets_into_an_error() -> None:
    script = Script([EMPTY, Watching([b'{"tls.key":"c2VjcmV0'])])
    await script.run(SECRETS)
    assert "c2VjcmV0" not in str(script.troubles[0])
    assert "(20 bytes, not shown)" in str(script.troubles[0])


async def test_garbage_after_progress_is_not_the_same_garbage() -> None:
    later = line("MODIFIED", obj("a", 16))
    script = Script([EMPTY, Watching([CHANGE, b"{"]), Watching([later, b"{"]), Watching([b"{"])])
    await script.run()
    assert script.asked == ["list", "watch 10", "watch 15", "watch 16", "list"]


@pytest.mark.parametrize("error", [GONE, CUT, Garbled("html"), NOT_SERVED, errors.Forbidden(403, "Forbidden", "no")])
async def test_a_list_that_breaks_off_starts_over(error: Exception) -> None:
    script = Script([Listing([([obj("a", 1)], "10")], error), Listing([([obj("b", 2)], "11")]), QUIET])
    assert await script.run() == ["Init", "InitApply a@1", "Init", "InitApply b@2", "InitDone 11"]
    assert script.asked == ["list", "list", "watch 11", "watch 11"]


@pytest.mark.parametrize(
    "useless",
    [
        {},
        {"metadata": {}},
        {"metadata": {"name": "x"}},
        {"metadata": {"resourceVersion": "5"}},
        {"metadata": {"name": "x", "resourceVersion": "abc"}},
        {"metadata": None},
    ],
)
async def test_a_useless_object_does_not_affect_others(useless: Obj) -> None:
    in_stream = [line("ADDED", useless)] if isinstance(useless.get("metadata"), dict) else []
    script = Script([Listing([([obj("a", 1), useless, obj("b", 2)], "10")]), Watching([*in_stream, CHANGE])])
    with capture_logs() as logs:
        events = await script.run()
    assert events == ["Init", "InitApply a@1", "InitApply b@2", "InitDone 10", "Apply a@15"]
    skipped = [entry for entry in logs if entry["event"] == "object without name or resourceVersion skipped"]
    assert len(skipped) == 1 + len(in_stream)


async def test_an_event_of_an_unknown_type_is_skipped() -> None:
    script = Script([EMPTY, Watching([line("SURPRISE", obj("a", 14)), CHANGE])])
    assert (await script.run())[2:] == ["Apply a@15"]


# Pauses


def full(script: Script, monkeypatch: pytest.MonkeyPatch) -> Script:
    """The longest pauses that chance can give."""
    monkeypatch.setattr("decco.kube.watch.random.uniform", lambda _low, high: high)
    return script


async def test_pauses_grow_and_are_reset_after_a_healthy_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [Watching([], CUT) for _ in range(9)]
    script = full(Script([EMPTY, *bad, QUIET, Watching([], CUT), Watching([CHANGE], CUT)]), monkeypatch)
    await script.run()
    assert script.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 0.2, 0.4, 0.2]


async def test_a_server_that_closes_at_once_gets_no_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    script = full(Script([EMPTY, *(Watching([bookmark(11)]) for _ in range(30))]), monkeypatch)
    await script.run()
    assert sum(script.pauses) > 600
    assert len(script.troubles) == 30
    assert "as soon as it is open" in str(script.troubles[0])


async def test_a_watch_that_ends_when_it_was_requested_to_end_was_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert w.WATCH_SECONDS == (300, 600)
    monkeypatch.setattr(w, "WATCH_SECONDS", (2, 2))
    script = full(Script([EMPTY, *(Watching([], seconds=2.0) for _ in range(5))]), monkeypatch)
    await script.run()
    assert script.pauses == [0.2] * 5
    assert script.troubles == []


async def test_lists_and_watches_that_fail_in_turn_get_no_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [step for _ in range(10) for step in (EMPTY, Watching([], GONE))]
    script = full(Script(list(pairs)), monkeypatch)
    await script.run()
    assert script.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


REFUSED = Unreachable("connection refused", sent=False)


async def test_a_server_that_is_back_after_an_outage_is_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [Watching([], REFUSED), *(Listing(error=REFUSED) for _ in range(6))]
    script = full(Script([EMPTY, *away, Listing([([], "20")]), QUIET]), monkeypatch)
    await script.run()
    assert script.asked == ["list", "watch 10", *["list"] * 7, "watch 20", "watch 20"]
    assert script.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 0.2]


FAILING = errors.ServerError(503, "ServiceUnavailable", "no healthy upstream")


@pytest.mark.parametrize(
    "outage",
    [
        [Watching([CHANGE], REFUSED)],
        [Watching([CHANGE], CUT), Watching([], REFUSED)],
        [Watching([CHANGE], Unreachable("silent for 75 s", sent=True), seconds=75.0)],
        [Watching([CHANGE], CUT), *(Watching([], CUT, seconds=3.0) for _ in range(4))],
        [Watching([CHANGE]), *(Watching([], FAILING, seconds=3.0) for _ in range(5))],
    ],
    ids=["refused", "cut, then refused", "a long silence", "cut for long", "503 for long"],
)
async def test_after_an_outage_a_version_is_not_resumed(outage: list[Watching]) -> None:
    """etcd may have been restored meanwhile: the server would be silent until that version is reached, or leave out
    what came before it in the new history.
    """
    script = Script([EMPTY, *outage, EMPTY])
    await script.run()
    assert script.asked[-2:] == ["list", "watch 10"]


async def test_an_outage_that_another_request_met_leads_to_a_list() -> None:
    """The watch waits for its next try while the API servers are away and their etcd is restored."""
    script = Script([EMPTY, Watching([], CUT), EMPTY, QUIET])

    def meanwhile() -> None:
        script.outages.count = 1

    script.before_watch = meanwhile
    await script.run()
    assert script.asked == ["list", "watch 10", "list", "watch 10", "watch 10"]


async def test_failures_with_signs_of_life_in_between_are_no_outage() -> None:
    failing = Watching([], FAILING, seconds=4.0)
    script = Script([EMPTY, Watching([CHANGE]), failing, Watching([bookmark(16)], CUT), failing, failing])
    await script.run()
    assert script.asked == ["list", "watch 10", "watch 15", "watch 15", "watch 16", "watch 16", "watch 16"]


async def test_a_history_that_has_gone_back_is_reported() -> None:
    script = Script([EMPTY, Watching([CHANGE, bookmark(30)], REFUSED), Listing([([obj("a", 9)], "12")]), QUIET])
    with capture_logs() as logs:
        assert (await script.run())[-2:] == ["InitApply a@9", "InitDone 12"]
    (line,) = [line for line in logs if "history has gone back" in line["event"]]
    assert (line["known"], line["listed"], line["log_level"]) == (30, 12, "warning")


@pytest.mark.parametrize("tries", [0, 1, 5, 10, 1000])
def test_pauses_have_full_jitter(tries: int) -> None:
    ceiling = min(30.0, 0.2 * 2.0 ** min(tries, 16))
    seconds = [w.pause(tries) for _ in range(200)]
    assert 0.0 <= min(seconds) < 0.2 * ceiling
    assert 0.8 * ceiling < max(seconds) <= ceiling


# What is logged


async def test_a_kind_that_is_not_served_is_said_clearly_and_once() -> None:
    script = Script([Listing([], NOT_SERVED), Listing([], NOT_SERVED), EMPTY, Watching([CHANGE])])
    with capture_logs() as logs:
        await script.run()
    logged = [(e["log_level"], e["event"], e.get("error")) for e in logs]
    words = "the cluster does not serve apps.decco.platform9.com: is its CustomResourceDefinition installed? (404)"
    assert logged == [
        ("warning", "watch interrupted", words),
        ("debug", "watch interrupted", words),
        ("info", "watch works again", None),
    ]
    assert [str(t) for t in script.troubles] == [words, words]


async def test_refusals_of_a_server_that_starts_are_logged_only_if_they_continue() -> None:
    refused = Watching([], errors.Forbidden(403, "Forbidden", "no"), seconds=0.6)
    script = Script([EMPTY, *[refused] * 4, Watching([CHANGE])])
    with capture_logs() as logs:
        await script.run()
    assert {e["log_level"] for e in logs} == {"debug"}
    script = Script([EMPTY, *[refused] * 5, Watching([CHANGE])])
    with capture_logs() as logs:
        await script.run()
    assert [e["log_level"] for e in logs] == ["debug"] * 4 + ["warning", "info"]
    assert logs[4]["error"] == "no: allow it to list and watch them, as the roles in manifests/rbac do (403 Forbidden)"


async def test_each_permission_that_is_lacking_is_said_once() -> None:
    """Whoever grants one of them would otherwise see nothing of the next."""
    refused = {
        words: Watching([], errors.Forbidden(403, "Forbidden", words), seconds=1.5)
        for words in ("not this", "nor this")
    }
    script = Script([EMPTY, *[refused["not this"]] * 4, *[refused["nor this"]] * 4, Watching([CHANGE])])
    with capture_logs() as logs:
        await script.run()
    assert [e["error"][:8] for e in logs if e["log_level"] == "warning"] == ["not this", "nor this"]


async def test_the_ordinary_course_is_no_trouble() -> None:
    script = Script([EMPTY, QUIET, Watching([CHANGE], GONE), Listing([([], "20")]), QUIET])
    with capture_logs() as logs:
        await script.run()
    assert script.troubles == []
    assert logs == []


async def test_versions_that_expire_again_and_again_are_trouble() -> None:
    script = Script([EMPTY, Watching([], GONE), EMPTY, Watching([], GONE)])
    await script.run()
    assert [type(t) for t in script.troubles] == [errors.Gone]


async def test_while_it_watches_it_holds_no_former_trouble() -> None:
    """An error has a traceback, its frames have all that they were working on, and the next watch lasts for hours."""
    trouble = Unreachable("cut", sent=True)
    script: Any = Script([EMPTY, Watching([bookmark(11)], trouble), Watching([bookmark(12)])])
    former = weakref.ref(trouble)
    del trouble
    stream = w.watch(script, w.WatchSpec(APPS), idle_seconds=75.0, sleep=script.sleep)
    async with aclosing(stream):
        async for event in stream:
            if event == w.Bookmark("12"):
                break
        gc.collect()
        assert former() is None
