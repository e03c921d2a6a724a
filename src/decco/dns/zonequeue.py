"""One zone's queue and its one worker: names become due, are gathered, planned together and sent in the largest
batches.

Level-triggered: the queue holds names, never changes, and each turn compares what the zone holds with what is wanted
then. So it does not matter how often a name became due, in which order, or what happened to an earlier call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from decco.dns.backoff import Backoff
from decco.dns.errors import DnsError, InvalidRecord, ProviderUnreachable, RecordConflict, ZoneNotFound
from decco.dns.plan import Plan, Rules, plan
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import WantedRecord
from decco.dns.registry import Current, fold, mark_name
from decco.dns.unconfirmed import UnconfirmedChanges

log = structlog.get_logger("decco.dns")


@dataclass(frozen=True, slots=True)
class Pacing:
    """Times in seconds."""

    gather: float = 0.2
    """How long the first due name waits for others to share its batch."""
    compare: float = 3600.0
    """Between two comparisons of the whole zone."""
    retry_base: float = 1.0
    retry_limit: float = 300.0
    settle: float = 60.0
    """How long a call of which no answer came may still be carried out."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What the service knows, live: the queue looks it up at each turn and never changes it."""

    by_name: Mapping[str, Mapping[str, WantedRecord]]
    alive: Collection[str]
    cluster: str
    ttl: int
    adopt: bool
    paused: Collection[str] = frozenset()


class ZoneQueue:
    """``changed(uids)`` is called after a turn with the owners whose names did not stay as they were."""

    def __init__(
        self,
        zone: str,
        provider: Provider,
        desired: Desired,
        pacing: Pacing,
        shared: Backoff,
        changed: Callable[[Iterable[str]], None],
    ) -> None:
        self.zone_name = zone
        self.provider = provider
        self.synced = False
        """Whether the whole zone has been read at least once."""
        self.trouble: DnsError | None = None
        """Why the last turn did not reach its end."""
        self.orphans = 0
        self._wishes = desired
        self._pacing = pacing
        self._shared = shared
        self._own = Backoff(pacing.retry_base, pacing.retry_limit)
        self._changed = changed
        self._zone: Zone | None = None
        self._wanted: set[str] = set()
        self._due: set[str] = set()
        self._busy: set[str] = set()
        self._due_since = 0.0
        self._behind_since: float | None = None
        self._compare_at = float("-inf")
        self._wake = asyncio.Event()
        self._problems: dict[tuple[str, str], DnsError] = {}
        self._marked: dict[str, set[str]] = {}
        self._marks: dict[str, str] = {}
        self._twice: set[str] = set()
        self._unconfirmed = UnconfirmedChanges(pacing.settle)

    # Asked by the service

    def want(self, names: Iterable[str]) -> None:
        """Take these names up: their desired have changed."""
        for name in names:
            (self._wanted.add if self._wishes.by_name.get(name) else self._wanted.discard)(name)
            self._mark_due(name)
            self._twice.discard(name)

    def adopt_owner(self, uid: str) -> None:
        """Take up the names that the zone says are this owner's; called when the owner is first seen."""
        self.want(tuple(self._marked.get(uid, ())))

    def holds(self, uid: str) -> frozenset[str]:
        """Names that the zone, as last seen, says are this owner's."""
        return frozenset(self._marked.get(uid, ()))

    def open(self, names: Collection[str]) -> bool:
        """Tell whether any of the names has work ahead of it or under way."""
        return any(name in self._due or name in self._busy for name in names)

    def in_doubt(self, names: Collection[str]) -> bool:
        """Tell whether any of the names may still be changed by a call of which no answer came."""
        return self._unconfirmed.any_of(names)

    def lag(self) -> float:
        """Seconds since the zone last was as wanted; 0 if it is now, as far as is known."""
        return 0.0 if self._behind_since is None else asyncio.get_running_loop().time() - self._behind_since

    def problem(self, name: str, uid: str) -> DnsError | None:
        found = self._problems.get((name, uid))
        return self.trouble if found is None and (name in self._due or not self.synced) else found

    # The worker

    async def run(self) -> None:
        while True:
            await self._rest()
            await self._gather()
            started = asyncio.get_running_loop().time()
            try:
                await self._turn()
            except DnsError as error:
                self._failed(error)
            except Exception:  # one zone's mistake of ours must not end the others' workers
                log.exception("dns turn failed", provider=self.provider.name, zone=self.zone_name)
                self._failed(DnsError(f"the provider {self.provider.name} failed on {self.zone_name}: see decco's log"))
            else:
                self._reached()
                # What became due meanwhile is younger than this turn, or was seen by it and refused.
                self._behind_since = started if self._due else None
            finally:
                self._busy = set()

    async def preview(self) -> Plan:
        """Read the whole zone and tell what a turn would change; nothing is sent."""
        zone = await self._find()
        current = fold(await self.provider.records(zone), zone.name)
        self._learn(current)
        return self._plan(current, self._wanted | self._ours())

    async def _rest(self) -> None:
        """Wait until there is work and neither the zone nor its provider is left alone."""
        loop = asyncio.get_running_loop()
        while (ready_at := self._ready_at()) > loop.time():
            self._wake.clear()
            try:
                async with asyncio.timeout_at(ready_at):
                    await self._wake.wait()
            except TimeoutError:
                if self._ready_at() <= ready_at:  # not asked of the clock, which may be a hair behind its own timers
                    return

    def _ready_at(self) -> float:
        held_back = max(self._own.until, self._shared.until)
        return held_back if self._due else max(held_back, self._next_comparison())

    def _next_comparison(self) -> float:
        return min(self._compare_at, self._unconfirmed.look_at)

    async def _gather(self) -> None:
        if not self._due:
            self._due_since = asyncio.get_running_loop().time()
        left = self._due_since + self._pacing.gather - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)

    def _mark_due(self, name: str) -> None:
        if not self._due:
            self._due_since = asyncio.get_running_loop().time()
        self._due.add(name)
        if self._behind_since is None:
            self._behind_since = asyncio.get_running_loop().time()
        self._wake.set()

    async def _find(self) -> Zone:
        if self._zone is None:
            self._zone = next((z for z in await self.provider.zones() if z.name == self.zone_name), None)
        if self._zone is None:
            raise ZoneNotFound(
                f"the provider {self.provider.name} has no zone {self.zone_name}: "
                "create it, or take it from the settings"
            )
        return self._zone

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        full = loop.time() >= self._next_comparison()
        names = self._due | self._wanted if full else self._due
        self._due, self._busy = set(), set(names)
        try:
            zone = await self._find()
            if full:
                began = loop.time()
                current = fold(await self.provider.records(zone), zone.name)
                self._unconfirmed.looked(began)
                self._learn(current)
                self._compare_at = loop.time() + self._pacing.compare
                names |= self._ours()
                self._busy = set(names)
            else:
                asked = {*names, *(self._mark_of(name) for name in names)} - {""}
                current = fold(await self.provider.records(zone, asked), zone.name)
                for name in names:
                    self._note(name, current.get(name))
        except BaseException:
            self._due |= names
            raise
        for name in self._unconfirmed.names if full else names:
            self._unconfirmed.seen(current.get(name) or Current(name))
        # From here to the first call nothing is awaited: the plan is made of the desired of one moment.
        result = self._plan(current, names)
        if full:
            self.orphans = len(result.orphans)
        await self._send(zone, names, result)

    def _ours(self) -> set[str]:
        """Names that the zone says are of objects which this cluster has."""
        return {name for uid in self._wishes.alive for name in self._marked.get(uid, ())}

    def _plan(self, current: Mapping[str, Current], names: Collection[str]) -> Plan:
        desired = self._wishes
        # Names of others that nobody wants are left out before the plan sees them: it costs what ours cost.
        ours = {n: h for n, h in current.items() if n in names or self._is_orphan(h)}
        rules = Rules(self.zone_name, desired.cluster, desired.ttl, desired.alive, desired.adopt, desired.paused)
        return plan(ours, {name: desired.by_name.get(name, {}) for name in names}, rules)

    def _is_orphan(self, now: Current) -> bool:
        owner = now.owner
        return owner is not None and owner.cluster == self._wishes.cluster and owner.uid not in self._wishes.alive

    async def _send(self, zone: Zone, names: set[str], result: Plan) -> None:
        changing = {change.name for change in result.changes}
        touched: set[str] = set()
        for name in names - changing:
            self._twice.discard(name)
            touched |= self._settle(name, result.problems)
        left: Sequence[Change] = result.changes
        try:
            while left:
                batch = left[: self.provider.fit(zone, left)]
                try:
                    outcomes = await self.provider.apply(zone, batch)
                except ProviderUnreachable as error:
                    self._unconfirmed.add(batch if error.uncertain else ())
                    raise
                log.info("dns changes sent", provider=self.provider.name, zone=zone.name, changes=len(batch))
                left = left[len(batch) :]
                for change, outcome in zip(batch, outcomes, strict=True):
                    touched |= self._finish(change, outcome, result.problems)
                self._raise_shared(outcomes)
        except BaseException:
            for change in left:
                self._mark_due(change.name)
            raise
        finally:
            self._changed(touched)

    def _raise_shared(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome is not None and not isinstance(outcome, (RecordConflict, InvalidRecord)):
                raise outcome

    def _finish(self, change: Change, outcome: Outcome, problems: Mapping[tuple[str, str], DnsError]) -> set[str]:
        name = change.name
        if isinstance(outcome, ProviderUnreachable) and outcome.uncertain:
            self._unconfirmed.add((change,))
        if outcome is None:
            given_up_by = {uid for uid in (self._marks.get(name),) if uid}
            now = fold(change.after, self.zone_name).get(name)
            self._note(name, now)
            self._unconfirmed.seen(now or Current(name))
            self._twice.discard(name)
            return self._settle(name, problems) | given_up_by
        desired = self._wishes.by_name.get(name, {})
        if isinstance(outcome, RecordConflict) and name not in self._twice:
            # The zone was not as remembered; the cache now reads this name anew, and the plan judges what it finds.
            self._twice.add(name)
            self._mark_due(name)
            return set()
        if not isinstance(outcome, InvalidRecord):
            self._mark_due(name)
        if isinstance(outcome, RecordConflict):
            self._own.fail()
        return self._settle(name, {**problems, **{(name, uid): outcome for uid in desired}})

    def _settle(self, name: str, problems: Mapping[tuple[str, str], DnsError]) -> set[str]:
        """Keep what is known of a name after its turn; gives the owners concerned."""
        self._busy.discard(name)
        owners = set(self._wishes.by_name.get(name, ()))
        for uid in owners:
            if (name, uid) in problems:
                self._problems[name, uid] = problems[name, uid]
            else:
                self._problems.pop((name, uid), None)
        return owners

    def forget(self, name: str, uid: str) -> None:
        """Drop what was said about an owner's name that it wants no more."""
        self._problems.pop((name, uid), None)

    # What the zone says of owners

    def _learn(self, current: Mapping[str, Current]) -> None:
        self._marked, self._marks = {}, {}
        for name, now in current.items():
            self._note(name, now)
        if not self.synced:
            self.synced = True
            self._changed(tuple(self._wishes.alive))  # some wait to hear that the zone holds nothing of theirs

    def _note(self, name: str, now: Current | None) -> None:
        owner = now.owner if now is not None else None
        before = self._marks.pop(name, None)
        if before is not None:
            self._marked[before].discard(name)
            if not self._marked[before]:
                del self._marked[before]
        if owner is not None and owner.cluster == self._wishes.cluster:
            self._marks[name] = owner.uid
            self._marked.setdefault(owner.uid, set()).add(name)

    def _mark_of(self, name: str) -> str:
        try:
            return mark_name(name, self.zone_name)
        except InvalidRecord:
            return ""  # the plan says the same of this name, where it can be shown

    # Failure and success

    def _failed(self, error: DnsError) -> None:
        news = self.trouble is None or str(self.trouble) != str(error)
        self.trouble = error
        if isinstance(error, ZoneNotFound):
            # Made anew, it may have another id and is surely empty: start from the beginning.
            self._zone, self._compare_at = None, float("-inf")
        if not self.synced:
            self._compare_at = float("-inf")
        (self._shared if error.whole_provider else self._own).fail()
        if news:
            log.warning(
                "dns turn failed",
                provider=self.provider.name,
                zone=self.zone_name,
                reason=error.reason,
                error=str(error),
            )
            concerned = self._due if self.synced else self._wanted
            self._changed({uid for name in concerned for uid in self._wishes.by_name.get(name, ())})

    def _reached(self) -> None:
        if self.trouble is not None:
            log.info("dns zone works again", provider=self.provider.name, zone=self.zone_name)
            self.trouble = None
            self._changed({uid for name in self._wanted for uid in self._wishes.by_name.get(name, ())})
        if not self._twice:
            self._own.reset()
        self._shared.reset()
