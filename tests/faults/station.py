"""The controllers of one run, one after the other, and the faults that strike them."""

from __future__ import annotations

import asyncio
import errno
import json
import re
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field

from testbed.faults import Action, Call, CutReply, Drop, LoseReply, html, refuse
from testbed.watchstream import WatchStream
from tests.faults.access import Access
from tests.faults.addresses import is_write, of_call, of_event
from tests.faults.instance import Instance
from tests.faults.plans import DNS, Fault
from tests.faults.process import Process
from tests.faults.view import View
from tests.faults.zone import ZONE, Line, SharedZone

LONG_SECONDS = 2.5
"""How long an error lasts; the pauses of the controllers here are as much shorter than usual."""
STALE_SECONDS = 1.0
LATE_SECONDS = 0.7
RESTART_SECONDS = 0.05
IDLE_SECONDS = 8.0
"""Silence after which a watch counts as broken, where a plan silences one. All watches are opened again then, also
those on which nothing happens: it must be long enough for quiet times."""
_VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
SETTINGS = {
    "DECCO_METRICS_BIND_ADDRESS": "0",
    "DECCO_CLUSTER_DOMAIN": "cluster.local",
    "DECCO_LEADER_ELECTION__ENABLED": "false",
    "DECCO_PROBE__ENABLED": "false",
    "DECCO_EDGE__NAMESPACE": "edge",
    "DECCO_EDGE__ADDRESSES": '["192.0.2.1"]',
    "DECCO_CONTROLLER__RETRY_BASE_SECONDS": "0.1",
    "DECCO_CONTROLLER__RETRY_MAX_SECONDS": "0.8",
    "DECCO_DNS__PROVIDERS": json.dumps([{"type": "memory", "zones": [ZONE]}]),
    "DECCO_DNS__GATHER_MILLISECONDS": "20",
    "DECCO_DNS__RETRY_BASE_SECONDS": "0.1",
    "DECCO_DNS__RETRY_MAX_SECONDS": "0.5",
}


@dataclass
class Sent:
    """A request that changes something, as the API server answered it."""

    address: str
    status: int
    call: Call
    life: int


@dataclass
class _Armed:
    fault: Fault
    hit: bool = False
    until: float = 0.0


@dataclass
class Station:
    """One run's controllers. ``sent`` has all writes that the API server answered, in its order of answers."""

    access: Access
    token: str
    faults: Sequence[Fault] = ()
    sent: list[Sent] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Address -> occurrences since ``arm``."""
    errors: list[str] = field(default_factory=list)
    lives: int = 0
    as_process: bool = False
    instance: Instance | Process = field(init=False)

    def __post_init__(self) -> None:
        self.zone = SharedZone(self._before_dns, self._after_dns)
        self._armed: list[_Armed] = []
        self._is_armed = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._background: set[asyncio.Task[None]] = set()
        self._context = copy_context()
        self.last_activity = time.monotonic()
        self.last_write = time.monotonic()
        self.version = "0"
        """The newest resourceVersion seen."""
        self.versions: dict[str, str] = {}
        """Address#number of each write -> the version after it."""

    # Life

    async def start(self, as_of: str = "") -> None:
        self.lives += 1
        self.view = await self._open_view(as_of)
        settings = {**SETTINGS, "DECCO_NAMESPACE": f"decco-{self.token}"}
        if any(fault.kind == "event-silent" for fault in self.faults):
            settings["DECCO_CONTROLLER__WATCH_IDLE_SECONDS"] = str(IDLE_SECONDS)
        if self.as_process:
            self.instance = Process(self.view.kubeconfig, settings)
        else:
            self.instance = Instance(self.view.url, settings, self.zone)
        self.instance.start()

    async def _open_view(self, as_of: str) -> View:
        while True:
            view = View(self.access, self.token, self, as_of)
            try:
                await view.__aenter__()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:  # the port was taken by another run a moment ago
                    raise
            else:
                return view

    async def end(self) -> None:
        """SIGTERM, and what it leaves."""
        while self._background:
            await asyncio.wait(self._background)
        await self.instance.stop()
        self.errors += self.instance.errors
        await self.view.__aexit__(None, None, None)

    def crash(self, as_of: str = "") -> None:
        """Kills the controller, now; another one starts."""
        self.view.is_closed = True
        self.instance.die()
        self._spawn(self._die(as_of))

    async def _die(self, as_of: str) -> None:
        view, instance = self.view, self.instance
        await view.close()
        await instance.kill()
        self.errors += instance.errors
        await view.__aexit__(None, None, None)
        await asyncio.sleep(RESTART_SECONDS)
        if as_of:
            self._flowing.clear()
        await self.start(as_of)
        if as_of:
            await asyncio.sleep(STALE_SECONDS)
            self.view.as_of = ""
            self._flowing.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """In the station's own context: a task of the controller would be killed with it."""
        task = asyncio.get_running_loop().create_task(work, context=self._context)
        self._background.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append(f"the harness failed: {error!r}")

    # Faults

    def arm(self) -> None:
        """From now on requests and events are counted, and faults strike."""
        self.sent.clear()
        self.counts.clear()
        self._is_armed = True
        self._armed = [_Armed(fault) for fault in self.faults]

    @property
    def missed(self) -> list[Fault]:
        """Faults whose occurrence has not come."""
        return [each.fault for each in self._armed if not each.hit]

    @property
    def is_busy(self) -> bool:
        """Whether a fault still goes on."""
        return (
            bool(self._background)
            or self.view.under_way > 0
            or any(each.until > time.monotonic() for each in self._armed)
        )

    def _strikes(self, address: str) -> str:
        """The kind of the fault that strikes at this occurrence, or ""."""
        if not self._is_armed:
            return ""
        self.counts[address] += 1
        for each in self._armed:
            if each.fault.address != address:
                continue
            is_long = each.fault.kind.startswith("long-")
            if each.hit and not (is_long and time.monotonic() < each.until):
                continue
            if self.counts[address] >= each.fault.number if is_long else self.counts[address] == each.fault.number:
                if not each.hit and is_long:
                    each.until = time.monotonic() + LONG_SECONDS
                each.hit = True
                return each.fault.kind
        return ""

    # What the view reports

    async def on_call(self, call: Call) -> Action | None:
        if call.watch:
            return None
        self.last_activity = time.monotonic()
        address = of_call(call, self.token)
        kind = self._strikes(address)
        if kind == "crash-before":
            self.crash()
            return Drop()
        if kind in {"crash-after", "stale-restart"}:
            return LoseReply()
        name, _, code = kind.partition("-")
        if name in {"once", "long"}:
            if code == "garbage":
                return html(200)
            return Drop() if code == "reset" else refuse(int(code), retry_after=1 if code == "429" else None)
        actions: dict[str, Action] = {"lost-request": Drop(), "lost-reply": LoseReply(), "cut-reply": CutReply()}
        if kind == "freeze":
            self._spawn(self._freeze())
        return actions.get(kind)

    def on_answer(self, call: Call, status: int, body: bytes) -> None:
        self.last_activity = time.monotonic()
        address = of_call(call, self.token)
        if is_write(call):
            self.last_write = time.monotonic()
            self.sent.append(Sent(address, status, call, self.lives))
            found = [int(each) for each in _VERSION.findall(body[:4000])]
            if status < 300 and found:
                self.version = str(max(int(self.version), *found))
            self.versions[f"{address}#{self.counts[address]}"] = self.version
        if self.instance.alive and self._is_armed:
            for each in self._armed:
                kind, wanted = each.fault.kind, (each.fault.address, each.fault.number)
                if each.hit and wanted == (address, self.counts[address]) and kind in {"crash-after", "stale-restart"}:
                    self.crash(self.version if kind == "stale-restart" else "")

    async def on_line(self, stream: WatchStream, line: bytes) -> Sequence[bytes]:
        await self._flowing.wait()
        if b'"type":"BOOKMARK"' in line[:64] or b'"type":"ERROR"' in line[:64]:
            return (line,)
        self.last_activity = time.monotonic()
        kind = self._strikes(of_event(stream.path, line, self.token))
        match kind:
            case "event-expired":
                await stream.expire()
                return ()
            case "event-reset":
                stream.break_off()
                return ()
            case "event-silent":
                stream.silence()
                return ()
            case "event-doubled":
                return (line, line)
            case "event-garbled":
                await stream.garble()
                stream.end()
                return ()
            case "event-late":
                await asyncio.sleep(LATE_SECONDS)
                self.last_activity = time.monotonic()
            case _:
                pass
        return (line,)

    async def _freeze(self) -> None:
        self._flowing.clear()
        await asyncio.sleep(STALE_SECONDS)
        self._flowing.set()
        self.last_activity = time.monotonic()

    async def travel(self) -> None:
        """At the end of a scenario: a restart in the past, for the faults of this kind."""
        for each in self._armed:
            if each.fault.kind == "travel" and f"{each.fault.address}#{each.fault.number}" in self.versions:
                self.crash(self.versions[f"{each.fault.address}#{each.fault.number}"])
                each.hit = True
                while self._background:
                    await asyncio.wait(self._background)

    # The zone

    async def _before_dns(self) -> Line:
        self.last_activity = self.last_write = time.monotonic()
        kind = self._strikes(DNS)
        if kind == "crash-before":
            self.crash()
        self._dns_kind = kind
        return {"lost-request": Line.AWAY, "lost-reply": Line.LOST}.get(kind, Line.GOOD)

    async def _after_dns(self) -> None:
        if self._dns_kind == "crash-after":
            self.crash()
