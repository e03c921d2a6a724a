"""Counts and times every call that is sent, by provider, operation and result."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Collection, Sequence
from typing import Protocol, TypeVar

from decco.dns.errors import DnsError
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import RecordSet
from decco.dns.wrappers.base import Wrapper

T = TypeVar("T")
OPERATIONS = ("zones", "records", "apply")
OK = "ok"


class Observe(Protocol):
    """Records the measurements of one call in ``decco_dns_calls_total`` and its duration metric."""

    def __call__(self, provider: str, operation: str, result: str, seconds: float) -> None: ...


class Instrumented(Wrapper):
    """``result`` is "ok", the reason of the error, or "Cancelled". For failed changes it is the reason of the first."""

    def __init__(self, inner: Provider, observe: Observe) -> None:
        super().__init__(inner)
        self._observe = observe

    async def zones(self) -> tuple[Zone, ...]:
        return await self._timed("zones", self.inner.zones())

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        return await self._timed("records", self.inner.records(zone, names))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        return await self._timed("apply", self.inner.apply(zone, changes))

    async def _timed(self, operation: str, call: Awaitable[T]) -> T:
        start = time.monotonic()
        result = "Cancelled"
        try:
            answer = await call
            failed = next((o for o in answer if isinstance(o, DnsError)), None) if isinstance(answer, list) else None
            result = failed.reason if failed else OK
        except DnsError as error:
            result = error.reason
            raise
        finally:
            self._observe(self.name, operation, result, time.monotonic() - start)
        return answer
