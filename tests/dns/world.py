"""One zone of one service, with decco and a second writer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from decco.dns.factory import stack
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.providers.memory.settings import Settings as MemorySettings
from decco.dns.records import ADDRESS_TYPES, DesiredRecord, RecordSet
from decco.dns.registry import PREFIX, ownership_name
from decco.dns.service import Dns
from decco.dns.settings import DnsSettings, FederationSettings
from decco.dns.wrappers.base import Wrapper
from testbed.dns.server import Records
from tests.dns.backends.base import Backend
from tests.promises import PATIENCE

UID = "0b3c9f4e-6f0c-4a39-8a53-1d1f3b5f2d11"
OTHER_UID = "7d1e0c55-2f5e-4b8e-9f43-a2a7f4a3c0de"
READ_SECONDS, READ_SHARE = 0.02, 4.0
"""Pause between two reads of a zone, and how many times longer than the read it is at least."""
ADDRESS = "192.0.2.1"
COMPARE_SECONDS = 0.2
"""Between two readings of a zone whose names are shared."""


class Faults(Wrapper):
    """Raises in place of a call (``before``), or after the call was carried out (``after``), one fault per call."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self.before: list[BaseException] = []
        self.after: list[BaseException] = []
        self.meanwhile: Callable[[], None] | None = None
        """Done once, right before the next change is sent: what a second writer does behind decco's back."""

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            await asyncio.to_thread(act)
        if self.before:
            raise self.before.pop(0)
        outcomes = await self.inner.apply(zone, changes)
        if self.after:
            raise self.after.pop(0)
        return outcomes

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        return await self.inner.records(zone, names)


@asynccontextmanager
async def running(service: Dns) -> AsyncIterator[None]:
    task = asyncio.create_task(service.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class World:
    def __init__(self, backend: Backend, zone: str) -> None:
        self.backend = backend
        self.zone = zone
        self.zone_exists = True
        self.calls: Counter[str] = Counter()
        """Operations that were sent, by all services of this test; ``calls_of`` has them by cluster."""
        self.calls_of: dict[str, Counter[str]] = {}
        self.faults = Faults(backend.provider(zone))

    def name(self, label: str = "x") -> str:
        return f"{label}.{self.zone}" if label else self.zone

    def ownership_name(self, label: str = "x") -> str:
        return ownership_name(self.name(label), self.zone)

    def service(
        self,
        cluster: str = "here",
        providers: Sequence[Provider] | None = None,
        compare: float = 3600.0,
        timeout: float = 30.0,
        federation: str = "",
    ) -> Dns:
        settings = MemorySettings(zones=(self.zone,), timeout_seconds=timeout)
        calls = self.calls_of.setdefault(cluster, Counter())

        def count(_provider: str, operation: str, _result: str, _seconds: float) -> None:
            self.calls[operation] += 1
            calls[operation] += 1

        stacks = [stack(p, settings, cluster, count) for p in (providers or [self.faults])]
        fast = DnsSettings(
            gather_milliseconds=20,
            compare_seconds=compare,
            retry_base_seconds=0.1,
            retry_max_seconds=1.0,
            federation=FederationSettings(id=federation or None, compare_seconds=COMPARE_SECONDS, withdraw_seconds=2.0),
        )
        return Dns(stacks, cluster, fast, settle=0.5)

    @property
    def work(self) -> int:
        """Calls so far, less the finding of zones."""
        return self.calls["records"] + self.calls["apply"]

    @asynccontextmanager
    async def running(
        self, cluster: str = "here", providers: Sequence[Provider] | None = None, timeout: float = 30.0
    ) -> AsyncIterator[Dns]:
        service = self.service(cluster, providers, timeout=timeout)
        async with running(service):
            yield service

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Reads the zone repeatedly; fails at the end if a name was seen without ownership record, or one without
        its name.
        """
        halves: list[tuple[str, str]] = []
        reads = 0
        ended = asyncio.Event()

        async def read_once() -> None:
            nonlocal reads
            while True:
                started = time.monotonic()
                held = await self.holds()
                names = {name for name, rtype in held if rtype in ADDRESS_TYPES}
                marked = {name.removeprefix(PREFIX) for name, rtype in held if rtype == "TXT"}
                halves.extend(("without ownership record", name) for name in sorted(names - marked))
                halves.extend(("without record", name) for name in sorted(marked - names))
                reads += 1
                if ended.is_set():
                    return
                await asyncio.sleep(max(READ_SECONDS, READ_SHARE * (time.monotonic() - started)))

        task = asyncio.create_task(read_once())
        try:
            yield
        finally:
            ended.set()
            await task
        assert reads > 1
        assert halves == []

    # The second writer, off the event loop

    async def put(self, name: str, rtype: str, *values: str, ttl: int = 300) -> None:
        await asyncio.to_thread(self.backend.put, self.zone, name, ttl, rtype, *values)

    async def drop(self, name: str, rtype: str) -> None:
        await asyncio.to_thread(self.backend.drop, self.zone, name, rtype)

    async def remove_zone(self) -> None:
        self.zone_exists = False
        await asyncio.to_thread(self.backend.remove_zone, self.zone)

    async def create_zone(self) -> None:
        await asyncio.to_thread(self.backend.create_zone, self.zone)
        self.zone_exists = True

    async def read(self) -> Records:
        return await asyncio.to_thread(self.backend.read, self.zone)

    async def holds(self) -> dict[tuple[str, str], frozenset[str]]:
        return {key: values for key, (_, values) in (await self.read()).items()}

    async def answers(self, name: str, rtype: str, expected: set[str]) -> None:
        """Fail unless a resolver receives ``expected``; where nothing serves DNS, unless the zone holds it."""
        answer = await asyncio.to_thread(self.backend.ask, name, rtype)
        if answer is None:
            answer = set((await self.holds()).get((name, rtype), frozenset()))
        assert answer == expected


def wanted_record(name: str, *targets: str, ttl: int | None = None) -> DesiredRecord:
    return DesiredRecord(name, frozenset(targets or [ADDRESS]), ttl)


async def problem(dns: Dns, uid: str, reason: str) -> str:
    """Wait until the first of the owner's problems has this reason; returns its message."""
    await until(dns, lambda: [p.reason for p in dns.state(uid).problems][:1] == [reason])
    return dns.state(uid).problems[0].message


async def until(dns: Dns, condition: Callable[[], bool], *others: Dns) -> None:
    """Wait for the service's own signal that the condition may have come true."""
    notified = asyncio.Event()
    for service in (dns, *others):
        service.subscribe(lambda _uid: notified.set())
    async with asyncio.timeout(PATIENCE):
        while not condition():
            notified.clear()
            await notified.wait()


async def ready(dns: Dns, *uids: str) -> None:
    try:
        await until(dns, lambda: all(dns.state(uid).ready for uid in uids))
    except TimeoutError:
        raise AssertionError([p for uid in uids for p in dns.state(uid).problems][:3]) from None


async def conflict(dns: Dns, uid: str) -> str:
    """Wait for a conflict of the owner's one name; returns its message."""
    await until(dns, lambda: [p.reason for p in dns.state(uid).problems] == ["RecordConflict"])
    return dns.state(uid).problems[0].message
