"""The settings file of a running controller: what is in force at once, what is logged about the rest, and how often."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decco import log as logs
from decco.settings import LogLevel
from decco.settings.fields import SETTINGS, reloadable
from decco.settings.live import ADVICE, LiveSettings
from decco.settings.model import RELOADABLE
from tests.promises import PATIENCE

log = logs.get_logger("decco.test")
PAUSE_SECONDS = 0.005


class Mounted:
    """A ConfigMap as the kubelet mounts it: the file is a link through a link, and that one is exchanged."""

    def __init__(self, folder: Path, text: str) -> None:
        self._folder = folder
        self._number = 0
        self.path = folder / "decco.yaml"
        self.write(text)
        self.path.symlink_to("..data/decco.yaml")

    def write(self, text: str) -> None:
        self._number += 1
        content = self._folder / f"..content-{self._number}"
        content.mkdir()
        (content / "decco.yaml").write_text(text)
        # Same size and same time: only the inode distinguishes it from the one before.
        os.utime(content / "decco.yaml", (1, 1))
        draft = self._folder / "..data_tmp"
        draft.symlink_to(content.name)
        draft.rename(self._folder / "..data")


class Log:
    """What was logged, and a way to wait for it."""

    def __init__(self) -> None:
        self._stream = io.BytesIO()
        logs.configure("json", "info", self._stream)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    async def until(self, count: int) -> dict[str, Any]:
        """The line of that number, from 1 on, as the last one so far."""
        async with asyncio.timeout(PATIENCE):
            while len(self.lines()) < count:  # noqa: ASYNC110 - a stream sets no event
                await asyncio.sleep(PAUSE_SECONDS)
        assert len(self.lines()) == count, self.lines()
        return self.lines()[-1]


@pytest.fixture
def out(logging_restored: None) -> Log:
    return Log()


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path, "logLevel: info\n")


class Watched(LiveSettings):
    """Counts the checks, so that a test can wait for the end of one more."""

    reads = 0

    def _changed(self) -> Any:
        try:
            return super()._changed()
        finally:
            self.reads += 1

    async def await_read(self) -> None:
        """Returns when the file as it is now has been read and applied."""
        # The next read may have begun before now; the one after it begins when that was applied.
        before = self.reads
        async with asyncio.timeout(PATIENCE):
            while self.reads < before + 2:  # noqa: ASYNC110 - counted in another thread
                await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def following(
    mounted: Mounted, flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> AsyncIterator[Watched]:
    live = await asyncio.to_thread(Watched, flags or {}, environ or {}, mounted.path)
    live.subscribe("logLevel", logs.change_level)
    task = asyncio.create_task(live.follow(PAUSE_SECONDS))
    try:
        yield live
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_another_level_is_in_force_at_once(mounted: Mounted, out: Log) -> None:
    async with following(mounted):
        log.debug("before")
        mounted.write("logLevel: debug\n")
        line = await out.until(1)
        assert (line["event"], line["level"]) == ("the log level is changed", "info")
        assert (line["before"], line["after"]) == ("info", "debug")
        log.debug("after")
        assert (await out.until(2))["event"] == "after"


async def test_a_quieter_level_is_logged_before_it_applies(mounted: Mounted, out: Log) -> None:
    async with following(mounted) as live:
        mounted.write("logLevel: error\n")
        assert (await out.until(1))["after"] == "error"
        await live.await_read()
        log.warning("unheard")
        log.error("heard")
        assert (await out.until(2))["event"] == "heard"


async def test_what_needs_a_restart_is_said_once(mounted: Mounted, out: Log) -> None:
    async with following(mounted) as live:
        mounted.write("logLevel: info\nclusterId: east\nrouting: {backend: none}\n")
        line = await out.until(1)
        assert (line["event"], line["level"]) == ("changed settings wait for a restart", "warning")
        assert line["settings"] == ["clusterId", "routing.backend"]
        assert line["advice"] == ADVICE
        mounted.write("routing: {backend: none}\nclusterId: east\n")  # the same in other words
        await live.await_read()
        mounted.write("logLevel: debug\nclusterId: east\nrouting: {backend: none}\n")
        assert (await out.until(2))["after"] == "debug"
        mounted.write("logLevel: debug\nclusterId: west\nrouting: {backend: none}\n")
        assert (await out.until(3))["settings"] == ["clusterId", "routing.backend"]
        mounted.write("logLevel: debug\n")
        assert (await out.until(4))["event"] == "the settings file is again as at the start"


async def test_each_mistake_is_a_line_and_the_old_settings_stay(mounted: Mounted, out: Log) -> None:
    async with following(mounted) as live:
        mounted.write("logLevel: debg\nclusterID: east\n")
        await out.until(2)
        await live.await_read()
        first, second = out.lines()
        assert {first["level"], second["level"]} == {"error"}
        assert {first["event"]} == {"the settings file is wrong, what was in force stays"}
        said = sorted(line["mistake"].removeprefix(str(mounted.path)) for line in (first, second))
        assert said[0].startswith(":1: logLevel: ")
        assert said[0].endswith("did you mean debug?")
        assert said[1] == ":2: clusterID: unknown setting; did you mean clusterId?"
        log.debug("unheard")
        mounted.write("logLevel: debug\n")
        assert (await out.until(3))["after"] == "debug"


async def test_a_file_that_is_gone_for_a_time(mounted: Mounted, out: Log) -> None:
    async with following(mounted) as live:
        mounted.path.unlink()
        line = await out.until(1)
        assert "cannot be read: No such file or directory" in line["mistake"]
        await live.await_read()
        mounted.path.symlink_to("..data/decco.yaml")
        await live.await_read()
        mounted.write("logLevel: debug\n")
        assert (await out.until(2))["after"] == "debug"


@pytest.mark.parametrize(
    ("flags", "environ"),
    [({"log_level": "warning"}, {}), ({}, {"DECCO_LOG_LEVEL": "warning"})],
    ids=["flag", "variable"],
)
async def test_a_stronger_source_stays_stronger(
    mounted: Mounted, out: Log, flags: dict[str, Any], environ: dict[str, str]
) -> None:
    async with following(mounted, flags, environ) as live:
        mounted.write("logLevel: debug\n")
        await live.await_read()
        assert out.lines() == []


async def test_a_change_between_the_start_and_the_first_read_is_seen(mounted: Mounted, out: Log) -> None:
    live = await asyncio.to_thread(LiveSettings, {}, {}, mounted.path)
    live.subscribe("logLevel", logs.change_level)
    mounted.write("logLevel: debug\n")
    task = asyncio.create_task(live.follow(PAUSE_SECONDS))
    assert (await out.until(1))["after"] == "debug"
    task.cancel()


async def test_a_file_that_does_not_change_is_not_read(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    async with following(mounted) as live:
        monkeypatch.setattr("decco.settings.live.load", lambda *_: pytest.fail("read again"))
        await live.await_read()


async def test_the_holder_has_what_is_in_force(mounted: Mounted, out: Log) -> None:
    """A reloadable setting as it is in the file now, any other as it was at the start."""
    async with following(mounted) as live:
        mounted.write("logLevel: debug\nclusterId: east\n")
        await out.until(2)
        assert (live.current.log_level, live.current.cluster_id) == (LogLevel.DEBUG, "default")


def test_only_reloadable_settings_have_subscribers() -> None:
    live = LiveSettings({}, {}, None)
    found = [key for key, setting in SETTINGS.items() if setting.reloadable]
    assert found == ["logLevel", "probe.enabled", "probe.intervalSeconds", "probe.maxPerSecond"]
    assert reloadable("probe") == [key for key in found if key.startswith("probe.")]
    with pytest.raises(ValueError, match="a change of clusterId waits for a restart"):
        live.subscribe("clusterId", logs.change_level)


async def test_each_subscriber_of_a_setting_receives_a_change(mounted: Mounted) -> None:
    received: list[str] = []
    async with following(mounted) as live:
        for name in ("first", "second"):
            live.subscribe("probe.enabled", lambda _before, after, name=name: received.append(f"{name} {after}"))
        mounted.write("probe: {enabled: false}\n")
        await live.await_read()
        assert received == ["first False", "second False"]


async def test_the_mark_at_the_field_makes_a_setting_reloadable(
    mounted: Mounted, out: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = copy.copy(SETTINGS["dns.ttl"].field)
    field.metadata = [*field.metadata, RELOADABLE]
    monkeypatch.setitem(SETTINGS, "dns.ttl", replace(SETTINGS["dns.ttl"], field=field))
    seen: list[tuple[int, int]] = []
    async with following(mounted) as live:
        live.subscribe("dns.ttl", lambda before, after: seen.append((before, after)))
        mounted.write("logLevel: info\ndns: {ttl: 60, adopt: true}\n")
        assert (await out.until(1))["settings"] == ["dns.adopt"]
        assert seen == [(180, 60)]
        assert (live.current.dns.ttl, live.current.dns.adopt) == (60, False)
