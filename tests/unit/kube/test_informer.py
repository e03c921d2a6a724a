"""From the watch's words to steps of the store. The watch itself is tested in test_watch.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from decco.kube import informer
from decco.kube import watch as w
from decco.kube.entry import Shape, read_entry
from decco.kube.informer import Informer, Yielder
from decco.kube.store import Change, Store
from decco.objects import CONFIGMAPS, Obj
from tests.capture import capture_logs
from tests.promises import PATIENCE


def cm(name: str, version: int) -> Obj:
    meta = {"name": name, "namespace": "acme", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"v": str(version)}}


class Script:
    """A watch that sends its lines one at a time, on request of the test."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[w.WatchEvent | None] = asyncio.Queue()
        self._said = asyncio.Event()
        self.closed = False

    async def __call__(self) -> AsyncGenerator[w.WatchEvent, None]:
        try:
            while True:
                line = await self._lines.get()
                if line is None:
                    return
                yield line
                self._said.set()
        finally:
            self.closed = True

    async def say(self, *lines: w.WatchEvent) -> None:
        """Returns when the informer has dealt with all of them."""
        for line in lines:
            self._said.clear()
            self._lines.put_nowait(line)
            await asyncio.wait_for(self._said.wait(), PATIENCE)

    def end(self) -> None:
        self._lines.put_nowait(None)


class Harness:
    def __init__(self, shape: Shape | None = None) -> None:
        self.store = Store(CONFIGMAPS, shape or Shape())
        self.script = Script()
        self.counts: list[int] = []
        self.events = 0
        self.steps: list[tuple[str, bool, bool]] = []
        self.store.subscribe(self._step)
        self.informer = Informer(self.store, self.script, self, "configmaps")

    def _step(self, change: Change) -> None:
        self.steps.append((change.entry.key.name, change.own, change.initial))

    def watch_event(self, resource: str) -> None:
        assert resource == "configmaps"
        self.events += 1

    def watch_trouble(self, resource: str, cause: str) -> None:
        raise AssertionError("an informer has no troubles of its own")

    def cache_objects(self, resource: str, count: int) -> None:
        assert resource == "configmaps"
        self.counts.append(count)

    def versions(self) -> dict[str, int]:
        return {entry.key.name: entry.version for entry in self.store}


@pytest.fixture
async def harness() -> AsyncGenerator[Harness, None]:
    harness = Harness()
    task = asyncio.create_task(harness.informer.run())
    yield harness
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert harness.script.closed


async def test_a_list_becomes_visible_whole(harness: Harness) -> None:
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)), w.InitApply(cm("b", 2)))
    assert (len(harness.store), harness.informer.synced.is_set()) == (0, False)
    await harness.script.say(w.InitDone("10"))
    assert (harness.versions(), harness.informer.synced.is_set()) == ({"a": 1, "b": 2}, True)
    assert harness.steps == [("a", False, True), ("b", False, True)]


async def test_the_objects_of_a_large_list_are_kept_out_of_garbage_collection(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[None] = []
    monkeypatch.setattr(informer, "FREEZE_OBJECTS", 2)
    monkeypatch.setattr(informer.gc, "freeze", lambda: frozen.append(None))
    for count in range(1, 6):
        await harness.script.say(w.Init(), *(w.InitApply(cm(f"c{number}", count)) for number in range(count)))
        await harness.script.say(w.InitDone(str(10 * count)))
    # 15 objects were new, or newer than the store's: seven times two.
    assert len(frozen) == 7


async def test_changes_follow_the_list(harness: Harness) -> None:
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)), w.InitApply(cm("b", 2)), w.InitDone("10"))
    await harness.script.say(w.Apply(cm("a", 11)), w.Delete(cm("b", 12)), w.Bookmark("20"), w.Apply(cm("c", 21)))
    assert harness.versions() == {"a": 11, "c": 21}
    assert harness.steps[2:] == [("a", False, False), ("b", False, False), ("c", False, False)]
    assert harness.events == 7, "a list that was only requested does not count as progress"
    assert harness.counts[-3:] == [2, 1, 2]


async def test_a_list_that_breaks_off_leaves_no_trace(harness: Harness) -> None:
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)), w.InitDone("5"))
    await harness.script.say(w.Init(), w.InitApply(cm("ghost", 6)))
    assert harness.versions() == {"a": 1}
    await harness.script.say(w.Init(), w.InitApply(cm("b", 7)), w.InitDone("10"))
    assert harness.versions() == {"b": 7}


async def test_an_own_write_during_a_list_stays(harness: Harness) -> None:
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)))
    harness.store.put(cm("a", 12), own=True)
    harness.store.put(cm("mine", 11), own=True)
    await harness.script.say(w.InitDone("10"))
    assert harness.versions() == {"a": 12, "mine": 11}


async def test_an_unchanged_object_is_not_read_again_at_a_relist() -> None:
    read: list[str] = []

    def note(obj: Obj) -> None:
        read.append(obj["metadata"]["name"])

    harness = Harness(Shape(facts=note))
    task = asyncio.create_task(harness.informer.run())
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)), w.InitApply(cm("b", 2)), w.InitDone("5"))
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)), w.InitApply(cm("b", 6)), w.InitDone("10"))
    assert read == ["a", "b", "b"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_object_that_cannot_be_read_hides_no_other(harness: Harness) -> None:
    bad_at_list, bad_at_watch = cm("bad", 3), cm("worse", 12)
    del bad_at_list["metadata"]["uid"]
    bad_at_watch["metadata"]["annotations"] = ["no map"]
    with capture_logs() as lines:
        await harness.script.say(w.Init(), w.InitApply(bad_at_list), w.InitApply(cm("a", 1)), w.InitDone("10"))
        await harness.script.say(w.Apply(bad_at_watch), w.Apply(cm("b", 13)))
    assert harness.versions() == {"a": 1, "b": 13}
    assert [(line["key"], line["log_level"]) for line in lines] == [("acme/bad", "error"), ("acme/worse", "error")]


async def test_a_watch_that_ends_is_no_secret() -> None:
    """A task that simply returned would leave a stale cache without any error."""
    harness = Harness()
    task = asyncio.create_task(harness.informer.run())
    harness.script.end()
    with pytest.raises(RuntimeError, match="watch of configmaps has ended"):
        await task


async def test_a_defect_in_a_subscriber_ends_the_informer_and_its_request() -> None:
    harness = Harness()

    def defect(_: Change) -> None:
        raise ZeroDivisionError

    harness.store.subscribe(defect)
    task = asyncio.create_task(harness.informer.run())
    closed_at_the_end: list[bool] = []
    task.add_done_callback(lambda _: closed_at_the_end.append(harness.script.closed))
    line = asyncio.create_task(harness.script.say(w.Apply(cm("a", 1))))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(task, PATIENCE)
    assert not line.done(), "the line is not dealt with"
    line.cancel()
    assert closed_at_the_end == [True]


async def test_without_a_name_it_is_called_as_its_kind() -> None:
    assert Informer(Store(CONFIGMAPS), Script()).name == "configmaps"


async def test_an_object_that_cannot_be_read_keeps_what_was_known_of_it(harness: Harness) -> None:
    """By a list as by an event: its names are in use, whatever else is wrong with it."""
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)), w.InitApply(cm("b", 2)), w.InitDone("10"))
    broken = cm("a", 11)
    broken["metadata"]["annotations"] = ["no map"]
    with capture_logs():
        await harness.script.say(w.Apply(broken))
        assert harness.versions() == {"a": 1, "b": 2}
        await harness.script.say(w.Init(), w.InitApply(broken), w.InitApply(cm("b", 2)), w.InitDone("20"))
    assert harness.versions() == {"a": 1, "b": 2}
    assert len(harness.steps) == 2, "nothing has happened to either"
    await harness.script.say(w.Init(), w.InitApply(cm("b", 2)), w.InitDone("30"))
    assert harness.versions() == {"b": 2}


async def test_a_list_of_a_restored_history_replaces_everything(harness: Harness) -> None:
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)), w.InitApply(cm("b", 2)), w.InitDone("10"))
    harness.store.put(cm("own", 50), own=True)
    await harness.script.say(w.Apply(cm("a", 40)), w.Delete(cm("b", 41)), w.Apply(cm("lost", 42)))
    await harness.script.say(w.Init(), w.InitApply(cm("a", 1)), w.InitApply(cm("b", 2)))
    assert harness.versions() == {"a": 40, "lost": 42, "own": 50}
    await harness.script.say(w.InitDone("12"))
    assert harness.versions() == {"a": 1, "b": 2}
    await harness.script.say(w.Apply(cm("a", 13)), w.Delete(cm("b", 14)), w.Apply(cm("own", 15)))
    assert harness.versions() == {"a": 13, "own": 15}


async def test_others_run_while_a_long_list_is_taken_in() -> None:
    """A subscriber that takes 2 ms for each of 100 objects: without pauses the loop would be blocked for 200 ms."""
    harness = Harness()
    now = 0.0

    def slow(_: Change) -> None:
        nonlocal now
        now += 0.002

    harness.store.subscribe(slow)
    rounds = 0

    async def other() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    yielder = Yielder(clock=lambda: now)
    running = asyncio.create_task(other())
    entries = {entry.key: entry for entry in (read_entry(cm(f"n{n}", n + 1), Shape()) for n in range(100))}
    for _ in harness.store.replace_stepwise(entries, 1000):
        await yielder.yield_if_due()
    running.cancel()
    assert rounds >= 15
