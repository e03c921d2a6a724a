"""The way between a process and an API server: latency, lost answers, partitions, and watches that break.

``Network.fate`` decides what happens to each request; without faults everything arrives after a short time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.simulation.clock import CLOCK
from tests.simulation.loops import Process
from tests.simulation.model.answers import Answer
from tests.simulation.model.api import Api
from tests.simulation.model.requests import Request
from tests.simulation.model.servers import Server, Stream

TICK = 1e-6
"""Seconds between two lines of a watch."""


class Loss(Enum):
    """Why a request gets no answer."""

    REFUSED = auto()  # nothing listens there
    SILENT = auto()  # packets get lost: the client waits until its limit
    RESET = auto()  # the connection ends, before or after the request was carried out


@dataclass(frozen=True, slots=True)
class Fate:
    """``out`` and ``back`` in seconds. ``answer`` is given instead of the server's; ``lost_before`` and ``lost_after``:
    without and with an effect.
    """

    out: float
    back: float
    answer: Answer | None = None
    lost_before: Loss | None = None
    lost_after: Loss | None = None


class Pipe:
    """A watch at the client: lines that have arrived, and how it ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: asyncio.Future[None] | None = None
        self.chunks: list[bytes] = []
        self.ended: Loss | bool = False
        """False while it is open, True after a clean end."""
        self.closed = False
        self.last = 0.0

    def put(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self._wake()

    def end(self, how: Loss | bool) -> None:
        self.ended = how
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done() and not self._loop.is_closed():
            self._waiting.set_result(None)

    def arrival(self) -> asyncio.Future[None]:
        """Done when there is something to take, now or later."""
        self._waiting = self._loop.create_future()
        if self.chunks or self.ended is not False:
            self._waiting.set_result(None)
        return self._waiting

    def taken(self) -> bytes | Loss | None:
        """What has arrived, b"" at a clean end; None if there is nothing yet."""
        if self.chunks:
            chunks, self.chunks = b"".join(self.chunks), []
            return chunks
        if self.ended is False:
            return None
        return b"" if self.ended is True else self.ended


@dataclass
class Seen:
    """One request that reached a server, for the oracles."""

    process: Process
    request: Request
    status: int
    at: float


@dataclass
class Network:
    """Connects processes to servers. ``partitioned`` processes reach nothing."""

    api: Api
    servers: list[Server]
    loop: asyncio.AbstractEventLoop
    rng: random.Random
    partitioned: set[str] = field(default_factory=set)
    fate: Callable[[Process, Request], Fate] | None = None
    on_request: list[Callable[[Seen], None]] = field(default_factory=list)
    pipes: dict[Pipe, tuple[Process, Stream]] = field(default_factory=dict)
    mangle: Callable[[Pipe, bytes], list[bytes] | Loss] | None = None
    """What becomes of a line of a watch on the way."""
    late: Callable[[str], float] = lambda _plural: 0.0
    """By how many seconds a line of a watch of this kind arrives late; lines stay in order."""
    requests: int = 0
    silent: list[tuple[Process, Stream, float]] = field(default_factory=list)
    """Watches that stay open while nothing comes any more, and since when."""
    _held: dict[str, list[Callable[[], None]]] = field(default_factory=dict)
    """What is on its way to or from a process that is cut off."""

    def latency(self) -> float:
        return self.rng.uniform(0.0005, 0.004)

    def server_of(self, process: Process) -> Server:
        number = sum(map(ord, process.name))
        return self.servers[number % len(self.servers)]

    def ask(self, process: Process, request: Request) -> asyncio.Future[Answer | Loss | Pipe]:
        """Sends a request; the future is of the caller's loop."""
        self.requests += 1
        caller = asyncio.get_running_loop()
        future: asyncio.Future[Answer | Loss | Pipe] = caller.create_future()
        fate = Fate(self.latency(), self.latency()) if self.fate is None else self.fate(process, request)

        def answer(result: Answer | Loss | Pipe) -> None:
            if process.alive and not future.done() and not caller.is_closed():
                future.set_result(result)

        def arrive() -> None:
            result = self._carry_out(process, request, fate, caller)
            if result is Loss.SILENT:
                return
            self.loop.call_later(fate.back, answer, result)

        self.loop.call_later(fate.out, arrive)
        return future

    def _carry_out(
        self, process: Process, request: Request, fate: Fate, caller: asyncio.AbstractEventLoop
    ) -> Answer | Loss | Pipe:
        if process.name in self.partitioned:
            if not request.is_watch and self.rng.random() < 0.5:
                # The kernel sends it again until the network works: it arrives, whoever waits for the answer.
                self._held.setdefault(process.name, []).append(
                    lambda: self._carry_out(process, request, fate, caller) and None
                )
            return Loss.SILENT
        server = self.server_of(process)
        if not server.up:
            return Loss.REFUSED
        if fate.lost_before is not None:
            return fate.lost_before
        if fate.answer is not None:
            return fate.answer
        if request.is_watch:
            return self._watch(process, server, request, caller)
        answer = self.api.handle(request)
        seen = Seen(process, request, answer.status, CLOCK.now)
        for function in self.on_request:
            function(seen)
        return answer if fate.lost_after is None else fate.lost_after

    def _watch(
        self, process: Process, server: Server, request: Request, caller: asyncio.AbstractEventLoop
    ) -> Answer | Pipe:
        pipe = Pipe(caller)
        target = self.api.target(request.path)
        plural = target.kind.plural if target is not None else ""

        def deliver(line: bytes | None, when: float) -> None:
            # Later than the line before: callbacks of the same time run in any order.
            pipe.last = max(pipe.last + TICK, when + self.latency() + self.late(plural))
            self.loop.call_at(pipe.last, arrive, line)

        def arrive(line: bytes | None) -> None:
            if pipe.closed or pipe.ended is not False:
                return
            if process.name in self.partitioned:
                self._held.setdefault(process.name, []).append(lambda: arrive(line))
                return
            if line is None:
                pipe.end(True)
                return
            pieces: list[bytes] | Loss = [line] if self.mangle is None else self.mangle(pipe, line)
            if isinstance(pieces, Loss):
                self.cut(pipe, pieces)
                return
            for piece in pieces:
                pipe.put(piece)

        found = server.watch(request, deliver)
        if isinstance(found, Answer):
            return found
        self.pipes[pipe] = (process, found)
        return pipe

    def heal(self, name: str) -> None:
        """A process that was cut off is connected again."""
        self.partitioned.discard(name)
        for function in self._held.pop(name, []):
            function()

    def close(self, pipe: Pipe) -> None:
        """The client has closed the watch."""
        pipe.closed = True
        found = self.pipes.pop(pipe, None)
        if found is not None:
            found[1].close()

    def cut(self, pipe: Pipe, how: Loss = Loss.RESET) -> None:
        """Ends a watch on the way; SILENT: it stays open and nothing comes any more."""
        if pipe.ended is False:
            if how is not Loss.SILENT:
                pipe.end(how)
            else:
                pipe.closed = True
        found = self.pipes.pop(pipe, None)
        if found is not None:
            found[1].close()
            if how is Loss.SILENT:
                self.silent.append((*found, CLOCK.now))

    def cut_all(self, of: Server | Process | None = None) -> None:
        for pipe, (process, stream) in list(self.pipes.items()):
            if of is None or of is process or of is stream.server:
                self.cut(pipe)

    def stop(self, server: Server) -> None:
        self.cut_all(server)
        server.stop()
