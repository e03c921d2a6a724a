"""Follows one kind of object without end: a list, then its changes, whatever happens to the connection.

A state machine with two states, as in kube-rs' ``kube_runtime::watcher``:

* *listing*: pages of a consistent list come out as ``Init``, ``InitApply`` …, ``InitDone``; from there to
* *watching*: changes come out as ``Apply`` and ``Delete``, bookmarks as ``Bookmark``.

Every way in which a watch ends leads back to one of them, after a pause that grows from 0.2 to 30 s (5 s while
connections are refused) with full jitter and is reset once a watch was healthy (it brought a change, or stood for 5 s):

* the server ends the stream; a connection is cut, in the middle of a line or not; a short silence; 401, 403, 429, 5xx:
  watch again from the last resourceVersion seen, nothing is lost and nothing listed;
* an outage: a connection was refused, to any request of the process, or there were only failures for OUTAGE_SECONDS:
  list, because the server may have another history (docs/design/2026-11-29-restored-history.md);
* 410, any other ERROR event, 404, a resourceVersion that the server does not know: list again; after ``Init`` the
  reader collects a new state, and at ``InitDone`` it replaces the old one;
* a line that is not an event: watch again from the last good version; if that fails in the same way, list again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic
from typing import Final

import orjson

from decco.backoff import exponential
from decco.frozen import frozen
from decco.kube import depth
from decco.kube.client import Client
from decco.kube.errors import (
    ApiError,
    Forbidden,
    Garbled,
    Gone,
    KubeError,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    error_of_status,
)
from decco.kube.transport import excerpt
from decco.kube.watch_errors import WatchErrors
from decco.log import get_logger
from decco.objects import Obj, Resource

log = get_logger(__name__)

BACKOFF_BASE_SECONDS: Final = 0.2
BACKOFF_MAX_SECONDS: Final = 30.0
BACKOFF_REFUSED_SECONDS: Final = 5.0
"""Longest pause while connections are refused: a try costs the server nothing, and usually it is available again in
seconds."""
HEALTHY_SECONDS: Final = 5.0
"""A watch that stood for this long, or for as long as was requested, was healthy, even if nothing changed."""
OUTAGE_SECONDS: Final = 10.0
"""A server that answers again after so long a silence may have another history; so may one that has refused connections
for any time."""
PAGE_LIMIT: Final = 250
"""Most objects of one page of a list."""
WATCH_SECONDS: Final = (300, 600)
"""timeoutSeconds of one watch; random, so that the watches of a restart do not end together."""


@frozen
class Init:
    """A list begins; everything collected since an earlier Init without InitDone is void."""


@frozen
class InitApply:
    obj: Obj


@frozen
class InitDone:
    """The list is complete as of this version; what is not in it does not exist."""

    resource_version: str


@frozen
class Apply:
    """The object was added or changed."""

    obj: Obj


@frozen
class Delete:
    """The object is gone; ``obj`` is its last state, with the resourceVersion of the deletion."""

    obj: Obj


@frozen
class Bookmark:
    """Nothing changed up to this version; comes about once a minute on a quiet watch, as its heartbeat."""

    resource_version: str


WatchEvent = Init | InitApply | InitDone | Apply | Delete | Bookmark


@frozen
class WatchSpec:
    """What to follow: a kind, in one namespace or ("") in all, narrowed by a label and a field selector."""

    resource: Resource
    namespace: str = ""
    labels: str = ""
    fields: str = ""


@dataclass(slots=True)
class _Watcher:
    """What is kept between two requests: where to resume, and the result of the last one."""

    client: Client
    spec: WatchSpec
    idle_seconds: float
    clock: Callable[[], float]
    last_line_at: float
    """Time of the last line, or of the last request."""
    opened: float = 0.0
    asked: int = 0
    """timeoutSeconds of the last watch."""
    failing_since: float | None = None
    """Time of the server's last answer, if it has failed to answer since."""
    outages: int = 0
    """Outages of the process at the begin of the last list."""
    newest: int = 0
    """Highest resourceVersion that the server has sent since the last list."""
    garbled_at: str | None = None
    version: str | None = None
    """Resume from here; None: list first."""
    healthy: bool = False
    """Whether the last request was healthy, which resets the pauses."""

    async def list(self) -> AsyncGenerator[WatchEvent, None]:
        """The events of one list; raises what the list raises, which leaves it without an InitDone."""
        spec = self.spec
        version = ""
        self.healthy = False
        self.outages = self.client.outages.count
        yield Init()
        pages = self.client.list_pages(
            spec.resource, namespace=spec.namespace, labels=spec.labels, fields=spec.fields, limit=PAGE_LIMIT
        )
        async with aclosing(pages):
            async for page in pages:
                for obj in page.items:
                    if self._usable(obj):
                        yield InitApply(obj)
                version = page.resource_version
        self.version = version
        self.failing_since = None
        self._note_history(version)
        yield InitDone(version)

    def _note_history(self, version: str) -> None:
        """A consistent list is at least as new as everything received before it, unless etcd was restored since."""
        listed = int(version) if version.isdigit() else 0
        if listed < self.newest:
            log.warning(
                "the API server's history has gone back, as after a restore of etcd: all that was cached is replaced",
                resource=str(self.spec.resource),
                known=self.newest,
                listed=listed,
            )
        self.newest = listed

    async def watch(self, version: str) -> AsyncGenerator[WatchEvent, None]:
        """The events of one watch request; returns when the server ends it."""
        spec = self.spec
        self.opened = self.last_line_at = self.clock()
        self.asked = random.randint(*WATCH_SECONDS)  # noqa: S311 - jitter, no secret
        self.healthy = False
        lines = self.client.watch_lines(
            spec.resource,
            namespace=spec.namespace,
            labels=spec.labels,
            fields=spec.fields,
            resource_version=version,
            timeout_seconds=self.asked,
            idle_seconds=self.idle_seconds,
        )
        try:
            async with aclosing(lines):
                async for line in lines:
                    self.last_line_at, self.failing_since = self.clock(), None
                    event = self._event(line)
                    if event is not None:
                        yield event
            self.failing_since = None
        finally:
            self._note_healthy()

    def _note_healthy(self) -> None:
        if self.clock() - self.opened >= min(HEALTHY_SECONDS, self.asked):
            self.healthy = True

    def _event(self, line: bytes) -> WatchEvent | None:
        """The event of a line, None if it is not usable; raises the error of an ERROR event."""
        try:
            kind, obj, version = event_of(self.spec.resource, line)
        except ApiError as error:
            # The server has ended this watch; its position cannot be trusted.
            if not isinstance(error, TooManyRequests):
                self.version = None
            raise
        if kind == "BOOKMARK":
            if not version:
                return None
            self._reached(version)
            self._note_healthy()
            return Bookmark(version)
        if not self._usable(obj):
            return None
        self._reached(version)
        self.healthy = True
        if kind in {"ADDED", "MODIFIED"}:
            return Apply(obj)
        if kind == "DELETED":
            return Delete(obj)
        log.warning("watch event of an unknown type skipped", resource=str(self.spec.resource))
        return None

    def _reached(self, version: str) -> None:
        self.version = version
        if version.isdigit():
            self.newest = max(self.newest, int(version))

    def _usable(self, obj: object) -> bool:
        """Whether the object has the fields that all readers need; one without them is skipped."""
        meta = obj.get("metadata") if isinstance(obj, dict) else None
        if isinstance(meta, dict) and meta.get("name") and str(meta.get("resourceVersion")).isdigit():
            return True
        log.warning("object without name or resourceVersion skipped", resource=str(self.spec.resource))
        return False

    def failed(self, error: KubeError) -> None:
        """Decide whether the next request may resume; see the table at the top."""
        if isinstance(error, Unreachable | ServerError):
            self._note_outage(error)
        else:
            self.failing_since = None  # an answer, whatever its content
        match error:
            case Garbled():
                again = self.version is not None and self.version == self.garbled_at
                self.garbled_at = self.version
                if again:
                    self.version = None
            case Unauthorized() | Forbidden() | TooManyRequests():
                pass
            case ApiError() if not isinstance(error, ServerError) or error.has_cause("ResourceVersionTooLarge"):
                self.version = None

    def _note_outage(self, error: Unreachable | ServerError) -> None:
        """During an outage etcd may have been restored: the server accepts a watch from a future version and from one
        of another history, so only a list shows the current state.
        """
        now = self.clock()
        if self.failing_since is None:
            silent = now - self.last_line_at >= self.idle_seconds
            self.failing_since = self.last_line_at if silent else now
        refused = isinstance(error, Unreachable) and error.sent is False
        if refused or now - self.failing_since >= OUTAGE_SECONDS:
            self.version = None


def event_of(resource: Resource, line: bytes) -> tuple[str, Obj, str]:
    """Type, object and resourceVersion ("" without one) of a line of a watch. Raises Garbled, or the error of an ERROR
    event.
    """
    try:
        message = depth.loads(line)
        kind, obj = message["type"], message["object"]
        if kind == "ERROR":
            raise error_of_status(obj, 500)
        return kind, obj, str(obj["metadata"].get("resourceVersion") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        began = excerpt(resource.plural, line)
        raise Garbled(f"the watch of {resource} sent a line that is not an event: {began}") from error


async def watch(
    client: Client,
    spec: WatchSpec,
    *,
    idle_seconds: float,
    on_trouble: Callable[[Exception, float], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = monotonic,
) -> AsyncGenerator[WatchEvent, None]:
    """Follow what ``spec`` names; endless. Close it (``aclosing``) to end the request that is open.

    ``on_trouble`` is called with what went wrong and the seconds until the next try; not for the end of a healthy watch
    and an expired version. ``idle_seconds`` must be longer than the server's interval of bookmarks, a minute.
    """
    watcher = _Watcher(client, spec, idle_seconds, clock, clock())
    watch_errors = WatchErrors(spec.resource, spec.namespace, on_trouble, clock)
    tries = 0
    gone = False
    while True:
        if client.outages.count != watcher.outages:
            watcher.version = None  # another request has met an outage, which this watch may not have noticed
        version = watcher.version
        error: KubeError | None = None
        try:
            async with aclosing(watcher.list() if version is None else watcher.watch(version)) as events:
                async for event in events:
                    if watcher.healthy:
                        watch_errors.recovered()
                    yield event
            if version is None:
                continue
        except KubeError as caught:
            error = caught
            watcher.failed(caught)
        if watcher.healthy:
            watch_errors.recovered()
        if watcher.healthy or (isinstance(error, Gone) and not gone):
            tries = 0  # an expired version is normal; twice in a row is an error
        gone = isinstance(error, Gone)
        seconds = pause(tries, error)
        tries += 1
        watch_errors.request_ended(error, watcher.healthy, tries, seconds)
        await sleep(seconds)


def pause(tries: int, error: KubeError | None = None) -> float:
    """Seconds before the next request after so many failures; full jitter, so that watchers do not return in step."""
    refused = isinstance(error, Unreachable) and error.sent is False
    most = BACKOFF_REFUSED_SECONDS if refused else BACKOFF_MAX_SECONDS
    return random.uniform(0.0, exponential(BACKOFF_BASE_SECONDS, tries, most))  # noqa: S311 - jitter, no secret
