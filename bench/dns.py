"""What do DNS records cost: in calls, in time next to a bare client, at rest, and in a large zone?

Everything runs against BIND, through a proxy that counts messages and octets, and against the strict model of Route 53,
which counts requests. Each question prints one line with its ratios; the exit status is 0 if every target is met.

    dns calls        calls for 1,000 new names, ownership records included, divided by the 2 that are allowed
    dns throughput   names per second of decco, divided by those of a bare dnspython client: 10,000 names, the same
                     records in the same batches over one TCP connection, without prerequisites or checks of the answers
    dns large_zone   what one change costs in a zone of 100,000 records, divided by what it costs in one of 100
    dns idle         calls in ten minutes without work, on simulated time, and in 60 s on the real clock
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import socket
import statistics
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import dns.name
import dns.query
import dns.rcode
import dns.update
import looptime

from decco import log
from decco.dns.factory import stack
from decco.dns.provider import Provider
from decco.dns.providers.memory.client import MemoryProvider
from decco.dns.providers.memory.settings import Settings as MemorySettings
from decco.dns.providers.rfc2136.client import Rfc2136Provider
from decco.dns.providers.rfc2136.message import MAX_CHANGES
from decco.dns.providers.route53.client import Keys, Route53Provider
from decco.dns.providers.route53.settings import Settings as Route53Settings
from decco.dns.records import DesiredRecord, presented
from decco.dns.registry import Owner, ownership_set
from decco.dns.service import Dns
from decco.dns.settings import DnsSettings
from testbed.dns.bind import Bind
from testbed.dns.proxy import UPDATE, DnsProxy
from testbed.dns.route53_model import Route53Model
from testbed.dns.server import HOST
from testbed.progress import say

CLUSTER = "default"
ADDRESS = "192.0.2.1"
TTL = 180
NEW_NAMES = 1000
MOST_CALLS = 2
IDLE_SIMULATED_SECONDS = 600.0
SMALL, LARGE = 100, 100_000
"""Records of the two zones: half of them names, half of them their ownership records."""
LEAST_THROUGHPUT = 0.8
MOST_LARGE = 1.25
"""What "the same" is in seconds, which are never the same twice; calls and octets must be equal."""
LAG_PROBE_SECONDS = 0.005


class Crowd:
    """Owners of one name each, and the time of the last notification that a name is published."""

    def __init__(self, service: Dns) -> None:
        self._service = service
        self._left: set[str] = set()
        self._done = asyncio.Event()
        service.subscribe(self._heard)

    def _heard(self, uid: str) -> None:
        if uid in self._left and self._service.state(uid).ready:
            self._left.discard(uid)
            if not self._left:
                self._done.set()

    async def want(self, names: Iterable[str], address: str = ADDRESS) -> None:
        """Returns when every name is published."""
        desired = {uid_of(name): DesiredRecord(name, frozenset({address})) for name in names}
        self._left = set(desired)
        self._done.clear()
        for uid, record in desired.items():
            self._service.ensure(uid, [record])
            self._heard(uid)  # it may be there already
        await self._done.wait()

    async def leave(self, name: str) -> None:
        """Returns when the name is gone."""
        uid = uid_of(name)
        gone = asyncio.Event()
        self._service.subscribe(lambda _uid: gone.set() if self._service.gone(uid) else None)
        self._service.release(uid)
        await gone.wait()
        self._service.forget(uid)


def uid_of(name: str) -> str:
    """As long as a real one, which is what batches are limited by."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def names_in(zone: str, count: int) -> list[str]:
    return [f"space-{number:05d}.{zone}" for number in range(count)]


@asynccontextmanager
async def serving(provider: Provider, gather_milliseconds: int = 200) -> AsyncIterator[tuple[Dns, Counter[str]]]:
    """The service as the daemon makes it, and what its meter counts."""
    calls: Counter[str] = Counter()

    def count(provider: str, operation: str, result: str, seconds: float) -> None:
        calls[operation] += 1

    settings = MemorySettings(zones=provider.zone_names)  # what all kinds have in common
    dns_settings = DnsSettings(ttl=TTL, gather_milliseconds=gather_milliseconds)
    service = Dns([stack(provider, settings, CLUSTER, count)], CLUSTER, dns_settings)
    task = asyncio.create_task(service.run())
    try:
        yield service, calls
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# 1,000 new names, and then nothing --------------------------------------------------------------------------------


def calls_and_idle(idle_seconds: float) -> bool:
    updates, changes, real = asyncio.run(_calls(idle_seconds))
    simulated = _simulated_idle()
    print(
        f"dns calls ratio={max(updates, changes) / MOST_CALLS:.2f} (at most 1) names={NEW_NAMES} "
        f"rfc2136={updates} route53={changes}",
        flush=True,
    )
    print(
        f"dns idle calls_simulated={simulated} in {IDLE_SIMULATED_SECONDS:.0f} s, calls_real={real} "
        f"in {idle_seconds:.0f} s (0 and 0) names={NEW_NAMES}",
        flush=True,
    )
    return max(updates, changes) <= MOST_CALLS and not simulated and not real


async def _calls(idle_seconds: float) -> tuple[int, int, int]:
    """UPDATE messages, Route 53 change requests, and calls of any kind in the quiet after them."""
    with Bind() as bind, Route53Model() as model:
        zone = "calls.test"
        bind.create_zone(zone)
        model.create_zone(zone)
        route53 = Route53Provider(Route53Settings(zones=(zone,), endpoint_url=model.url), Keys("a", "b"))
        async with DnsProxy(bind.port) as proxy:
            rfc2136 = Rfc2136Provider("rfc2136", (zone,), HOST, proxy.port, bind.key)
            async with serving(rfc2136) as (on_bind, _), serving(route53) as (on_route53, _):
                await Crowd(on_bind).want(names_in(zone, NEW_NAMES))
                await Crowd(on_route53).want(names_in(zone, NEW_NAMES))
                updates, changes = proxy.messages[UPDATE], model.calls.count("ChangeResourceRecordSets")
                whole = proxy.messages.total() + len(model.calls)
                say(f"{idle_seconds:.0f} s of quiet ...")
                await asyncio.sleep(idle_seconds)
                real = proxy.messages.total() + len(model.calls) - whole
    return updates, changes, real


def _simulated_idle() -> int:
    """Runs on a loop of its own whose clock jumps; each owner is reconciled repeatedly, as by a resync."""

    async def quiet() -> int:
        zone = "idle.test"
        names = names_in(zone, NEW_NAMES)
        async with serving(MemoryProvider("memory", (zone,))) as (service, calls):
            await Crowd(service).want(names)
            before = calls.total()
            for _ in range(20):
                for name in names:
                    service.ensure(uid_of(name), [DesiredRecord(name, frozenset({ADDRESS}))])
                await asyncio.sleep(IDLE_SIMULATED_SECONDS / 20)
            return calls.total() - before

    with contextlib.closing(looptime.new_event_loop(start=0)) as loop:
        return loop.run_until_complete(quiet())


# Next to a bare client --------------------------------------------------------------------------------------------


def bare(bind: Bind, zone: str, names: list[str]) -> float:
    """Seconds in which dnspython alone sends the same records in the same batches."""
    with socket.create_connection((HOST, bind.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        started = time.monotonic()
        for first in range(0, len(names), MAX_CHANGES):
            message = dns.update.UpdateMessage(zone)
            for name in names[first : first + MAX_CHANGES]:
                ownership = ownership_set(name, zone, Owner(CLUSTER, uid_of(name)), TTL)
                message.add(dns.name.from_text(name), TTL, "A", ADDRESS)
                message.add(dns.name.from_text(ownership.name), TTL, "TXT", presented("TXT", ownership.values[0]))
            message.use_tsig(bind.key)
            answer = dns.query.tcp(message, HOST, timeout=30, sock=connection)
            assert answer.rcode() == dns.rcode.NOERROR, answer
        return time.monotonic() - started


async def with_decco(bind: Bind, zone: str, names: list[str]) -> float:
    """Seconds from the first desired record to the last owner's notification, in a service that has read its zone."""
    provider = Rfc2136Provider("rfc2136", (zone,), HOST, bind.port, bind.key)
    async with serving(provider) as (service, _):
        crowd = Crowd(service)
        await crowd.want(names_in(zone, 1))
        started = time.monotonic()
        await crowd.want(names)
        return time.monotonic() - started


async def throughput(count: int, rounds: int) -> bool:
    bare_best = decco_best = float("inf")
    with Bind() as bind:
        for number in range(rounds):
            seconds: dict[str, float] = {}
            for who in ("bare", "decco") if number % 2 else ("decco", "bare"):
                zone = f"{who}{number}.test"
                bind.create_zone(zone)
                names = names_in(zone, count + 1)[1:]
                if who == "bare":
                    seconds[who] = await asyncio.to_thread(bare, bind, zone, names)
                else:
                    seconds[who] = await with_decco(bind, zone, names)
            held = [
                {(n.removesuffix(f"{w}{number}.test"), t) for n, t in bind.read(f"{w}{number}.test")} for w in seconds
            ]
            say(f"round {number + 1}: bare client {seconds['bare']:.2f} s, decco {seconds['decco']:.2f} s")
            if len(held[0] ^ held[1]) != 2:  # decco's first name and its ownership record
                say("not the same work")
                return False
            bare_best, decco_best = min(bare_best, seconds["bare"]), min(decco_best, seconds["decco"])
    ratio = bare_best / decco_best
    print(
        f"dns throughput ratio={ratio:.2f} (at least {LEAST_THROUGHPUT}) names={count} "
        f"bare_per_s={count / bare_best:.0f} decco_per_s={count / decco_best:.0f}",
        flush=True,
    )
    return ratio >= LEAST_THROUGHPUT


# A large zone ---------------------------------------------------------------------------------------------------------


@dataclass
class Cost:
    """What single changes took, one entry per change, and decco's and BIND's processor time for all of them."""

    seconds: list[float] = field(default_factory=list)
    decco_cpu: float = 0.0
    server_cpu: float = 0.0
    messages: int = 0
    octets: int = 0


@asynccontextmanager
async def filled(bind: Bind, zone: str, records: int) -> AsyncIterator[tuple[Crowd, DnsProxy]]:
    """A service whose owners already have all the names of a zone of that many records."""
    names = names_in(zone, records // 2)
    ownership_sets = [ownership_set(name, zone, Owner(CLUSTER, uid_of(name)), TTL) for name in names]
    lines = [
        f'{name}. {TTL} IN A {ADDRESS}\n{ownership.name}. {TTL} IN TXT "{ownership.values[0]}"\n'
        for name, ownership in zip(names, ownership_sets, strict=True)
    ]
    bind.create_zone(zone, "".join(lines))
    async with DnsProxy(bind.port) as proxy:
        provider = Rfc2136Provider("rfc2136", (zone,), HOST, proxy.port, bind.key)
        async with serving(provider, gather_milliseconds=0) as (service, _):
            started = time.monotonic()
            crowd = Crowd(service)
            async with lag_probe() as lag:
                await crowd.want(names)
            say(
                f"{records} records read and compared in {time.monotonic() - started:.2f} s, "
                f"the event loop was blocked for {max(lag) * 1000:.0f} ms at most"
            )
            assert not proxy.messages[UPDATE], "the zone was as wanted"
            yield crowd, proxy


@asynccontextmanager
async def lag_probe() -> AsyncIterator[list[float]]:
    """How much too late a timer came, again and again."""
    lags = [0.0]

    async def probe() -> None:
        while True:
            due = time.monotonic() + LAG_PROBE_SECONDS
            await asyncio.sleep(LAG_PROBE_SECONDS)
            lags.append(time.monotonic() - due)

    task = asyncio.create_task(probe())
    try:
        yield lags
    finally:
        task.cancel()


async def large_zone(changes: int) -> bool:
    with Bind() as bind:
        async with filled(bind, "small.test", SMALL) as small, filled(bind, "large.test", LARGE) as large:
            costs = {"small.test": Cost(), "large.test": Cost()}
            gc.collect()  # what the reading left to do is the reading's
            # Alternately, so that whatever else happens on the machine happens to both.
            for number in range(changes):
                for zone, (crowd, proxy) in (("small.test", small), ("large.test", large)):
                    await _one_name(bind, crowd, proxy, f"new-{number:05d}.{zone}", costs[zone])
    one, other = costs["small.test"], costs["large.test"]
    wall = statistics.median(other.seconds) / statistics.median(one.seconds)
    cpu = other.decco_cpu / one.decco_cpu
    server = other.server_cpu / max(one.server_cpu, 0.01)
    messages, octets = other.messages / one.messages, other.octets / one.octets
    print(
        f"dns large_zone ratio={max(wall, cpu):.2f} (at most {MOST_LARGE}) seconds={wall:.2f} cpu={cpu:.2f} "
        f"calls={messages:.2f} octets={octets:.2f} (1 and 1) bind_cpu={server:.2f} "
        f"ms_per_change={statistics.median(other.seconds) * 1000:.1f} changes={len(other.seconds)}",
        flush=True,
    )
    return max(wall, cpu) <= MOST_LARGE and messages == octets == 1.0


async def _one_name(bind: Bind, crowd: Crowd, proxy: DnsProxy, name: str, cost: Cost) -> None:
    """Create, change and remove one name."""
    messages, octets = proxy.messages.total(), proxy.octets.total()
    cpu, server = time.process_time(), bind.cpu_seconds()
    for step in (crowd.want([name]), crowd.want([name], "192.0.2.2"), crowd.leave(name)):
        started = time.monotonic()
        await step
        cost.seconds.append(time.monotonic() - started)
    cost.decco_cpu += time.process_time() - cpu
    cost.server_cpu += bind.cpu_seconds() - server
    cost.messages += proxy.messages.total() - messages
    cost.octets += proxy.octets.total() - octets


def main() -> int:
    log.configure("console", "warning")
    parser = argparse.ArgumentParser(prog="bench.dns", description=__doc__.splitlines()[0])
    parser.add_argument("questions", nargs="*", choices=[[], "calls", "throughput", "large_zone"], default=[])
    parser.add_argument("--names", type=int, default=10_000, help="of the comparison with a bare client")
    parser.add_argument("--rounds", type=int, default=3, help="of the same; the best of each side counts")
    parser.add_argument("--changes", type=int, default=200, help="names made, changed and removed in each zone")
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    if line := Bind.missing():
        print(f"bench.dns: MISSING {line}", file=sys.stderr)
        return 1
    asked = arguments.questions or ["calls", "throughput", "large_zone"]
    met = True
    if "calls" in asked:
        met &= calls_and_idle(arguments.idle_seconds)
    if "throughput" in asked:
        met &= asyncio.run(throughput(arguments.names, arguments.rounds))
    if "large_zone" in asked:
        met &= asyncio.run(large_zone(arguments.changes))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
