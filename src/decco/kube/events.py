"""Kubernetes Events: what ``kubectl describe`` shows below an object.

Events must not affect reconciles: ``Recorder.event`` neither waits nor raises, the queue is bounded, and one object
cannot flood it. Repetitions become one Event with a series, as in client-go's ``tools/events`` (KEP-383): the first is
written at once, then at most one patch a minute updates the count and the last time. Objects of one namespace share a
budget and a part of the queue: one tenant's broken Apps do not silence others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from time import monotonic, time_ns
from typing import Final, Literal, NamedTuple

from decco.backoff import exponential
from decco.kube.client import Client
from decco.kube.errors import AlreadyExists, KubeError, ServerError, TooManyRequests, Unreachable
from decco.kube.token_bucket import TokenBucket, TokenBuckets
from decco.log import get_logger
from decco.objects import EVENTS, Key, Obj
from decco.text import printable

log = get_logger(__name__)

EventType = Literal["Normal", "Warning"]

QUEUE_SIZE: Final = 1000
"""Events that wait to be sent; more are dropped."""
MINOR_EVENTS_BURST: Final = 60
"""Minor events that are sent at once, for all objects together: enough for a Space created with its Apps."""
MINOR_EVENTS_SECONDS: Final = 0.5
"""After the burst, one more in this interval. A cold start has thousands, which would be a third of its requests."""
SERIES_SECONDS: Final = 360.0
"""A repetition within this time belongs to the same series (client-go: 6 min)."""
PATCH_SECONDS: Final = 60.0
"""A series is patched at most this often."""
BURST: Final = 25
"""Events about one object that are sent at once (client-go's spam filter)."""
REFILL_SECONDS: Final = 60.0
"""After the burst, one more event about the object in this interval."""
SPACE_BURST: Final = 200
"""Events about a Space and all objects in it that are sent at once."""
SPACE_SECONDS: Final = 1.0
"""After the burst, one more event of the Space in this interval."""
SPACE_WAITING: Final = 250
"""Events of one Space that wait to be sent; more are dropped, so that the queue keeps a place for others."""
MAX_REMEMBERED: Final = 4096
"""Series, and objects with a budget, kept in memory until they are over; the oldest are dropped first (as in
client-go)."""
TRIES: Final = 4
"""Attempts for one event while the API server fails, 1, 2 and 4 s apart."""

_MAX_NOTE_BYTES: Final = 1024
_MAX_WORD: Final = 128
_MAX_NAME: Final = 230  # with the time in hex behind it still a DNS subdomain


class _Identity(NamedTuple):
    """Events with equal identity are repetitions of one event."""

    api_version: str
    kind: str
    key: Key
    uid: str
    type: EventType
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class _Series:
    key: Key
    """Of the Event object."""
    count: int
    sent: int
    last: datetime
    seen: float
    patched: float


class Recorder:
    """Takes events from anywhere in the event loop's thread; ``run`` sends them.

    ``controller`` is the event's source, a qualified name. ``on_drop`` is called for each event that is dropped: the
    queue was full, the object exceeded its budget, or the API server refused it.
    """

    def __init__(
        self,
        client: Client,
        *,
        controller: str,
        clock: Callable[[], float] = monotonic,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._controller = controller
        self._clock = clock
        self._drop = on_drop
        self._queue: asyncio.Queue[tuple[_Identity, datetime]] = asyncio.Queue(QUEUE_SIZE)
        self._waiting: Counter[str] = Counter()
        """Events in the queue by Space."""
        self._series: OrderedDict[_Identity, _Series] = OrderedDict()
        self._unsent: dict[_Identity, _Series] = {}
        self._budgets: TokenBuckets[tuple[str, Key]] = TokenBuckets(BURST, REFILL_SECONDS, MAX_REMEMBERED)
        self._of_spaces: TokenBuckets[str] = TokenBuckets(SPACE_BURST, SPACE_SECONDS, MAX_REMEMBERED)
        """Many objects of one Space together: they share the queue and the API server with all others."""
        self._minor_events = TokenBucket(MINOR_EVENTS_BURST, MINOR_EVENTS_SECONDS, clock())

    def may_send_minor_event(self) -> bool:
        """Whether one more minor event may be sent now; a call takes one token."""
        return self._minor_events.take(self._clock())

    def event(self, obj_ref: Obj, type: EventType, reason: str, message: str, action: str) -> None:  # noqa: A002
        """Queues an event about an object, given with apiVersion, kind and metadata.

        ``reason`` and ``action`` are CamelCase constants (why; what decco did), ``message`` a text. Non-printable
        characters in it are replaced, and it is cut at 1 KiB.
        """
        try:
            meta = obj_ref["metadata"]
            identity = _Identity(
                obj_ref["apiVersion"],
                obj_ref["kind"],
                Key(meta.get("namespace") or "", meta["name"]),
                meta.get("uid") or "",
                type,
                printable(reason, _MAX_WORD),
                printable(action, _MAX_WORD),
                note_of(message),
            )
            space = identity.key.namespace or identity.key.name
            if self._waiting[space] >= SPACE_WAITING:
                self._drop()
                return
            self._queue.put_nowait((identity, datetime.now(UTC)))
            self._waiting[space] += 1
        except asyncio.QueueFull:
            self._drop()
        except (KeyError, TypeError, AttributeError) as error:
            self._drop()
            log.warning("event dropped: it does not refer to an object", reason=reason, error=repr(error))

    async def run(self) -> None:
        """Send events until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._requeue_after()):
                    identity, when = await self._queue.get()
            except TimeoutError:
                await self._patch_due()
                self._forget_series()
                continue
            space = identity.key.namespace or identity.key.name
            self._waiting[space] -= 1
            if not self._waiting[space]:
                del self._waiting[space]
            try:
                await self._handle(identity, when)
            finally:
                self._queue.task_done()

    async def drain(self, seconds: float) -> None:
        """Waits until everything queued is sent, at most ``seconds``; ``run`` must be running."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            log.warning("events dropped at the end", count=self._queue.qsize())

    async def _handle(self, identity: _Identity, when: datetime) -> None:
        now = self._clock()
        series = self._series.get(identity)
        if series is not None and now - series.seen < SERIES_SECONDS:
            self._series.move_to_end(identity)
            series.count += 1
            series.last = when
            series.seen = now
            self._unsent[identity] = series
            await self._patch_due()
            return
        if not self._may_send(identity, now):
            self._drop()
            return
        key = await self._create(identity, when)
        if key is not None:
            self._series[identity] = _Series(key, 1, 1, when, now, now - PATCH_SECONDS)
            self._series.move_to_end(identity)
            self._forget_series()

    def _forget_series(self) -> None:
        """Drops the series that no repetition can continue; their last patch was due long before."""
        over = self._clock() - SERIES_SECONDS
        while self._series and (len(self._series) > MAX_REMEMBERED or next(iter(self._series.values())).seen <= over):
            oldest, _ = self._series.popitem(last=False)
            self._unsent.pop(oldest, None)

    def _may_send(self, identity: _Identity, now: float) -> bool:
        space = identity.key.namespace or identity.key.name
        return self._budgets.take((identity.kind, identity.key), now) and self._of_spaces.take(space, now)

    def _requeue_after(self) -> float | None:
        """Seconds until a series has to be patched or is over; None without series."""
        if not self._series:
            return None
        due = next(iter(self._series.values())).seen + SERIES_SECONDS
        if self._unsent:
            due = min(due, min(series.patched for series in self._unsent.values()) + PATCH_SECONDS)
        return max(0.0, due - self._clock())

    async def _patch_due(self) -> None:
        """Write the counts of the series whose minute is over."""
        now = self._clock()
        due = [(i, s) for i, s in self._unsent.items() if now - s.patched >= PATCH_SECONDS]
        for identity, series in due:
            del self._unsent[identity]
            series.patched = now
            if not await self._patch(series):
                self._series.pop(identity, None)  # its Event has expired or was never created

    async def _create(self, identity: _Identity, when: datetime) -> Key | None:
        """POST the Event; returns its key, None if it could not be written."""
        # The API server requires events about cluster-scoped objects in the namespace default.
        key = Key(identity.key.namespace or "default", f"{identity.key.name[:_MAX_NAME]}.{time_ns():x}")
        event: Obj = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": key.name, "namespace": key.namespace},
            "eventTime": _micro_time(when),
            "reportingController": self._controller,
            "reportingInstance": self._controller,
            "action": identity.action,
            "reason": identity.reason,
            "type": identity.type,
            "note": identity.note,
            "regarding": {
                "apiVersion": identity.api_version,
                "kind": identity.kind,
                "name": identity.key.name,
                "uid": identity.uid,
                **({"namespace": identity.key.namespace} if identity.key.namespace else {}),
            },
        }
        try:
            await self._persistently(lambda: self._client.create(EVENTS, event))
        except AlreadyExists:  # our own, its answer was lost
            return key
        except KubeError as error:
            # A namespace that is being deleted accepts no events; that is expected.
            self._drop()
            log.debug("event refused", about=str(identity.key), reason=identity.reason, error=str(error))
            return None
        return key

    async def _patch(self, series: _Series) -> bool:
        patch = {"series": {"count": series.count, "lastObservedTime": _micro_time(series.last)}}
        try:
            await self._persistently(lambda: self._client.patch(EVENTS, series.key, patch))
        except KubeError as error:
            self._drop()
            log.debug("event series not written", key=str(series.key), error=str(error))
            return False
        return True

    async def _persistently(self, send: Callable[[], Awaitable[Obj]]) -> None:
        """Send again while waiting may help."""
        for attempt in range(TRIES):
            try:
                await send()
                return
            except (Unreachable, ServerError, TooManyRequests):
                if attempt == TRIES - 1:
                    raise
            await asyncio.sleep(exponential(1.0, attempt, inf))


def note_of(message: str) -> str:
    """The message on one line, printable, at most 1 KiB in UTF-8."""
    note = printable(str(message), _MAX_NOTE_BYTES)
    while len(note.encode()) > _MAX_NOTE_BYTES:
        note = note.encode()[: _MAX_NOTE_BYTES - 3].decode("utf-8", "ignore") + "…"
    return note


def _micro_time(when: datetime) -> str:
    """A metav1.MicroTime."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
