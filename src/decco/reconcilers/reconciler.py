"""What the reconcilers of Spaces and Apps share: their dependencies, and the steps that are the same for both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from decco.desired.closing import serves
from decco.desired.grants import Claim
from decco.desired.http_names import entry_of, names_with_record, with_former
from decco.desired.model import Child, Claims, Problem, SecretView, SpaceFacts
from decco.desired.move import NO_MOVE, Move
from decco.desired.ownership import LabelledOwner
from decco.desired.routing.gateway import certificates_of
from decco.desired.status import paused_status, withdrawal_status
from decco.dns.records import Role
from decco.expiries import Expiries
from decco.kube.controller import Action
from decco.kube.entry import Entry
from decco.kube.store import Store
from decco.objects import Key, Obj, Resource
from decco.reconcilers.answers import NOT_PROBING, Answering, EdgeState
from decco.reconcilers.caches import Caches
from decco.reconcilers.children import ChildWriter, Written
from decco.reconcilers.edge import space_live
from decco.reconcilers.issuing import Causes
from decco.reconcilers.outgoing import Addressing
from decco.reconcilers.records import Published
from decco.reconcilers.report import status_of
from decco.reconcilers.secrets import Secrets

LONGEST_SECONDS = 86_400.0
"""A day. A reconcile without changes sends no request, and a timer of weeks would not notice a clock that was set."""
MOMENT_SECONDS = 0.1


class StatusWriter(Protocol):
    """Where a status goes; see ``report.Reporter``."""

    async def report(self, store: Store, entry: Entry, obj: Obj, status: Obj, /) -> bool: ...
    def left_over(self, resource: Resource, owner: Obj, left: Iterable[tuple[Resource, Entry]], /) -> None: ...


class DnsRecords(Protocol):
    """Where the names of an object go; see ``records.Records``."""

    @property
    def enabled(self) -> bool: ...
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
        /,
    ) -> Published: ...
    def leads(self, *owners: Entry) -> float | None: ...
    def former(self, entry: Entry, names: Collection[str], /) -> frozenset[str]: ...
    def pause(self, entry: Entry, lost: Iterable[str] = ()) -> None: ...
    async def release(
        self, store: Store, entry: Entry, names: Iterable[str], /, *, abandon: bool, wait_for: Iterable[Entry]
    ) -> tuple[Problem, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What a reconciler works with; a simulation has others than the controller."""

    caches: Caches
    writer: ChildWriter
    secrets: Secrets
    reporter: StatusWriter
    records: DnsRecords
    now: Callable[[], datetime]
    """The time in UTC, for comparison with times that others wrote, such as a certificate's expiry."""
    answers: Answering
    addressing: Addressing
    expiries: Callable[[str, Expiries], None]
    """Receives what expires in a Space, see ``Metrics.expiries``."""
    causes: Causes
    simulated: bool = False
    """See ``AppInputs``."""
    ignores_runs: bool = False
    """Whether the records of runs do not count, because there are no Jobs to compare them with."""


class Reconciler(ABC):
    """Base of the two reconcilers. ``store`` has their objects; ``blocked_status`` makes the status of one that cannot
    be reconciled.
    """

    def __init__(
        self, dependencies: Dependencies, store: Store, blocked_status: Callable[[Problem, int, Obj, datetime], Obj]
    ) -> None:
        self.dependencies = dependencies
        self.caches = dependencies.caches
        self.writer = dependencies.writer
        self.secrets = dependencies.secrets
        self.records = dependencies.records
        self.answers = dependencies.answers
        self.now = dependencies.now
        self.store = store
        self._blocked_status = blocked_status

    @abstractmethod
    async def reconcile(self, key: Key) -> Action:
        """Brings one object in line with its spec; ``key`` may be of an object that is gone."""

    async def report(self, entry: Entry, obj: Obj, status: Obj) -> bool:
        """Writes the status if it changed; returns whether it did."""
        return await self.dependencies.reporter.report(self.store, entry, obj, status)

    async def block(self, entry: Entry, obj: Obj, problem: Problem) -> Action:
        """Nothing can be written now; what exists stays as it is, and the status contains the reason."""
        await self.report(entry, obj, self._blocked_status(problem, entry.generation, status_of(obj), self.now()))
        return Action()

    async def pause(self, entry: Entry, obj: Obj, why: Problem, lost: Iterable[str] = ()) -> None:
        """Writes only the status; withdraws the names that the object has ``lost``."""
        self.records.pause(entry, lost)
        await self.report(entry, obj, paused_status(why, entry.generation, status_of(obj), self.now()))

    async def close(self, entry: Entry, children: Iterable[Child], remove: set[tuple[Resource, Key]]) -> None:
        """Writes and removes what a pause does not keep, and nothing else; see ``desired/closing.py``."""
        written = Written()
        await self.writer.write(children, written)
        if remove:
            labelled = _labelled(entry)
            keep = self.caches.owned(entry.uid, labelled, self.caches.children) - remove
            await self.writer.prune(entry.uid, labelled, keep, written)
        written.raise_if_overtaken()
        if written.retryable_errors:
            raise written.retryable_errors[0]

    def serving_space(self, entry: Entry, space: SpaceFacts, claims: Claims) -> tuple[SpaceFacts, Claims]:
        """The Space, of which ``entry`` is the object, as it is served: with the names that it has removed from
        ``httpHostnames`` while a zone has their records. So a name never leads to an edge that does not serve it.
        """
        unclaimed = self.caches.claims.unclaimed(space.name)
        if not unclaimed:
            return space, claims
        left = self.records.former(entry, names_with_record(space, claims)) & unclaimed
        secrets = certificates_of(space_live(self.caches, space).listeners) if left else {}
        former = {name: secrets[name] for name in left if name in secrets}
        served = with_former(space, former)
        granted = claims.granted | {each for each in former if entry_of(served, each) == each}
        return served, replace(claims, granted=granted)

    def serving(self, entry: Entry, claims: Collection[Claim]) -> set[tuple[Resource, Key]]:
        """The owner's listeners and routes that contain a name of these claims."""
        found, kept = set(), self.kept(entry, claims)
        for resource in self.caches.routing_kinds if claims else ():
            store = self.caches.children.get(resource)
            for each in store.owned_by(entry.uid, _labelled(entry).space) if store is not None else ():
                if serves(each.json(), claims, kept):
                    found.add((resource, each.key))
        return found

    def kept(self, entry: Entry, claims: Collection[Claim]) -> frozenset[Claim]:
        """What the Space of the object has beside these claims."""
        return self.caches.claims.claims_of(entry.key.namespace or entry.key.name).granted - frozenset(claims)

    async def prune(self, entry: Entry, obj: Obj, keep: set[tuple[Resource, Key]], written: Written) -> None:
        """Deletes what is no longer desired, and reports what decco cannot delete."""
        labelled = _labelled(entry)
        routing = self.caches.routing_kinds
        if not routing.isdisjoint(written.unwritten):
            # What could not be written may replace what carries traffic now.
            keep = keep | self.caches.owned(entry.uid, labelled, routing)
        await self.writer.prune(entry.uid, labelled, keep, written)
        await self.writer.withdraw(written.left, written)
        self.dependencies.reporter.left_over(self.store.resource, obj, written.left)

    async def withdraw(
        self, entry: Entry, obj: Obj, names: Iterable[str], *, abandon: bool = False, wait_for: Iterable[Entry] = ()
    ) -> Action:
        """Withdraws the records of an object that is being deleted, if there are any."""
        problems = await self.records.release(self.store, entry, names, abandon=abandon, wait_for=wait_for)
        if problems:
            status = withdrawal_status(problems, entry.generation, status_of(obj), self.now())
            await self.report(entry, obj, status)
        return Action()


def _labelled(entry: Entry) -> LabelledOwner:
    return LabelledOwner(*entry.key) if entry.key.namespace else LabelledOwner(entry.key.name)


def requeue_action(*seconds: float | None) -> Action:
    """The earliest of these plus a short delay, so that it is over by then; None is never."""
    wanted = [each + MOMENT_SECONDS for each in seconds if each is not None]
    return Action(requeue_after=min(*wanted, LONGEST_SECONDS)) if wanted else Action()


def seconds_to_expiry(views: Iterable[SecretView], now: datetime) -> float | None:
    """Seconds until the next of these certificates expires or becomes valid; None if there is no such time."""
    moments = (
        moment
        for view in views
        for facts in (view.facts, view.source)
        if facts is not None
        for moment in (facts.not_before, facts.not_after, facts.lists_from, facts.lists_until)
    )
    return min(
        ((moment - now).total_seconds() for moment in moments if moment is not None and moment > now), default=None
    )
