"""The work queue of one zone and its single worker: names are enqueued, gathered, planned together and sent in the
largest possible batches.

Level-triggered: the queue contains names, not changes, and each reconcile compares the zone with the desired records at
that time. So the number and order of events and the results of earlier calls do not matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from decco.backoff import Backoff
from decco.dns.contested import ContestedNames
from decco.dns.errors import DnsError, InvalidRecord, ProviderUnreachable, RecordConflict, ZoneNotFound
from decco.dns.owned_names import OwnedNames
from decco.dns.plan import Plan, Rules, plan
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import DesiredRecord
from decco.dns.registry import Current, fold, ownership_name
from decco.dns.settings import DnsSettings
from decco.dns.unconfirmed import UnconfirmedChanges
from decco.dns.uncovered import Uncovered
from decco.log import get_logger

log = get_logger("decco.dns")


class ZoneQueue:
    """``rules`` are a live view of the service's state; ``changed(uids)`` is called after a reconcile with the owners
    whose state may have changed.
    """

    def __init__(
        self,
        zone: str,
        provider: Provider,
        rules: Rules,
        settings: DnsSettings,
        shared: Backoff,
        unconfirmed: UnconfirmedChanges,
        changed: Callable[[Iterable[str]], None],
    ) -> None:
        self.zone_name = zone
        self.provider = provider
        self.synced = False
        """Whether the whole zone has been read at least once."""
        self.trouble: DnsError | None = None
        """The error of the last reconcile, if it failed."""
        self._desired: dict[str, dict[str, DesiredRecord]] = {}
        """Name -> UID of the owner -> desired record."""
        self._rules = rules
        self._settings = settings
        self._shared = shared
        self._own = Backoff(settings.retry_base_seconds, settings.retry_max_seconds)
        self._changed = changed
        self._zone: Zone | None = None
        self._due: set[str] = set()
        self._busy: set[str] = set()
        self._due_since = 0.0
        self._behind_since: float | None = None
        self._compared_at = float("-inf")
        self._work = asyncio.Event()
        self._problems: dict[tuple[str, str], DnsError] = {}
        self._owned_names = OwnedNames(rules)
        self._uncovered = Uncovered(settings.federation.withdraw_seconds)
        self._conflicted: set[str] = set()
        """Names with a conflict that may only be due to a stale cache; a second conflict is reported."""
        self._contested = ContestedNames()
        self._unconfirmed = unconfirmed

    # Called by the service

    def set_desired(self, uid: str, name: str, record: DesiredRecord | None) -> None:
        """Set the desired record of an owner at a name, None for no record, and enqueue the name."""
        owners = self._desired.setdefault(name, {})
        if record is None:
            owners.pop(uid, None)
        else:
            owners[uid] = record
        if not owners:
            del self._desired[name]
        self._problems.pop((name, uid), None)
        self.enqueue([name])

    def enqueue(self, names: Iterable[str]) -> None:
        """Reconcile these names, as if for the first time."""
        for name in names:
            self._enqueue(name)
            self._conflicted.discard(name)

    def owned_by(self, uid: str) -> frozenset[str]:
        """Names that belonged to this owner when the zone was last read."""
        return self._owned_names.of(uid)

    def is_standby(self, name: str) -> bool:
        """Whether other clusters serve the name, and this one has added no address to it."""
        return self._owned_names.is_standby(name)

    def in_progress(self, names: Collection[str]) -> bool:
        """Whether any of the names is enqueued or in progress."""
        return any(name in self._due or name in self._busy for name in names)

    def has_unconfirmed(self, names: Collection[str]) -> bool:
        """Whether an unconfirmed change may still alter any of the names."""
        return self._unconfirmed.any_of(names)

    def lag(self) -> float:
        """Seconds since the zone last matched the desired records; 0 if it matches, as far as is known."""
        return 0.0 if self._behind_since is None else asyncio.get_running_loop().time() - self._behind_since

    def problem(self, name: str, uid: str) -> DnsError | None:
        found = self._problems.get((name, uid))
        return self.trouble if found is None and (name in self._due or not self.synced) else found

    # The worker

    async def run(self) -> None:
        while True:
            await self._wait_for_work()
            await self._gather()
            started = asyncio.get_running_loop().time()
            try:
                await self._reconcile()
            except DnsError as error:
                self._failed(error)
            except Exception:  # a defect must not stop the workers of the other zones
                log.exception("dns reconcile failed", provider=self.provider.name, zone=self.zone_name)
                self._failed(DnsError(f"the provider {self.provider.name} failed on {self.zone_name}: see decco's log"))
            else:
                self._succeeded()
                # Names that are enqueued now were added during this reconcile, or were refused in it.
                self._behind_since = started if self._due else None
            finally:
                self._busy = set()

    async def preview(self) -> Plan:
        """Read the whole zone and plan the changes without sending them."""
        zone = await self._find()
        current = fold(await self.provider.records(zone), zone.name)
        self._learn(current)
        return self._plan(current, self._desired.keys() | self._ours())

    async def read(self) -> dict[str, Current]:
        """All names of the zone."""
        return fold(await self.provider.records(await self._find()), self.zone_name)

    async def release_all(self, *, send: bool) -> Plan:
        """Withdraw what is this cluster's in the whole zone, for a cluster that does not exist any more. Without
        ``send`` only plan it. Of shared names what other clusters have stays. Raises the first error of a change.
        """
        zone = await self._find()
        current = fold(await self.provider.records(zone), zone.name)
        ours = {name: now for name, now in current.items() if self._rules.uid_of(now) is not None}
        alive = frozenset(uid for now in ours.values() if (uid := self._rules.uid_of(now)) is not None)
        result = plan(self.zone_name, ours, {name: {} for name in ours}, replace(self._rules, alive=alive))
        await self._send_all(zone, result.changes if send else ())
        return result

    async def hand_over(self, *, send: bool) -> Plan:
        """Give names of owners of this cluster that do not exist to those that desire them now, whether it is proven
        that they had them or not. Without ``send`` only plan it. Raises the first error of a change.
        """
        zone = await self._find()
        current = fold(await self.provider.records(zone), zone.name)
        left = {name: now for name, now in current.items() if self._rules.is_orphan(now) and self._desired.get(name)}
        rules = replace(self._rules, adopt=True, unproven=True)
        result = plan(self.zone_name, left, {name: self._desired[name] for name in left}, rules)
        await self._send_all(zone, result.changes if send else ())
        return result

    async def _send_all(self, zone: Zone, left: Sequence[Change]) -> None:
        while left:
            batch = left[: self.provider.fit(zone, left)]
            for outcome in await self.provider.apply(zone, batch):
                if outcome is not None:
                    raise outcome
            left = left[len(batch) :]

    async def _wait_for_work(self) -> None:
        """Wait until there is work and neither the zone nor its provider backs off."""
        loop = asyncio.get_running_loop()
        while (ready_at := self._ready_at()) > loop.time():
            self._work.clear()
            try:
                async with asyncio.timeout_at(ready_at):
                    await self._work.wait()
            except TimeoutError:
                if self._ready_at() <= ready_at:  # the clock may be slightly behind its timers
                    return

    def _ready_at(self) -> float:
        backoff = max(self._own.until, self._shared.until)
        return backoff if self._due else max(backoff, min(self._next_comparison(), self._contested.due_at))

    def _next_comparison(self) -> float:
        covers = self._uncovered.due_after(self._compared_at)
        return min(self._compared_at + self._interval(), self._unconfirmed.read_at, covers)

    async def _gather(self) -> None:
        if not self._due:
            self._due_since = asyncio.get_running_loop().time()
        left = self._due_since + self._settings.gather_milliseconds / 1000 - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)

    def _enqueue(self, name: str) -> None:
        if not self._due:
            self._due_since = asyncio.get_running_loop().time()
        self._due.add(name)
        if self._behind_since is None:
            self._behind_since = asyncio.get_running_loop().time()
        self._work.set()

    async def _find(self) -> Zone:
        if self._zone is None:
            self._zone = next((z for z in await self.provider.zones() if z.name == self.zone_name), None)
        if self._zone is None:
            raise ZoneNotFound(
                f"the provider {self.provider.name} has no zone {self.zone_name}: "
                "create it, or take it from the settings"
            )
        return self._zone

    async def _reconcile(self) -> None:
        loop = asyncio.get_running_loop()
        full = loop.time() >= self._next_comparison()
        contested = self._contested.take(loop.time())
        names = self._due | self._desired.keys() if full else self._due | contested
        # Names that are only compared are not in progress: their owners would seem to wait at each comparison.
        self._due, self._busy = set(), set(self._due)
        try:
            zone = await self._find()
            if full:
                began = loop.time()
                current = fold(await self.provider.records(zone), zone.name)
                self._unconfirmed.zone_read(began)
                self._learn(current)
                self._compared_at = loop.time()
                names |= self._ours()
            else:
                asked = set(names)
                for name in names:
                    with suppress(InvalidRecord):  # the plan reports the same error for this name
                        record = ownership_name(name, zone.name)
                        asked.add(record)
                        if name in contested:
                            self.provider.outdated(zone, (name, record))
                current = fold(await self.provider.records(zone, asked), zone.name)
                for name in names:
                    self._owned_names.note(name, current.get(name))
        except BaseException:
            self._due |= names
            raise
        for name in self._unconfirmed.names if full else names:
            self._unconfirmed.seen(current.get(name) or Current(name))
        # No await between here and the first call: the plan uses a consistent view of the desired records.
        await self._send(zone, names, self._plan(current, names))
        if self._contested.freed(contested) and not full:
            self._compared_at = float("-inf")

    def _interval(self) -> float:
        """Seconds between comparisons of the whole zone: shorter where other clusters change names of ours."""
        usual, federation = self._settings.compare_seconds, self._settings.federation
        return min(usual, federation.compare_seconds) if self._rules.federation and self._desired else usual

    def _ours(self) -> set[str]:
        """Names that belong to existing objects of this cluster by their ownership records."""
        return self._owned_names.of_any(self._rules.alive)

    def _plan(self, current: Mapping[str, Current], names: Collection[str]) -> Plan:
        # Other names that are not desired are left out, so that the cost of the plan depends on our names only.
        ours = {name: now for name, now in current.items() if name in names or self._rules.is_orphan(now)}
        desired_records = {name: self._desired.get(name, {}) for name in names}
        uncovered = self._uncovered.seen(current, desired_records, self._rules, asyncio.get_running_loop().time())
        return plan(self.zone_name, ours, desired_records, replace(self._rules, uncovered=uncovered))

    async def _send(self, zone: Zone, names: set[str], result: Plan) -> None:
        changing = {change.name for change in result.changes}
        self._busy |= changing
        touched: set[str] = set()
        for name in names - changing:
            self._conflicted.discard(name)
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
                for outcome in outcomes:
                    if outcome is not None and not isinstance(outcome, (RecordConflict, InvalidRecord)):
                        raise outcome  # it concerns the other changes as well
        except BaseException:
            for change in left:
                self._enqueue(change.name)
            raise
        finally:
            self._changed(touched)

    def _finish(self, change: Change, outcome: Outcome, problems: Mapping[tuple[str, str], DnsError]) -> set[str]:
        name = change.name
        if isinstance(outcome, ProviderUnreachable) and outcome.uncertain:
            self._unconfirmed.add((change,))
        if outcome is None:
            former = self._owned_names.owner_of(name)
            now = fold(change.after, self.zone_name).get(name)
            self._owned_names.note(name, now)
            self._unconfirmed.seen(now or Current(name))
            self._conflicted.discard(name)
            return self._settle(name, problems) | ({former} if former else set())
        desired = self._desired.get(name, {})
        if isinstance(outcome, RecordConflict) and name not in self._conflicted:
            # The cache was stale: it reads this name again, and the plan decides on the result.
            self._conflicted.add(name)
            self._enqueue(name)
            return set()
        if not isinstance(outcome, InvalidRecord):
            self._enqueue(name)
        if isinstance(outcome, RecordConflict):
            self._own.fail()
        return self._settle(name, {**problems, **{(name, uid): outcome for uid in desired}})

    def _settle(self, name: str, problems: Mapping[tuple[str, str], DnsError]) -> set[str]:
        """Store the problems of a name after its reconcile; returns the owners concerned."""
        self._busy.discard(name)
        owners = set(self._desired.get(name, ()))
        for uid in owners:
            if (name, uid) in problems:
                self._problems[name, uid] = problems[name, uid]
            else:
                self._problems.pop((name, uid), None)
        contested = any(isinstance(self._problems.get((name, uid)), RecordConflict) for uid in owners)
        awaited = any(record.accept for record in self._desired.get(name, {}).values())
        now = asyncio.get_running_loop().time()
        self._contested.note(name, contested=contested, awaited=awaited, now=now)
        return owners

    # Ownership in the zone

    def _learn(self, current: Mapping[str, Current]) -> None:
        self._owned_names.clear()
        for name, now in current.items():
            self._owned_names.note(name, now)
        if not self.synced:
            self.synced = True
            # Owners may wait for the result that the zone has none of their names.
            self._changed(tuple(self._rules.alive))

    # Errors

    def _failed(self, error: DnsError) -> None:
        changed = self.trouble is None or str(self.trouble) != str(error)
        self.trouble = error
        if isinstance(error, ZoneNotFound):
            # A zone that is created again may have another id and is empty: start from scratch.
            self._zone, self._compared_at = None, float("-inf")
        if not self.synced:
            self._compared_at = float("-inf")
        (self._shared if error.whole_provider else self._own).fail()
        if changed:
            log.warning(
                "dns reconcile failed",
                provider=self.provider.name,
                zone=self.zone_name,
                reason=error.reason,
                error=str(error),
            )
            concerned = self._due if self.synced else self._desired.keys()
            self._changed({uid for name in concerned for uid in self._desired.get(name, ())})

    def _succeeded(self) -> None:
        if self.trouble is not None:
            log.info("dns zone works again", provider=self.provider.name, zone=self.zone_name)
            self.trouble = None
            self._changed({uid for owners in self._desired.values() for uid in owners})
        if not self._conflicted:
            self._own.reset()
        self._shared.reset()
