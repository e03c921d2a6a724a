"""API servers over one etcd: each has watches of its own, and its own age.

A server that is behind sends changes late. Reads and writes go to etcd, as they do without a resourceVersion. The
streams are bytes in order; what becomes of them on the way is the network's business.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

import orjson

from tests.simulation.clock import CLOCK
from tests.simulation.model import answers
from tests.simulation.model.api import Api
from tests.simulation.model.etcd import Change
from tests.simulation.model.kinds import Kind, Obj
from tests.simulation.model.requests import Request, Target, selector

BOOKMARK_SECONDS = 60.0

Deliver = Callable[[bytes | None, float], None]
"""Takes a line and when the server sends it; None ends the stream."""


class Stream:
    """One watch, at the server."""

    def __init__(self, server: Server, request: Request, target: Target, deliver: Deliver) -> None:
        self.server, self.target, self.deliver = server, target, deliver
        self.kind = target.kind
        self._matches = selector(request.query)
        self._namespace = target.namespace
        self.version = int(request.query.get("resourceVersion") or 0)
        self.last = CLOCK.now
        """When the last line was sent: lines stay in order."""
        self.open = True
        seconds = float(request.query.get("timeoutSeconds") or 600)
        self._timers = [server.loop.call_later(seconds, self.end)]
        self._remind()

    def _remind(self) -> None:
        self._timers[1:] = [self.server.loop.call_later(BOOKMARK_SECONDS, self._bookmark)]

    def _bookmark(self) -> None:
        if self.version > self.server.revision:
            self._remind()  # from a version of the future: silent until it is reached
            return
        meta = {"resourceVersion": str(self.server.revision), "creationTimestamp": None}
        obj = {"kind": self.kind.kind, "apiVersion": self.kind.api_version, "metadata": meta}
        self._send({"type": "BOOKMARK", "object": obj}, CLOCK.now)
        self._remind()

    def see(self, change: Change, when: float) -> None:
        """A change that this server learns of at ``when``."""
        address = change.address
        if not self.open or address.kind != self.kind or change.revision <= self.version:
            return
        if self._namespace not in ("", address.namespace):
            return
        before = change.before is not None and self._matches(change.before)
        after = change.after is not None and self._matches(change.after)
        if not before and not after:
            return
        type_ = "DELETED" if not after else "MODIFIED" if before else "ADDED"
        obj = change.last
        if change.after is not None and not after:
            # It no longer matches: the state that the watcher knows, with the version of the change.
            assert change.before is not None
            meta = {**change.before["metadata"], "resourceVersion": str(change.revision)}
            obj = {**change.before, "metadata": meta}
        self._send({"type": type_, "object": obj}, when)

    def _send(self, event: Obj, when: float) -> None:
        if self.open:
            self.last = max(self.last, when)
            self.deliver(orjson.dumps(event) + b"\n", self.last)

    def fail(self, refused: answers.Refused) -> None:
        """An ERROR event, and the end."""
        self._send({"type": "ERROR", "object": refused.status()}, CLOCK.now)
        self.end()

    def end(self) -> None:
        if not self.open:
            return
        self.deliver(None, max(self.last, CLOCK.now))
        self.close()

    def close(self) -> None:
        """Without a word, as when the client is gone."""
        self.open = False
        for timer in self._timers:
            timer.cancel()
        self.server.streams.discard(self)


class Server:
    """One API server. ``lag`` gives the seconds by which it learns of a change late."""

    def __init__(self, name: str, api: Api, loop: asyncio.AbstractEventLoop, rng: random.Random) -> None:
        self.name, self.api, self.loop, self.random = name, api, loop, rng
        self.up = True
        self.lag: Callable[[], float] = lambda: rng.uniform(0.0, 0.005)
        self.streams = _Streams()
        self._known_at = CLOCK.now
        self.revision = api.etcd.revision
        """What this server's watch cache has reached."""
        api.etcd.followers.append(self._changed)

    def _changed(self, change: Change) -> None:
        self._known_at = max(self._known_at, CLOCK.now + self.lag())
        when = self._known_at
        for stream in self.streams.of(change.address.kind):
            stream.see(change, when)
        self.loop.call_at(when, self._reached, change.revision)

    def _reached(self, revision: int) -> None:
        if revision <= self.api.etcd.revision:
            self.revision = max(self.revision, revision)

    def watch(self, request: Request, deliver: Deliver) -> answers.Answer | Stream:
        target = self.api.target(request.path)
        if target is None:
            return answers.not_served()
        try:
            self.api.authorize(request.user, "watch", target)
        except answers.Refused as refused:
            return refused.answer()
        stream = Stream(self, request, target, deliver)
        self.streams.add(stream)
        if stream.version < self.api.etcd.compacted:
            stream.fail(answers.expired())
            return stream
        for change in self.api.etcd.since(stream.version):
            stream.see(change, max(CLOCK.now, self._known_at if change.revision > self.revision else 0.0))
        return stream

    def end_watches(self, chosen: Callable[[Stream], bool] = lambda _stream: True) -> None:
        for stream in self.streams:
            if chosen(stream):
                stream.end()

    def stop(self) -> None:
        """The process of the server ends: connections are reset by the network."""
        self.up = False
        for stream in self.streams:
            stream.close()

    def start(self) -> None:
        self.up = True
        self.revision = self.api.etcd.revision


class _Streams:
    """A set in the order of insertion, so that a simulation does not depend on addresses in memory."""

    def __init__(self) -> None:
        self._all: dict[Stream, None] = {}
        self._by_kind: dict[Kind, dict[Stream, None]] = {}

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._all))

    def of(self, kind: Kind) -> list[Stream]:
        return list(self._by_kind.get(kind, ()))

    def add(self, stream: Stream) -> None:
        self._all[stream] = None
        self._by_kind.setdefault(stream.kind, {})[stream] = None

    def discard(self, stream: Stream) -> None:
        self._all.pop(stream, None)
        self._by_kind.get(stream.kind, {}).pop(stream, None)
