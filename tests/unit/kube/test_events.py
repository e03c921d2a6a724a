"""The events recorder: what is sent, what is counted, and that it never hurts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from decco.kube import events
from decco.kube.errors import AlreadyExists, Forbidden, KubeError, NotFound, Unreachable
from decco.kube.events import Recorder, note_of
from decco.objects import EVENTS, Key, Obj
from tests.sample import thorough

APP: Obj = {
    "apiVersion": "decco.platform9.com/v1beta2",
    "kind": "App",
    "metadata": {"name": "web", "namespace": "acme", "uid": "u1"},
}
SPACE: Obj = {"apiVersion": "decco.platform9.com/v1beta2", "kind": "Space", "metadata": {"name": "acme", "uid": "u2"}}


class Sent:
    """Stands where the client does; keeps what is sent, or fails on demand."""

    def __init__(self) -> None:
        self.created: list[Obj] = []
        self.patched: list[tuple[Key, Obj]] = []
        self.errors: list[KubeError] = []

    async def create(self, resource: Any, obj: Obj) -> Obj:
        assert resource is EVENTS
        self._fail()
        self.created.append(obj)
        return obj

    async def patch(self, resource: Any, key: Key, patch: Obj) -> Obj:
        assert resource is EVENTS
        self._fail()
        self.patched.append((key, patch))
        return patch

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


class Scene:
    def __init__(self) -> None:
        self.sent = Sent()
        client: Any = self.sent
        loop = asyncio.get_running_loop()
        self.drops: list[int] = []
        self.recorder = Recorder(
            client,
            controller="decco.platform9.com/controller",
            clock=loop.time,
            on_drop=lambda: self.drops.append(1),
        )

    def report(self, obj: Obj = APP, note: str = "it is up", reason: str = "Ready", kind: Any = "Normal") -> None:
        self.recorder.event(obj, kind, reason, note, "Reconcile")

    @property
    def counts(self) -> list[int]:
        return [patch["series"]["count"] for _, patch in self.sent.patched]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    task = asyncio.create_task(scene.recorder.run())
    yield scene
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_event_says_all_that_the_api_asks_for(scene: Scene) -> None:
    scene.report()
    await scene.recorder.drain(5)
    (event,) = scene.sent.created
    assert event["regarding"] == {
        "apiVersion": "decco.platform9.com/v1beta2",
        "kind": "App",
        "namespace": "acme",
        "name": "web",
        "uid": "u1",
    }
    assert event["metadata"]["namespace"] == "acme"
    assert event["metadata"]["name"].startswith("web.")
    assert {k: event[k] for k in ("type", "reason", "action", "note", "reportingController", "reportingInstance")} == {
        "type": "Normal",
        "reason": "Ready",
        "action": "Reconcile",
        "note": "it is up",
        "reportingController": "decco.platform9.com/controller",
        "reportingInstance": "decco.platform9.com/controller",
    }


async def test_events_about_cluster_scoped_objects_are_in_default(scene: Scene) -> None:
    scene.report(SPACE)
    await scene.recorder.drain(5)
    (event,) = scene.sent.created
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["regarding"]


@pytest.mark.looptime
async def test_repetitions_become_a_series_patched_once_a_minute(scene: Scene) -> None:
    for _ in range(100):
        scene.report()
        await asyncio.sleep(3)
    await asyncio.sleep(60)
    assert len(scene.sent.created) == 1
    key = Key("acme", scene.sent.created[0]["metadata"]["name"])
    assert {k for k, _ in scene.sent.patched} == {key}
    assert scene.counts[0] == 2  # the first repetition is reported at once
    assert scene.counts[-1] == 100  # the last one after its minute
    assert len(scene.counts) <= 7


@pytest.mark.looptime
async def test_after_six_quiet_minutes_it_is_another_event(scene: Scene) -> None:
    scene.report()
    await asyncio.sleep(359)
    scene.report()
    await asyncio.sleep(361)
    scene.report()
    await scene.recorder.drain(5)
    assert len(scene.sent.created) == 2
    assert scene.counts == [2]


async def test_other_words_are_another_event(scene: Scene) -> None:
    scene.report()
    scene.report(note="it is down")
    scene.report(reason="Failed")
    scene.report(kind="Warning")
    scene.report(SPACE)
    await scene.recorder.drain(5)
    assert len(scene.sent.created) == 5
    assert scene.counts == []


@pytest.mark.looptime
async def test_one_object_cannot_flood_and_others_are_heard(scene: Scene) -> None:
    for i in range(200):
        scene.report(note=f"try {i}")
    scene.report(SPACE)
    await scene.recorder.drain(5)
    assert len(scene.sent.created) == events.BURST + 1
    assert len(scene.drops) == 200 - events.BURST
    await asyncio.sleep(events.REFILL_SECONDS)
    scene.report(note="a minute later")
    await scene.recorder.drain(5)
    assert scene.sent.created[-1]["note"] == "a minute later"


def app_of(space: str, number: int) -> Obj:
    meta = {"name": f"web{number}", "namespace": space, "uid": f"{space}-{number}"}
    return {**APP, "metadata": meta}


@thorough
async def test_a_space_with_many_broken_apps_does_not_silence_others(scene: Scene) -> None:
    for round_ in range(4):
        for number in range(200):
            scene.report(app_of("noisy", number), note=f"broken {round_}")
        scene.report(app_of("calm", round_), note=f"it is up {round_}")
        await asyncio.sleep(1)
    sent = [event["regarding"]["namespace"] for event in scene.sent.created]
    assert sent.count("calm") == 4
    assert events.SPACE_BURST <= sent.count("noisy") <= events.SPACE_BURST + 5
    assert len(scene.drops) >= 590


async def test_the_queue_keeps_a_place_for_others() -> None:
    scene = Scene()
    for number in range(2 * events.QUEUE_SIZE):
        scene.report(app_of("noisy", number))
    scene.report(app_of("calm", 0))
    assert scene.recorder._queue.qsize() == events.SPACE_WAITING + 1


async def test_reporting_neither_waits_nor_raises() -> None:
    scene = Scene()  # nothing is sent
    for i in range(events.QUEUE_SIZE + 50):
        scene.report(app_of(f"space-{i}", 0), note=str(i))
    assert len(scene.drops) == 50
    bad: list[Any] = [{}, {"metadata": {}}, None, {"apiVersion": "v1", "kind": "x", "metadata": None}]
    for obj in bad:
        scene.report(obj)
    assert len(scene.drops) == 54


@pytest.mark.looptime
@pytest.mark.parametrize("failures", [1, 3])
async def test_trouble_that_passes_loses_nothing(scene: Scene, failures: int) -> None:
    scene.sent.errors = [Unreachable("gone")] * failures
    scene.report()
    await scene.recorder.drain(60)
    assert len(scene.sent.created) == 1
    assert len(scene.drops) == 0


@pytest.mark.looptime
async def test_trouble_that_stays_does_not_stop_the_recorder(scene: Scene) -> None:
    scene.sent.errors = [Unreachable("gone")] * events.TRIES + [Forbidden(403, "Forbidden", "terminating")]
    for note in ("lost", "refused", "sent"):
        scene.report(note=note)
    await scene.recorder.drain(60)
    assert [e["note"] for e in scene.sent.created] == ["sent"]
    assert len(scene.drops) == 2


async def test_an_event_whose_answer_was_lost_starts_its_series(scene: Scene) -> None:
    scene.sent.errors = [AlreadyExists(409, "AlreadyExists", "events web.1 already exists")]
    scene.report()
    scene.report()
    await scene.recorder.drain(5)
    assert scene.sent.created == []
    assert scene.counts == [2]


async def test_a_series_whose_event_has_expired_starts_again(scene: Scene) -> None:
    scene.report()
    await scene.recorder.drain(5)
    scene.sent.errors = [NotFound(404, "NotFound", "gone")]
    scene.report()
    scene.report()
    await scene.recorder.drain(5)
    assert len(scene.sent.created) == 2


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_REMEMBERED", 10)
    scene = Scene()
    task = asyncio.create_task(scene.recorder.run())
    for i in range(100):
        scene.report({**APP, "metadata": {"name": f"app-{i}", "namespace": "acme", "uid": str(i)}})
    await scene.recorder.drain(5)
    assert len(scene.sent.created) == 100
    assert len(scene.recorder._series) == 10
    assert len(scene.recorder._budgets) == 10
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.looptime
async def test_ended_series_take_no_memory(scene: Scene) -> None:
    """A series that nothing can continue, and the budget of an object that may report as much as at first again."""
    for i in range(100):
        scene.report({**APP, "metadata": {"name": f"app-{i}", "namespace": "acme", "uid": str(i)}})
        await scene.recorder.drain(5)
        await asyncio.sleep(events.SERIES_SECONDS / 10)
    assert len(scene.sent.created) == 100
    assert len(scene.recorder._series) == 9
    assert len(scene.recorder._budgets) == events.BURST * events.REFILL_SECONDS // (events.SERIES_SECONDS / 10) + 1
    await asyncio.sleep(events.SERIES_SECONDS)
    assert len(scene.recorder._series) == 0, "no further report is needed for that"


async def test_a_long_name_leaves_space_for_the_time(scene: Scene) -> None:
    scene.report({**APP, "metadata": {"name": "a" * 253, "namespace": "acme", "uid": "u"}})
    await scene.recorder.drain(5)
    assert len(scene.sent.created[0]["metadata"]["name"]) <= 253


@pytest.mark.parametrize(
    ("message", "note"),
    [
        ("plain", "plain"),
        ("two\nlines \x1b[31mred", "two lines [31mred"),
        ("", ""),
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1021 + "…"),
        ("ü" * 1024, "ü" * 510 + "…"),
        ("😀" * 300, "😀" * 255 + "…"),
    ],
)
def test_notes_are_printable_and_at_most_1_kib(message: str, note: str) -> None:
    assert note_of(message) == note
    assert len(note_of(message).encode()) <= 1024
