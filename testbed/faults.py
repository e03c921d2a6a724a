"""What the fault proxy can do to a request, and the rules that say to which requests.

An action is data; ``testbed.proxy`` carries it out. The faults of an open watch are methods of
``testbed.watchstream.WatchStream``: ``OnWatch`` calls one when a watch opens or after some of its events.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.watchstream import Fault

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the proxy got it; ``watch`` distinguishes a watch from all other requests."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    watch: bool

    def json(self) -> Any:
        """The body as decoded JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Respond:
    """Answers in the API server's place; nothing is forwarded."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def refuse(status: int, message: str = "injected", *, retry_after: int | None = None, reason: str = "") -> Respond:
    """Answers as the API server does when it refuses: with a Status object.

    Args:
        status: HTTP status code.
        message: the message in the Status.
        retry_after: seconds in the header Retry-After (the API server sends it with 429 and some 503, 500).
        reason: machine-readable reason; without it the usual one of that code.
    """
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason or REASONS.get(status, "Unknown"),
        "code": status,
    }
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Respond(status, json.dumps(body).encode(), headers=headers)


def html(status: int = 200) -> Respond:
    """Answers as a load balancer or a login page in front of the API server does."""
    return Respond(status, b"<!DOCTYPE html><html><body><h1>Not what you want</h1></body></html>", "text/html")


@dataclass(frozen=True, slots=True)
class Drop:
    """Resets the connection; the API server never sees the request."""


@dataclass(frozen=True, slots=True)
class LoseReply:
    """Lets the API server do it, then resets the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class CutReply:
    """Forwards, announces the whole answer, sends its first ``share`` and resets the connection."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Delay:
    """Forwards after so many seconds. A test that can name what it waits for uses ``Hold`` instead."""

    seconds: float


class Hold:
    """Forwards once ``release`` was called."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    def release(self) -> None:
        """Releases all requests that wait here, now and later."""
        self.released.set()


@dataclass(frozen=True, slots=True)
class OnWatch:
    """Forwards a watch and after ``after`` of its lines does something to it, as ``OnWatch(WatchStream.expire, 3)``."""

    do: Fault
    after: int = 0


Action = Respond | Drop | LoseReply | CutReply | Delay | Hold | OnWatch


class Rule:
    """An action and the requests it is for; what is None matches everything.

    Attributes:
        hits: how many requests it was applied to.
    """

    def __init__(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str | None = None,
        watch: bool | None = None,
        when: Callable[[Call], bool] | None = None,
        times: int | None = None,
    ) -> None:
        """Makes a rule.

        Args:
            action: what to do.
            method: HTTP method.
            path: regular expression that is searched in the path (without the query).
            watch: True for watches only, False for all others.
            when: a predicate of one's own.
            times: how often at most; None for ever.
        """
        self.action = action
        self.hits = 0
        self._method = method
        self._path = re.compile(path) if path else None
        self._watch = watch
        self._when = when
        self._times = times
        self._hit = asyncio.Condition()

    def matches(self, call: Call) -> bool:
        """Whether the action is for this request, and not used up."""
        return (
            (self._times is None or self.hits < self._times)
            and self._method in {None, call.method}
            and self._watch in {None, call.watch}
            and (self._path is None or self._path.search(call.path) is not None)
            and (self._when is None or self._when(call))
        )

    async def count(self) -> None:
        """Notes that it is being applied once more."""
        async with self._hit:
            self.hits += 1
            self._hit.notify_all()

    async def hit(self, times: int = 1) -> None:
        """Waits until it was applied so often."""
        async with self._hit:
            await self._hit.wait_for(lambda: self.hits >= times)
