"""DNS records of Spaces and Apps: published, followed, and withdrawn before their owner is deleted.

A finalizer ensures the withdrawal. It is set before the first record is requested, so a record's owner cannot be
deleted without it, and removed when the DNS service reports that no zone contains a name of the owner. The owner's
children exist as long as the owner does, so a record is removed before its target.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from decco.api.conditions import ConditionType, has_status
from decco.desired import reasons
from decco.desired.http_names import server_name
from decco.desired.model import Problem
from decco.desired.move import NO_MOVE, Move
from decco.dns.errors import REASON_PENDING, REASONS
from decco.dns.records import DesiredRecord, Role
from decco.frozen import frozen
from decco.kube.client import Client
from decco.kube.entry import Entry
from decco.kube.errors import Conflict, NotFound
from decco.kube.identity import is_there
from decco.kube.store import Change, Store, subscribed
from decco.log import get_logger
from decco.objects import ANNOTATION_ABANDON_DNS, FINALIZER_DNS, Obj, annotations_of
from decco.reconcilers.answers import NOT_PROBING, EdgeState
from decco.reconcilers.record_probes import RecordProbes
from decco.settings import Settings

if TYPE_CHECKING:
    from decco.dns.service import Dns, DnsProblem

log = get_logger(__name__)

_WITHDRAWING = Problem(reasons.WAITING_FOR_DNS, "records that are no longer desired are being removed")
JOIN_SECONDS = 5.0
"""Pause before the next reconcile of an object that cannot serve its names yet, or whose names still lead here."""
_UNKNOWN_ADDRESS = Problem(
    reasons.NO_ADDRESS,
    "the edge's addresses cannot be known, because its Gateway or Service cannot be listed (see /readyz of decco); "
    "records stay as they are",
)


@frozen
class Published:
    """The state of an object's records. The entry is new if the finalizer was set or removed."""

    entry: Entry
    obj: Obj
    problems: tuple[Problem, ...] | None = None
    """None: no record is desired or left."""
    requeue_after: float | None = None
    """Seconds until the desired records change with time."""
    here: bool = False
    """Whether a name of the object leads to this cluster."""


class Records:
    """``dns`` is None without providers: then nothing is published, and finalizers of former settings are removed.
    ``clock`` in seconds, monotonic.
    """

    def __init__(
        self,
        dns: Dns | None,
        client: Client,
        settings: Settings,
        clock: Callable[[], float],
        record_probes: RecordProbes,
    ) -> None:
        self._dns = dns
        self._record_probes = record_probes
        self._client = client
        self._grace = settings.dns.no_address_grace_seconds
        self._dry_run = settings.dry_run
        self._clock = clock
        self._ttl = settings.dns.ttl
        self._started = clock()
        self._left: dict[str, float] = {}
        """UID -> since when no zone has a name of an object that is not placed here any more."""
        self._shared = bool(settings.dns.federation.id)
        self._withdraw_seconds = settings.dns.federation.withdraw_seconds
        self._failing: dict[str, dict[str, float]] = {}
        """UID -> shared name -> since when it answers at no address of this edge."""
        self._without_address: dict[str, float] = {}
        """UID -> since when the edge has no address for it."""
        self._answered: set[str] = set()
        """UIDs for which this process has received a result other than "waiting"."""

    @property
    def enabled(self) -> bool:
        return self._dns is not None

    def following(self, *stores: Store) -> AbstractContextManager[None]:
        """Forgets objects of these stores when they are gone."""
        return subscribed(self._gone, *stores)

    def _gone(self, change: Change) -> None:
        if change.removed is not None:
            uid = change.removed.uid
            self._left.pop(uid, None)
            self._drop(uid)
            if self._dns is not None:
                self._dns.ended(uid)

    def _forget(self, uid: str) -> None:
        self._drop(uid)
        if self._dns is not None:
            self._dns.forget(uid)

    def _drop(self, uid: str) -> None:
        self._without_address.pop(uid, None)
        self._failing.pop(uid, None)
        self._answered.discard(uid)
        self._record_probes.forget(uid)

    async def publish(
        self,
        store: Store,
        entry: Entry,
        obj: Obj,
        names: Sequence[str],
        addresses: Sequence[str] | None,
        found: EdgeState = NOT_PROBING,
        restored: Collection[str] = (),
        role: Role = Role.ACTIVE,
        joins: Callable[[], bool] = lambda: True,
        move: Move = NO_MOVE,
    ) -> Published:
        """Publishes ``names`` of the object with ``addresses``; its other names are withdrawn. While the addresses are
        unknown (None), no record changes. For a name in ``found.held_back`` no record is created; an existing one
        stays. A name that clusters share, and that has failed at this edge for some time, leads to the others. One that
        leads to others is not added here unless the object ``joins``, that is, can serve it. The object may take over
        ``restored`` names from one that does not exist. With ``move`` they are offered to another cluster, or taken
        from it when it offers them.

        Raises Conflict if the object changed meanwhile.
        """
        recorded, current = has_finalizer(obj), Published(entry, obj)
        if self._dns is None:
            if not recorded:
                return current
            _warn_left(store, entry)
            return await self._set_finalizer(store, current, present=False)
        if not names and not recorded:
            self._forget(entry.uid)
            return current
        if role is Role.LEAVING:
            return await self._leave(self._dns, store, current, names, addresses or ())
        if addresses is None and names:
            self._without_address.pop(entry.uid, None)
            self._dns.pause(entry.uid)
            return replace(current, problems=(_UNKNOWN_ADDRESS,))
        addresses = addresses or ()
        left = self._grace_left(entry.uid, addresses)
        if not names or left == 0:
            return await self._withdraw(self._dns, store, current, names)
        if addresses and not recorded and any(self._dns.serves(name) for name in names):
            current = await self._set_finalizer(store, current, present=True)
        _check_exists(store, current.entry)
        targets = frozenset(addresses)
        standby, until = self._standby(entry.uid, names, found)
        if self._shared and not self._dns.published(entry.uid).keys() >= set(names) and not joins():
            standby = dict.fromkeys(names) | standby
            until = min(until or JOIN_SECONDS, JOIN_SECONDS)
        state = self._dns.ensure(
            entry.uid,
            [
                DesiredRecord(
                    name,
                    targets,
                    create=name not in found.held_back,
                    standby=standby.get(name, False),
                    restored=name in restored,
                    role=role,
                    offer=move.to,
                    accept=move.source,
                )
                for name in names
            ],
        )
        problems = self._settled(current, tuple(_problem(each) for each in state.problems))
        known = {each.name for each in state.problems}
        zones = self._dns.published(entry.uid)
        unserved = self._record_probes.problems(current.entry, zones, targets, shared=self._shared)
        not_served = (problem for name, problem in unserved.items() if name not in known)
        requeue_after = min((each for each in (left, until) if each is not None), default=None)
        return replace(current, problems=(*problems, *not_served), requeue_after=requeue_after, here=bool(zones))

    async def _leave(
        self, dns: Dns, store: Store, current: Published, names: Sequence[str], addresses: Sequence[str]
    ) -> Published:
        """Withdraws the names of an object that is not placed here, shared ones once others serve them."""
        uid = current.entry.uid
        self._record_probes.forget(uid)
        if not has_finalizer(current.obj):
            dns.forget(uid)
            return current
        self._left.pop(uid, None)
        _check_exists(store, current.entry)
        targets = frozenset(addresses)
        state = dns.ensure(uid, [DesiredRecord(name, targets, role=Role.LEAVING) for name in names])
        if not dns.absent(uid):
            problems = tuple(map(_problem, state.problems)) or (_WITHDRAWING,)
            return replace(current, problems=problems, here=True)
        current = await self._set_finalizer(store, current, present=False)
        self._forget(uid)
        self._left[uid] = self._clock()
        return current

    def leads(self, *owners: Entry) -> float | None:
        """Seconds for which the names of these objects may lead here, as far as is known now; None if none does."""
        if self._dns is None:
            return None
        if any(has_finalizer(owner.obj()) for owner in owners):
            return JOIN_SECONDS
        since = max(self._left.get(owner.uid, self._started) for owner in owners)
        left = since + self._ttl - self._clock()
        return left if left > 0 else None

    def _standby(self, uid: str, names: Iterable[str], found: EdgeState) -> tuple[dict[str, bool | None], float | None]:
        """By name whether it stands by, for names that do not answer at this edge: None for as it is; and the seconds
        until the first of them does.
        """
        if not self._shared:
            return {}, None
        now, since = self._clock(), self._failing.pop(uid, {})
        failing = {name: since.get(name, now) for name in names if server_name(name) in found.failing}
        if failing:
            self._failing[uid] = failing
        left = {name: start + self._withdraw_seconds - now for name, start in failing.items()}
        standby: dict[str, bool | None] = {name: None for name in names if server_name(name) in found.silent}
        standby |= {name: True for name, seconds in left.items() if seconds <= 0}
        return standby, min((seconds for seconds in left.values() if seconds > 0), default=None)

    async def _withdraw(self, dns: Dns, store: Store, current: Published, names: Sequence[str]) -> Published:
        """Nothing is to be published; ``names`` would be if the edge had an address."""
        problems: list[Problem] = []
        uid = current.entry.uid
        self._record_probes.forget(uid)
        if not has_finalizer(current.obj):
            dns.forget(uid)  # nothing was published; a release would enqueue it without end
        else:
            dns.release(uid)
            if dns.gone(uid):
                current = await self._set_finalizer(store, current, present=False)
                dns.forget(uid)
            else:
                problems = [_problem(each) for each in dns.blocking_problems(uid)] or ([] if names else [_WITHDRAWING])
        unpublished = [
            Problem(
                reasons.NO_ADDRESS,
                f"the edge has no address to point {name} to, so nothing is published: give its Service or Gateway "
                "one, or set edge.addresses",
            )
            for name in names
        ]
        return replace(current, problems=tuple(problems + unpublished) or None)

    def _grace_left(self, uid: str, addresses: Sequence[str]) -> float | None:
        """Seconds until records without an address are withdrawn, 0 if that is now; None while there is an address."""
        if addresses:
            self._without_address.pop(uid, None)
            return None
        since = self._without_address.setdefault(uid, self._clock())
        return max(0.0, since + self._grace - self._clock())

    def _settled(self, current: Published, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """After a restart nothing is known yet: an object that was ready stays ready until the zone has been read."""
        entry = current.entry
        if any(problem.reason != reasons.WAITING_FOR_DNS for problem in problems) or not problems:
            self._answered.add(entry.uid)
        elif entry.uid not in self._answered and has_status(
            current.obj, ConditionType.DNS_READY, generation=entry.generation
        ):
            return ()
        return problems

    def former(self, entry: Entry, names: Collection[str]) -> frozenset[str]:
        """Names other than these that a zone has for the object now: what they lead to stays until they are gone."""
        return self._dns.state(entry.uid).published - set(names) if self._dns is not None else frozenset()

    def pause(self, entry: Entry, lost: Iterable[str] = ()) -> None:
        """Leaves the object's names as they are until the next ``publish`` or ``release``, except those that it has
        ``lost``, which are withdrawn.
        """
        if self._dns is not None:
            self._dns.pause(entry.uid, lost)

    async def release(
        self, store: Store, entry: Entry, names: Iterable[str], *, abandon: bool = False, wait_for: Iterable[Entry] = ()
    ) -> tuple[Problem, ...]:
        """Withdraws all records, then removes the finalizer; returns what prevents that.

        ``names`` are those that may be published, as far as the object contains them; ``wait_for`` are objects whose
        records must be gone first. Usually the result is empty and the withdrawal is still running: the DNS service
        reports its end.
        """
        obj = entry.obj()
        if not has_finalizer(obj):
            return ()
        waiting = [other for other in wait_for if has_finalizer(other.obj())]
        if self._dns is None:
            _warn_left(store, entry)
        elif abandon or annotations_of(obj).get(ANNOTATION_ABANDON_DNS) == "true":
            if waiting:  # they read the annotation from this object, so it stays until they have given up theirs
                return _blocking(self._dns, waiting)
            self._dns.abandon(entry.uid)
        else:
            _check_exists(store, entry)
            self._dns.release(entry.uid, names)
            if waiting or not self._dns.gone(entry.uid):
                return _blocking(self._dns, [entry, *waiting])
        await self._set_finalizer(store, Published(entry, obj), present=False)
        self._forget(entry.uid)
        return ()

    async def _set_finalizer(self, store: Store, current: Published, *, present: bool) -> Published:
        """Sets or removes the finalizer of exactly this version of the object."""
        entry, obj = current.entry, current.obj
        others = [each for each in obj["metadata"].get("finalizers") or () if each != FINALIZER_DNS]
        meta = {
            "uid": entry.uid,
            "resourceVersion": str(entry.version),
            "finalizers": [*others, FINALIZER_DNS] if present else others,
        }
        try:
            written = await self._client.patch(store.resource, entry.key, {"metadata": meta})
        except NotFound as error:
            if await is_there(self._client, store.resource, entry.key, entry.uid):
                raise
            # Another client removed the last finalizer; its event will follow.
            if present:
                raise Conflict(error.status, error.reason, error.message) from error
            return current
        if self._dry_run:
            return current
        entry = store.put(written, own=True)
        return Published(entry, entry.obj())


def _warn_left(store: Store, entry: Entry) -> None:
    log.warning(
        "dns providers are no longer set: records are left as they are",
        kind=store.resource.kind,
        key=str(entry.key),
    )


def _blocking(dns: Dns, owners: Iterable[Entry]) -> tuple[Problem, ...]:
    """Why the records of these objects are still there."""
    return tuple(_problem(each) for owner in owners for each in dns.blocking_problems(owner.uid))


def _check_exists(store: Store, entry: Entry) -> None:
    """Raises Conflict if the object is gone since its reconcile began. Its deletion was already reported to the DNS
    service, so records declared now would never be withdrawn.
    """
    current = store.get(entry.key)
    if current is None or current.uid != entry.uid:
        raise Conflict(409, "Conflict", "the object was removed, or another has its name now")


def has_finalizer(obj: Obj) -> bool:
    """Whether the object is kept until its records are gone."""
    return FINALIZER_DNS in (obj["metadata"].get("finalizers") or ())


def _problem(problem: DnsProblem) -> Problem:
    """The reasons of the DNS package are also those of conditions, except one; a test compares the two lists."""
    reason = problem.reason if problem.reason in REASONS else reasons.DNS_FAILED
    return Problem(reasons.WAITING_FOR_DNS if reason == REASON_PENDING else reason, problem.message)
