"""Three clusters and a stranger write to one zone of a real server, through faults, in an order that dice decide.

    python -m tests.dns.interleavings -n 10000 --seed 7 --kind bind

One interleaving is: a cluster changes its desired records (or loses its process), a fault waits for its next message,
and the stranger acts before decco decides, between decco's decision and the server's, between the server's answer and
its receipt, or at any moment beside it. Two of the clusters share one cluster id, as by mistake.

The stranger guards each of its own steps with prerequisites, so its own records are known. Every 50 interleavings
all faults end, and the zone has to hold

* what the stranger left there, and nothing of it changed,
* no ownership record without a desired name, none without a record, no record without owner,
* every name that is wanted and that no other owner holds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator

import dns.asyncquery
import dns.exception
import dns.name
import dns.rcode
import dns.rdatatype
import dns.update

from decco import log
from decco.dns.factory import stack
from decco.dns.providers.memory.settings import Settings as MemorySettings
from decco.dns.providers.rfc2136.client import Rfc2136Provider
from decco.dns.records import DesiredRecord, address_sets
from decco.dns.registry import PREFIX, Owner, parse
from decco.dns.service import Dns
from decco.dns.settings import DnsSettings
from testbed.dns.bind import Bind
from testbed.dns.knot import Knot
from testbed.dns.powerdns import PowerDns
from testbed.dns.proxy import UPDATE, DnsProxy, Fault
from testbed.dns.server import HOST, NameServer, Records
from tests.promises import PATIENCE

SERVERS: dict[str, type[NameServer]] = {cls.kind: cls for cls in (Bind, Knot, PowerDns)}
CLUSTERS = (("a", "a"), ("b", "b"), ("a2", "a"))
"""(name, cluster id)"""
NAMES, OWNERS = 20, 4
TARGETS = (
    ("192.0.2.1",),
    ("192.0.2.2", "2001:db8::2"),
    ("2001:db8::3",),
    ("lb.example.org",),
    ("lc.example.org",),
)
ADDRESSES = ("A", "AAAA", "CNAME")
FOREIGN = ("A", "MX", "TXT", "CNAME")
TIMEOUT = 0.25
"""Seconds after which decco gives a call up."""
SHORT_HOUR = 0.2
"""Seconds between comparisons of the whole zone where time is short."""
SETTLE = 2.0
"""Seconds in which a call that decco has given up is carried out or lost: more than any delay that is made here."""
REST_EVERY = 50

Moment = Callable[[], Awaitable[None]]


class Broken(AssertionError):
    """The zone is not as it must be."""


class Stranger:
    """The second writer; ``own`` is what is its own: (name, type) -> values."""

    def __init__(self, server: NameServer, zone: str, dice: random.Random, note: Callable[[str], None]) -> None:
        self._server, self._zone, self._dice, self._note = server, zone, dice, note
        self.own: dict[tuple[str, str], frozenset[str]] = {}
        self.acts: Counter[str] = Counter()
        self._count = 0
        self._one_at_a_time = asyncio.Lock()

    async def act(self, name: str) -> None:
        """One random step; may raise Broken."""
        async with self._one_at_a_time:  # or the stranger's steps would conflict
            await self._act(name)

    async def _act(self, name: str) -> None:
        if len(self.own) > NAMES // 4 and self._dice.random() < 0.5:
            name = self._dice.choice(sorted(self.own))[0].removeprefix(
                PREFIX
            )  # most names shall be free for the others
            deed = self.remove
        else:
            deed = self._dice.choice((self.take, self.beside, self.forge, self.change, self.meddle, self.meddle))
        done = await deed(name)
        self.acts[deed.__name__ if done else "refused"] += 1
        self._note(f"stranger {deed.__name__} {name}: {'done' if done else 'refused'}")

    async def take(self, name: str) -> bool:
        """A name of its own where nothing is."""
        rtype = self._dice.choice(FOREIGN)
        return await self._add(name, rtype, self._value(rtype), absent=((name, None), (PREFIX + name, None)))

    async def beside(self, name: str) -> bool:
        """A record of another type, whoever has the name."""
        rtype = self._dice.choice(("MX", "TXT"))
        return await self._add(name, rtype, self._value(rtype), absent=((name, "CNAME"), (name, rtype)))

    async def forge(self, name: str) -> bool:
        """Something at the name of an ownership record."""
        text = self._dice.choice(("v1 a nobody", "v1 elsewhere 0b3c9f4e", "v2 a x", "heritage=external-dns", "v1 a"))
        mark = PREFIX + name
        return await self._add(mark, "TXT", f'"{text}"', absent=((mark, None),))

    async def remove(self, name: str) -> bool:
        mine = self._mine(name)
        if mine is None:
            return False
        return await self._alter(mine, None)

    async def change(self, name: str) -> bool:
        mine = self._mine(name)
        if mine is None or mine[0].startswith(PREFIX):
            return False
        return await self._alter(mine, self._value(mine[1]))

    async def meddle(self, name: str) -> bool:
        """Takes a record, or the ownership record, or both from a name of decco's, or changes the record."""
        mark = PREFIX + name
        held = {t: v for t in ADDRESSES if (name, t) not in self.own and (v := await self._now(name, t))}
        marks = await self._now(mark, "TXT")
        if not held or not marks or (mark, "TXT") in self.own or len(marks) != 1:
            return False
        message = dns.update.UpdateMessage(self._zone)
        message.present(_at(mark), "TXT", *marks)
        for rtype in ADDRESSES:
            if rtype in held:
                message.present(_at(name), rtype, *held[rtype])
            else:
                message.absent(_at(name), rtype)
        way = self._dice.choice(("record", "mark", "both", "bend"))
        if way in ("record", "both"):
            for rtype in held:
                message.delete(_at(name), rtype)
        if way in ("mark", "both"):
            message.delete(_at(mark))
        if way == "bend":
            rtype = min(held)
            message.replace(_at(name), 60, rtype, {"AAAA": "2001:db8::bad", "CNAME": "bad."}.get(rtype, "198.51.100.9"))
        if not await self._sent(message):
            return False
        if way == "mark":  # a record without an ownership record may be anybody's, and is now the stranger's
            self.own.update({(name, rtype): values for rtype, values in held.items()})
        self.acts[f"meddle {way}"] += 1
        return True

    def _mine(self, name: str) -> tuple[str, str] | None:
        found = sorted(key for key in self.own if key[0] in (name, PREFIX + name))
        return self._dice.choice(found) if found else None

    def _value(self, rtype: str) -> str:
        self._count += 1
        return {
            "A": f"198.51.100.{self._count % 250 + 1}",
            "AAAA": f"2001:db8:ffff::{self._count:x}",
            "MX": f"10 mail{self._count}.example.",
            "TXT": f'"text {self._count}"',
            "CNAME": f"elsewhere{self._count}.example.",
        }[rtype]

    async def _add(self, name: str, rtype: str, value: str, absent: tuple[tuple[str, str | None], ...]) -> bool:
        message = dns.update.UpdateMessage(self._zone)
        for where, what in absent:
            message.absent(_at(where), *([what] if what else []))
        message.add(_at(name), 300, rtype, value)
        if done := await self._sent(message):
            self.own[name, rtype] = frozenset({value})
        return done

    async def _alter(self, key: tuple[str, str], value: str | None) -> bool:
        """Raises Broken if its own set is not as it left it."""
        name, rtype = key
        message = dns.update.UpdateMessage(self._zone)
        message.present(_at(name), rtype, *self.own[key])
        if value is None:
            message.delete(_at(name), rtype)
        else:
            message.replace(_at(name), 300, rtype, value)
        if not await self._sent(message):
            raise Broken(f"the stranger's {name} {rtype} is not {set(self.own[key])} any more")
        if value is None:
            del self.own[key]
        else:
            self.own[key] = frozenset({value})
        return True

    async def _now(self, name: str, rtype: str) -> frozenset[str]:
        return frozenset(await asyncio.to_thread(self._server.ask, name, rtype))

    async def _sent(self, message: dns.update.UpdateMessage) -> bool:
        message.use_tsig(self._server.key)
        answer = await dns.asyncquery.tcp(message, HOST, timeout=10, port=self._server.port)
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET):
            raise RuntimeError(f"the server said {dns.rcode.to_text(answer.rcode())} to the stranger")
        return answer.rcode() == dns.rcode.NOERROR


def _at(name: str) -> dns.name.Name:
    return dns.name.from_text(name)


class Cluster:
    """One decco: its objects, and the service that a process of it would have."""

    def __init__(self, name: str, cluster_id: str, zone: str, server: NameServer, proxy: DnsProxy) -> None:
        self.name, self.cluster_id, self.zone = name, cluster_id, zone
        self._server, self.proxy = server, proxy
        self.wanted: dict[str, dict[str, tuple[str, ...]]] = {}
        """UID -> name -> targets, of objects that are there to stay."""
        self.going: dict[str, set[str]] = {}
        """UID -> names, of objects that wait for their records to be gone."""
        self._former: dict[str, set[str]] = {}
        self._uids = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self, compare: float) -> None:
        provider = Rfc2136Provider(self.name, (self.zone,), HOST, self.proxy.port, self._server.key)
        settings = MemorySettings(zones=(self.zone,), timeout_seconds=TIMEOUT)
        calls = stack(provider, settings, self.cluster_id, lambda *_, **__: None)
        fast = DnsSettings(
            gather_milliseconds=2, compare_seconds=compare, retry_base_seconds=0.01, retry_max_seconds=0.1
        )
        self.dns = Dns([calls], self.cluster_id, fast, settle=SETTLE)
        for uid in self.wanted:
            self._ensure(uid)
        for uid, names in self.going.items():
            self.dns.release(uid, names)
        self._task = asyncio.create_task(self.dns.run())

    async def crash(self) -> None:
        """Ends the process in whatever it is doing; what it has sent arrives before the next one starts."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.proxy.quiet()

    def new_owner(self) -> str:
        self._uids += 1
        uid = f"{self.name}-{self._uids:08d}"
        self.wanted[uid] = {}
        self._former[uid] = set()
        return uid

    def want(self, uid: str, names: dict[str, tuple[str, ...]]) -> None:
        self.wanted[uid] = names
        self._former[uid] |= names.keys()
        self._ensure(uid)

    def _ensure(self, uid: str) -> None:
        self.dns.ensure(uid, [DesiredRecord(name, frozenset(to)) for name, to in self.wanted[uid].items()])

    def delete(self, uid: str) -> None:
        del self.wanted[uid]
        self.going[uid] = self._former[uid]
        self.dns.release(uid, self.going[uid])

    def reap(self) -> None:
        """What the finalizer's removal is: who is gone is forgotten for ever."""
        for uid in [uid for uid in self.going if self.dns.gone(uid)]:
            del self.going[uid], self._former[uid]
            self.dns.forget(uid)


class Game:
    """``await Game(...).play(n)``; raises Broken, with the last steps in ``story``."""

    def __init__(self, server: NameServer, zone: str, seed: int) -> None:
        self.server, self.zone = server, zone
        self.dice = random.Random(seed)
        self.names = [f"n{i}.{zone}" for i in range(NAMES)]
        self.stranger = Stranger(server, zone, self.dice, self._note)
        self.figures: Counter[str] = Counter()
        self.story: deque[str] = deque(maxlen=400)
        self.clusters: list[Cluster] = []
        self._hooks: dict[str, dict[str, list[str]]] = {}
        self._faults: dict[str, list[Fault]] = {}
        self._trouble: list[BaseException] = []

    def _note(self, line: str) -> None:
        self.story.append(f"{time.monotonic():.3f} {line}")

    async def run(self, count: int, progress: Callable[[int], None] = lambda _: None) -> None:
        proxies = [DnsProxy(self.server.port) for _ in CLUSTERS]
        for proxy in proxies:
            await proxy.__aenter__()
        try:
            for (name, cluster_id), proxy in zip(CLUSTERS, proxies, strict=True):
                cluster = Cluster(name, cluster_id, self.zone, self.server, proxy)
                self._connect(cluster)
                self.clusters.append(cluster)
                await cluster.start(self.dice.choice((SHORT_HOUR, 3600.0)))
                for _ in range(OWNERS):
                    cluster.new_owner()
            for number in range(1, count + 1):
                await self._interleave()
                self._raise_trouble()
                if number % REST_EVERY == 0 or number == count:
                    await self.rest()
                    progress(number)
        finally:
            for cluster in self.clusters:
                await cluster.crash()
            for proxy in proxies:
                self.figures["updates"] += proxy.messages[UPDATE]
                self.figures["readings"] += proxy.messages.total() - proxy.messages[UPDATE]
                await proxy.__aexit__(None, None, None)

    # One interleaving

    def _connect(self, cluster: Cluster) -> None:
        hooks: dict[str, list[str]] = {"before": [], "after": []}
        faults: list[Fault] = []
        self._hooks[cluster.name], self._faults[cluster.name] = hooks, faults

        def judge(opcode: int) -> Fault | None:
            if not faults or (opcode != UPDATE and self.dice.random() < 0.7):
                return None
            self.figures[f"fault {faults[0]}{'' if opcode == UPDATE else ' of a reading'}"] += 1
            self._note(f"{cluster.name} fault {faults[0]} for opcode {opcode}")
            return faults.pop(0)

        def at(moment: str) -> Moment:
            async def act() -> None:
                self._note(f"{cluster.name} update {moment}")
                while hooks[moment]:
                    self.figures[f"stranger {moment} an update"] += 1
                    await self._strange(hooks[moment].pop(0))

            return act

        cluster.proxy.judge, cluster.proxy.before, cluster.proxy.after = judge, at("before"), at("after")

    async def _strange(self, name: str) -> None:
        try:
            await self.stranger.act(name)
        except (
            Broken,
            RuntimeError,
            OSError,
            dns.exception.DNSException,
        ) as error:  # reported by the waiting caller, not by a proxy's connection
            self._trouble.append(error)

    def _raise_trouble(self) -> None:
        if self._trouble:
            raise self._trouble[0]

    async def _interleave(self) -> None:
        dice = self.dice
        cluster = dice.choice(self.clusters)
        moment = dice.choice(("now", "beside", "before", "after"))
        name = dice.choice(self.names)
        if dice.random() < 0.3:
            self._faults[cluster.name].append(dice.choice(tuple(Fault)))
        if moment in ("before", "after"):
            self._hooks[cluster.name][moment].append(name)
        beside = asyncio.create_task(self._strange(name)) if moment == "beside" else None
        if moment == "now":
            await self._strange(name)
        self.figures["interleavings"] += 1
        await self._decide(cluster)
        for each in self.clusters:
            each.reap()
        if beside is not None:
            await beside
        await asyncio.sleep(dice.choice((0, 0, 0.002, 0.005, 0.02)))

    async def _decide(self, cluster: Cluster) -> None:
        dice = self.dice
        uid = dice.choice(sorted(cluster.wanted))
        lot = dice.random()
        if lot < 0.04:
            self._note(f"{cluster.name} crashes")
            self.figures["crashes"] += 1
            await cluster.crash()
            await cluster.start(self.dice.choice((SHORT_HOUR, 3600.0)))
        elif lot < 0.2:
            self._note(f"{cluster.name} deletes {uid}: {sorted(cluster.wanted[uid])}")
            self.figures["owners deleted"] += 1
            cluster.delete(uid)
            cluster.new_owner()
        else:
            names = {name: dice.choice(TARGETS) for name in dice.sample(self.names, dice.randint(0, 3))}
            self._note(f"{cluster.name} {uid} wants {names}")
            cluster.want(uid, names)

    # Rest, and what has to hold then

    async def rest(self) -> None:
        """Without faults, everything comes to what is wanted. Raises Broken."""
        self.figures["rests"] += 1
        for name in (each for hooks in self._hooks.values() for names in hooks.values() for each in names):
            await self._strange(name)
        for hooks in self._hooks.values():
            hooks["before"].clear()
            hooks["after"].clear()
        for faults in self._faults.values():
            faults.clear()
        for cluster in self.clusters:
            # Much shows only in a comparison of the whole zone: a process's first, or the hour's, which is short here.
            await cluster.crash()
            await cluster.start(SHORT_HOUR)
        deadline = time.monotonic() + PATIENCE
        while True:
            self._raise_trouble()
            for cluster in self.clusters:
                cluster.reap()
            wrong = list(self.wrong(await asyncio.to_thread(self.server.read, self.zone)))
            if not wrong:
                break
            if time.monotonic() > deadline:
                raise Broken("\n".join(wrong))
            await asyncio.sleep(0.02)
        for cluster in self.clusters:
            if self.dice.random() < 0.5:
                await cluster.crash()
                await cluster.start(3600.0)

    def wrong(self, records: Records) -> Iterator[str]:
        """Everything that is not as it must be."""
        left = {key: values for key, (_, values) in records.items()}
        for key, values in self.stranger.own.items():
            if left.pop(key, frozenset()) != values:
                yield f"foreign: {key} is {records.get(key)}, the stranger left {set(values)}"
        marks = {
            name.removeprefix(PREFIX): left.pop((name, "TXT")) for name, t in list(left) if name.startswith(PREFIX)
        }
        held = {name: {t: v for (n, t), v in left.items() if n == name} for name in self.names}
        for (name, rtype), values in left.items():
            if name not in marks:
                yield f"dangling: {name} {rtype} {set(values)} without an ownership record"
        for name, values in marks.items():
            yield from self._marked(name, values, held[name])
        for cluster in self.clusters:
            for uid in cluster.going:
                said = [str(p) for p in cluster.dns.blocking_problems(uid)]
                yield f"{cluster.name} still waits for {uid} to be gone and says {said}"
            for uid, desired in cluster.wanted.items():
                for name in desired:
                    if name not in marks and not any(n in (name, PREFIX + name) for n, _ in self.stranger.own):
                        said = [str(p) for p in cluster.dns.state(uid).problems]
                        yield f"missing: {name}, which {uid} wants and of which {cluster.name} says {said}"

    def _marked(self, name: str, values: frozenset[str], held: dict[str, frozenset[str]]) -> Iterator[str]:
        owner = parse(next(iter(values)).strip('"')) if len(values) == 1 else None
        cluster = (
            next((c for c in self.clusters if owner == Owner(c.cluster_id, owner.uid) and owner.uid in c.wanted), None)
            if owner
            else None
        )
        if owner is None or cluster is None or name not in cluster.wanted[owner.uid]:
            beside = {key: set(v) for key, v in self.stranger.own.items() if key[0] == name}
            yield f"dangling: {set(values)} marks {name} ({held}, the stranger's {beside}), and no such owner wants it"
            return
        wanted = {
            s.type: frozenset(_shown(s.type, v) for v in s.values)
            for s in address_sets(name, cluster.wanted[owner.uid][name], 1)
        }
        alias = "CNAME" in wanted or "CNAME" in held
        # Beside another type an alias can neither be made nor taken back; the ownership record keeps the name.
        if held != wanted and not (alias and any(n == name for n, _ in self.stranger.own)):
            yield f"wrong: {name} is {held}, and {owner.uid} wants {wanted}"


def _shown(rtype: str, value: str) -> str:
    return f"{value}." if rtype == "CNAME" else value


async def run(kind: str, count: int, seed: int, progress: Callable[[int], None] = lambda _: None) -> Counter[str]:
    """Raises Broken with the story; gives the figures."""
    with SERVERS[kind]() as server:
        zone = "interleaved.test"
        await asyncio.to_thread(server.create_zone, zone)
        game = Game(server, zone, seed)
        try:
            await game.run(count, progress)
        except Broken as error:
            raise Broken("\n".join([str(error), f"seed {seed}; the last steps:", *game.story])) from None
        return game.figures + Counter({f"stranger {act}": n for act, n in game.stranger.acts.items()})


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.dns.interleavings", description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=10_000, help="interleavings")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--kind", choices=sorted(SERVERS), default="bind")
    arguments = parser.parse_args()
    if line := SERVERS[arguments.kind].missing():
        print(f"MISSING {line}", file=sys.stderr)
        return 1
    log.configure("console", "error")
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    started = time.monotonic()

    def progress(number: int) -> None:
        if number % 1000 == 0:
            print(f"  {number} interleavings, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)

    try:
        figures = asyncio.run(run(arguments.kind, arguments.n, seed, progress))
    except Broken as error:
        print(error)
        return 1
    for what, count in sorted(figures.items()):
        print(f"  {what}: {count}")
    print(
        f"{arguments.n} interleavings on {arguments.kind}, seed {seed}, in {time.monotonic() - started:.0f} s: "
        "0 foreign records changed, 0 dangling names, every wanted name there"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
