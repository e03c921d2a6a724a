"""The base class of all wrappers, and those that only do something around each call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from decco.dns.errors import DnsError, ProviderUnreachable
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import RecordSet
from decco.log import get_logger

T = TypeVar("T")
Call = Callable[[Provider], Awaitable[T]]
log = get_logger("decco.dns")
Observe = Callable[[str, str, str, float], None]
"""Records provider, operation, result and seconds of a call in ``decco_dns_calls_total`` and its duration metric."""
OK = "ok"
READ_FACTOR = 10
"""Reading a zone may take this many times the limit of a change."""


class Wrapper:
    """Forwards every call to ``inner``; subclasses override ``call`` for all of them, or single calls."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def zone_names(self) -> tuple[str, ...]:
        return self.inner.zone_names

    @property
    def shared(self) -> bool:
        return self.inner.shared

    async def call(self, operation: str, call: Call[T]) -> T:
        """``operation`` is the name of the method: zones, records, or apply."""
        return await call(self.inner)

    async def zones(self) -> tuple[Zone, ...]:
        return await self.call("zones", lambda inner: inner.zones())

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        return await self.call("records", lambda inner: inner.records(zone, names))

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return self.inner.fit(zone, changes)

    def outdated(self, zone: Zone, names: Collection[str]) -> None:
        self.inner.outdated(zone, names)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        return await self.call("apply", lambda inner: inner.apply(zone, changes))

    async def close(self) -> None:
        await self.inner.close()


class DryRun(Wrapper):
    """Logs every change instead of sending it; reads are forwarded."""

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        for change in changes:
            log.info(
                "dns change not sent: dry run",
                provider=self.name,
                zone=zone.name,
                verb=change.verb,
                name=change.name,
                before=[str(s) for s in change.before],
                after=[str(s) for s in change.after],
            )
        return [None] * len(changes)


class RateLimiter(Wrapper):
    """At most ``per_second`` calls a second on average, and up to ``burst`` at once after an idle time."""

    def __init__(self, inner: Provider, per_second: float, burst: int = 1) -> None:
        super().__init__(inner)
        self._gap = 1 / per_second
        self._slack = (burst - 1) * self._gap
        self._next = float("-inf")

    async def call(self, operation: str, call: Call[T]) -> T:
        now = asyncio.get_running_loop().time()
        start = max(self._next, now - self._slack)
        self._next = start + self._gap
        if start > now:
            await asyncio.sleep(start - now)
        return await call(self.inner)


class Instrumented(Wrapper):
    """Counts and times every call that is sent.

    ``result`` is "ok", the reason of the error, or "Cancelled". For failed changes it is the reason of the first.
    """

    def __init__(self, inner: Provider, observe: Observe) -> None:
        super().__init__(inner)
        self._observe = observe

    async def call(self, operation: str, call: Call[T]) -> T:
        start = time.monotonic()
        result = "Cancelled"
        try:
            answer = await call(self.inner)
            result = OK
            if operation == "apply" and isinstance(answer, Sequence):
                result = next((outcome.reason for outcome in answer if outcome is not None), OK)
        except DnsError as error:
            result = error.reason
            raise
        finally:
            self._observe(self.name, operation, result, time.monotonic() - start)
        return answer


class Deadline(Wrapper):
    """Limits the duration of every call; a change that times out is reported as uncertain."""

    def __init__(self, inner: Provider, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    async def call(self, operation: str, call: Call[T]) -> T:
        seconds = self._seconds * (READ_FACTOR if operation == "records" else 1)
        try:
            async with asyncio.timeout(seconds):
                return await call(self.inner)
        except TimeoutError as error:
            raise ProviderUnreachable(
                f"the provider {self.name} did not answer within {seconds:g} s", uncertain=operation == "apply"
            ) from error


class LeaderGate(Wrapper):
    """Refuses changes of a process that is no longer the leader: another process may write the same names.

    The check runs immediately before the call, after all waiting: see ``kube/fence.py`` for the reason.
    """

    def __init__(self, inner: Provider, may_write: Callable[[], bool]) -> None:
        super().__init__(inner)
        self._may_write = may_write

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        if not self._may_write():
            raise ProviderUnreachable("not sent: this process no longer leads")
        return await self.inner.apply(zone, changes)
