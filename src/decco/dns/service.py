"""The public interface of this package: owners declare their desired records and read their state.

A reconciler calls ``ensure`` in each reconcile with all desired records of its object, and reads ``state``; when the
state changes later, the callback of ``subscribe`` enqueues the object. To delete: ``release``, wait until ``gone``,
then ``forget``. To give up names in zones that cannot be reached: ``abandon``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from decco.backoff import Backoff
from decco.dns.errors import REASON_NO_ADDRESS, REASON_OTHERS, REASON_PENDING, DnsError, InvalidRecord, ZoneNotFound
from decco.dns.plan import Plan, Rules
from decco.dns.provider import Provider
from decco.dns.records import DesiredRecord, Role, normalise
from decco.dns.registry import Current
from decco.dns.settings import DnsSettings
from decco.dns.unconfirmed import SETTLE_SECONDS, UnconfirmedChanges
from decco.dns.zonequeue import ZoneQueue
from decco.frozen import frozen
from decco.hostnames import zone_of
from decco.log import get_logger

log = get_logger("decco.dns")

MOST_ENDED = 4096


@frozen
class DnsProblem:
    """Why a name is not published as desired: ``reason`` is one of ``errors.REASONS``, ``message`` names the record."""

    name: str
    reason: str
    message: str


@frozen
class OwnerState:
    """The state of an owner's names; ``published`` are those that a zone has for it now."""

    problems: tuple[DnsProblem, ...] = ()
    published: frozenset[str] = frozenset()
    standing_by: frozenset[str] = frozenset()
    """Those of them that lead to other clusters alone."""

    @property
    def ready(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class _Owner:
    desired: dict[str, DesiredRecord] = field(default_factory=dict)
    """By name."""
    former: set[str] = field(default_factory=set)
    """All names that a zone has, or may have, for the owner."""
    refused: tuple[DnsProblem, ...] = ()
    """Problems of desired names that no zone can take."""
    shown: OwnerState | None = None
    """The state that was last returned or notified."""


class Dns:
    """All zones of all providers. One event loop; only ``run``, ``plan`` and ``close`` are asynchronous."""

    def __init__(
        self,
        providers: Sequence[Provider],
        cluster_id: str,
        settings: DnsSettings = DnsSettings(),  # noqa: B008 (it is frozen)
        *,
        settle: float = SETTLE_SECONDS,
    ) -> None:
        self._providers = providers
        self._owners: dict[str, _Owner] = {}
        self._releasing: set[str] = set()
        self._paused: dict[str, frozenset[str]] = {}
        self._ended: dict[str, None] = {}
        """UIDs of owners whose end was seen, the latest MOST_ENDED."""
        self._ownerless: set[str] = set()
        """Owners that are gone although their names are not."""
        self._callbacks: list[Callable[[str], None]] = []
        own_rules = Rules(cluster_id, settings.ttl, self._owners.keys(), settings.adopt, self._paused, self._ended)
        federation_rules = replace(own_rules, federation=settings.federation.id or "")
        self._queues: dict[str, list[ZoneQueue]] = {}
        for provider in providers:
            shared = Backoff(settings.retry_base_seconds, settings.retry_max_seconds)
            for zone in provider.zone_names:
                unconfirmed = UnconfirmedChanges(settle)
                rules = federation_rules if provider.shared else own_rules
                queue = ZoneQueue(zone, provider, rules, settings, shared, unconfirmed, self._notify)
                self._queues.setdefault(zone, []).append(queue)

    async def run(self) -> None:
        """Run all zone queues until cancelled; then close the providers."""
        try:
            async with asyncio.TaskGroup() as group:
                for queue in self._all():
                    group.create_task(queue.run(), name=f"dns {queue.provider.name} {queue.zone_name}")
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the providers; only needed without ``run``."""
        for provider in self._providers:
            await provider.close()

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(uid)`` whenever the ``state`` or ``gone`` of that owner may have changed."""
        self._callbacks.append(callback)

    def serves(self, name: str) -> bool:
        """Whether the name is valid and in a zone of the providers."""
        try:
            self._publishable(name)
        except DnsError:
            return False
        return True

    def ensure(self, owner_uid: str, desired: Iterable[DesiredRecord]) -> OwnerState:
        """Set all desired records of an owner; names that are no longer included are withdrawn. Returns the state."""
        new: dict[str, DesiredRecord] = {}
        refused: list[DnsProblem] = []
        known = self._owners[owner_uid].desired if owner_uid in self._owners else {}
        for record in desired:
            try:
                name = self._publishable(record.name)
            except DnsError as error:
                refused.append(DnsProblem(record.name, error.reason, str(error)))
                continue
            # What is published is neither created nor taken any more: whether it may be is no work for the zone.
            held = [name in queue.owned_by(owner_uid) for queue in self._of(name)]
            accept = known[name].accept if name in known and all(held) else record.accept
            new[name] = replace(record, name=name, create=record.create or any(held), accept=accept)
        if new:
            self._releasing.discard(owner_uid)
        return self._set(owner_uid, new, tuple(refused), new)

    def release(self, owner_uid: str, names: Iterable[str] = ()) -> OwnerState:
        """Withdraw all names of an owner that is being deleted.

        ``names`` are those that it may have published before this process started: only their zones must be read before
        the owner is ``gone``; without names, all zones.
        """
        former = []
        for text in names:
            with suppress(InvalidRecord):  # such a name was never published
                former.append(normalise(text))
        self._releasing.add(owner_uid)
        return self._set(owner_uid, {}, (), former)

    def _set(
        self, uid: str, new: dict[str, DesiredRecord], refused: tuple[DnsProblem, ...], former: Iterable[str]
    ) -> OwnerState:
        first, resumed = uid not in self._owners, uid in self._paused
        if new:
            self._ended.pop(uid, None)  # a restore of etcd has brought it back
        self._paused.pop(uid, None)
        owner = self._owners.setdefault(uid, _Owner())
        old, owner.desired, owner.refused = owner.desired, new, refused
        owner.former.update(former)
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        for name in changed:
            for queue in self._of(name):
                queue.set_desired(uid, name, new.get(name))
        if resumed:  # its names may have been changed during the pause
            for name in new.keys() - changed:
                for queue in self._of(name):
                    queue.enqueue([name])
        if first or resumed:
            for queue in self._all():
                queue.enqueue(queue.owned_by(uid))
        owner.shown = self.state(uid)
        return owner.shown

    def pause(self, owner_uid: str, lost: Iterable[str] = ()) -> None:
        """Do not change the owner's names until the next ``ensure`` or ``release`` of this owner, except for ``lost``
        names, which are withdrawn.
        """
        names = set()
        for text in lost:
            with suppress(InvalidRecord):  # such a name was never published
                names.add(normalise(text))
        new = names - self._paused.get(owner_uid, frozenset())
        self._paused[owner_uid] = frozenset(names)
        if not new:
            return
        owner = self._owners.setdefault(owner_uid, _Owner())
        owner.former.update(new)
        for name in new:
            owner.desired.pop(name, None)
            for queue in self._of(name):
                queue.set_desired(owner_uid, name, None)

    def ended(self, owner_uid: str) -> None:
        """The owner is gone. What it may have left, because another client removed its finalizer, is withdrawn. A name
        that it abandoned is free for the next owner that desires it.
        """
        self._ended[owner_uid] = None
        if len(self._ended) > MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        owner = self._owners.get(owner_uid)
        if owner is not None and owner.former:
            self._ownerless.add(owner_uid)
            self.release(owner_uid)
        if owner is None or self.gone(owner_uid) or not owner.former:
            self.forget(owner_uid)

    def state(self, owner_uid: str) -> OwnerState:
        """The last known state of the owner's names; an unknown owner has no names and no problems."""
        owner = self._owners.get(owner_uid, _Owner())
        found = [self._problem(name, record, owner_uid) for name, record in owner.desired.items()]
        problems = [*owner.refused, *(problem for problem in found if problem is not None)]
        published = frozenset[str]().union(*(queue.owned_by(owner_uid) for queue in self._all()))
        standing_by = frozenset(name for name in published if any(q.is_standby(name) for q in self._of(name)))
        return OwnerState(tuple(sorted(problems, key=lambda p: p.name)), published, standing_by)

    def published(self, owner_uid: str) -> dict[str, str]:
        """The desired names that a zone has for the owner now, each with its zone; without shared names that lead to
        other clusters alone.
        """
        owner = self._owners.get(owner_uid, _Owner())
        state = self.state(owner_uid)
        held = state.published - state.standing_by
        found = {name: zone_of(name, self._queues) for name, record in owner.desired.items() if record.targets}
        return {name: zone for name, zone in found.items() if zone is not None and name in held}

    def gone(self, owner_uid: str) -> bool:
        """Whether the owner wants no name, and all zones, when last read, had none of it."""
        return self.absent(owner_uid) and not self._owners.get(owner_uid, _Owner()).desired

    def absent(self, owner_uid: str) -> bool:
        """Whether all zones, when last read, had no name of this owner."""
        owner = self._owners.get(owner_uid, _Owner())
        for queue in self._concerned(owner):
            names = {name for name in owner.former if zone_of(name, self._queues) == queue.zone_name}
            if (
                not queue.synced
                or queue.owned_by(owner_uid)
                or queue.in_progress(names)
                or queue.has_unconfirmed(names)
            ):
                return False
        return True

    def blocking_problems(self, owner_uid: str) -> tuple[DnsProblem, ...]:
        """Why a released owner is not gone yet: the zones that have, or may have, a name of it."""
        found: dict[str, DnsProblem] = {}
        owner = self._owners.get(owner_uid, _Owner())
        for queue in self._concerned(owner):
            zone, trouble = queue.zone_name, queue.trouble
            if trouble is not None and (
                queue.owned_by(owner_uid) or not queue.synced or queue.in_progress(owner.former)
            ):
                found[zone] = DnsProblem(zone, trouble.reason, str(trouble))
            elif queue.has_unconfirmed(owner.former):
                found[zone] = DnsProblem(
                    zone,
                    REASON_PENDING,
                    f"a change of the zone {zone} was not answered and may still be carried out; "
                    "the zone is read again before its names are taken for gone",
                )
        return tuple(found[zone] for zone in sorted(found))

    def forget(self, owner_uid: str) -> None:
        """Remove all state of an owner, after it is gone."""
        if owner_uid in self._owners and self._owners[owner_uid].desired:
            self.ensure(owner_uid, ())
        self._releasing.discard(owner_uid)
        self._ownerless.discard(owner_uid)
        self._paused.pop(owner_uid, None)
        self._owners.pop(owner_uid, None)

    def abandon(self, owner_uid: str) -> None:
        """Forget an owner without withdrawing its names: its records and ownership records stay in the zones."""
        owner = self._owners.get(owner_uid, _Owner())
        log.warning("dns names abandoned", owner=owner_uid, names=sorted(owner.former))
        self.forget(owner_uid)

    async def plan(self) -> list[tuple[str, str, Plan | DnsError]]:
        """The changes that would be made now, by (provider, zone): reads every zone, sends nothing."""
        return await self._of_zones(ZoneQueue.preview)

    async def release_all(self, *, send: bool) -> list[tuple[str, str, Plan | DnsError]]:
        """Withdraw all names of this cluster from all zones, by (provider, zone); without ``send`` only plan it. For a
        service that does not run, of a cluster that does not exist any more.
        """
        return await self._of_zones(lambda queue: queue.release_all(send=send))

    async def current(self) -> dict[str, Current]:
        """All names of all zones, as they are now. Raises DnsError."""
        found: dict[str, Current] = {}
        for queue in self._all():
            found |= await queue.read()
        return found

    async def hand_over(self, *, send: bool) -> list[tuple[str, str, Plan | DnsError]]:
        """Give the names that owners of this cluster had before it was restored to those that desire them now, by
        (provider, zone); without ``send`` only plan it. For a service that does not run.
        """
        return await self._of_zones(lambda queue: queue.hand_over(send=send))

    async def _of_zones(
        self, planned: Callable[[ZoneQueue], Awaitable[Plan]]
    ) -> list[tuple[str, str, Plan | DnsError]]:
        """The plan of each zone or why there is none, by (provider, zone)."""
        found: list[tuple[str, str, Plan | DnsError]] = []
        for queue in self._all():
            try:
                found.append((queue.provider.name, queue.zone_name, await planned(queue)))
            except DnsError as error:
                found.append((queue.provider.name, queue.zone_name, error))
        return found

    def lags(self) -> dict[tuple[str, str], float]:
        """The age of the oldest pending change of each zone: (provider, zone) -> seconds, 0 without one."""
        return {(queue.provider.name, queue.zone_name): queue.lag() for queue in self._all()}

    def _all(self) -> list[ZoneQueue]:
        return [queue for queues in self._queues.values() for queue in queues]

    def _concerned(self, owner: _Owner) -> set[ZoneQueue]:
        """The queues of the zones that may have names of the owner; all, if it is not known to have any."""
        return {queue for name in owner.former for queue in self._of(name)} or set(self._all())

    def _of(self, name: str) -> list[ZoneQueue]:
        zone = zone_of(name, self._queues)
        return self._queues[zone] if zone is not None else []

    def _publishable(self, text: str) -> str:
        name = normalise(text)
        if name.startswith("_"):
            raise InvalidRecord(
                f"{name} starts with an underscore: such names are reserved for ownership records and services; "
                "choose another"
            )
        if zone_of(name, self._queues) is None:
            served = ", ".join(sorted(self._queues)) or "none"
            raise ZoneNotFound(
                f"no zone of the setting dns.providers holds {name}: "
                f"add its zone, or choose a name below one of these: {served}"
            )
        return name

    def _problem(self, name: str, record: DesiredRecord, uid: str) -> DnsProblem | None:
        queues = self._of(name)
        for queue in queues:
            if (error := queue.problem(name, uid)) is not None:
                return DnsProblem(name, error.reason, "; ".join(filter(None, (str(error), error.advice))))
        published = all(name in queue.owned_by(uid) for queue in queues)
        if record.role is Role.LEAVING:
            if not published:
                return None
            return DnsProblem(
                name,
                REASON_OTHERS,
                f"{name} leads here until another cluster of the federation serves it: is the object applied there, "
                "and ready?",
            )
        if not record.targets:
            stays = "what is published stays for now" if published else "nothing is published"
            return DnsProblem(
                name,
                REASON_NO_ADDRESS,
                f"the edge has no address to point {name} to, so {stays}: "
                "give its Service or Gateway one, or set edge.addresses",
            )
        if not published and not record.create:
            return DnsProblem(name, REASON_PENDING, f"{name} is published when the edge answers for it")
        if not published or any(queue.in_progress((name,)) for queue in queues):
            return DnsProblem(name, REASON_PENDING, f"{name} is being published")
        return None

    def _notify(self, uids: Iterable[str]) -> None:
        # Owners that wait to be gone are always notified: a zone without their names never reports them by UID.
        for uid in sorted({*uids, *self._releasing}):
            owner, state = self._owners.get(uid, _Owner()), self.state(uid)
            if owner.shown != state or uid in self._releasing:
                owner.shown = state
                for callback in self._callbacks:
                    callback(uid)
                if uid in self._ownerless and self.gone(uid):
                    self.forget(uid)
