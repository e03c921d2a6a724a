"""Writing the children of one owner, in order, and remembering what the API server thought of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from decco.desired.model import Child, Problem
from decco.desired.ownership import LabelledOwner
from decco.errors import DeccoError
from decco.kube.apply import Applied, Applier, Contested, Foreign, Result, hash_of
from decco.kube.errors import Conflict, KubeError
from decco.kube.store import Entry
from decco.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    NETWORK_POLICIES,
    Key,
    Resource,
    controller_of,
    key_of,
)
from decco.reconcilers.outcomes import RECHECK_SECONDS, Refusal, being_deleted, disturbed, refusal_of

Outcomes = dict[tuple[str, str], Problem | None]
"""(kind, name) of a child -> why it is not what it should be, or None."""

_WORKLOADS = (DEPLOYMENTS, JOBS)
_WITH_PODS = (*_WORKLOADS, CONFIGMAPS)

REFUSAL_SECONDS = 600.0
"""How long a refusal is believed without asking again: the object is the same, and so, most likely, is the answer."""


@dataclass(slots=True)
class Written:
    """What came of one owner's children."""

    outcomes: Outcomes = field(default_factory=dict)
    writes: int = 0
    recheck: float | None = None
    """Seconds until a refusal should be looked at again."""
    disturbances: list[DeccoError] = field(default_factory=list)
    """Errors that say nothing about the object: the reconcile is tried again because of them."""
    disturbed: set[Resource] = field(default_factory=set)
    """The kinds of the children that were met by such an error."""
    isolated: bool = True
    """Whether the policies written so far are in place."""
    waits_for: Problem | None = None
    """Why no workload may be started yet, if that is not the fault of a policy among the children."""
    left: list[tuple[Resource, Entry]] = field(default_factory=list)
    """What is no longer wanted and could not be removed."""

    def raise_if_overtaken(self) -> None:
        """Raises Conflict if another writer was faster: the next turn comes at once, and until then nothing is news."""
        for error in self.disturbances:
            if isinstance(error, Conflict):
                raise error

    def look_again(self, seconds: float) -> None:
        self.recheck = seconds if self.recheck is None else min(self.recheck, seconds)


@dataclass(slots=True)
class _Believed:
    """A refusal that stands for the object with this hash, of this owner, until then."""

    what: tuple[str, str]
    problem: Problem
    until: float


class ChildWriter:
    """Applies children and turns refusals into outcomes; ``clock`` in seconds, monotonic."""

    def __init__(
        self,
        applier: Applier,
        clock: Callable[[], float],
        on_repair: Callable[[str], None] | None = None,
    ) -> None:
        """``on_repair`` is told the kind, as ``deployments.apps``, of each child that somebody else had changed."""
        self._applier = applier
        self._on_repair = on_repair
        self._clock = clock
        self._refused: dict[tuple[Resource, Key], _Believed] = {}

    async def write(self, children: Iterable[Child], written: Written | None = None) -> Written:
        """Applies the children in their order, adding to ``written``; one that is refused keeps no other back.

        But for this: a workload is not started or changed while the policy that isolates it could not be written, or
        is being deleted; and what its pods read is not changed for a workload that the API server refuses, since pods
        of the last good one run.
        """
        written = written or Written()
        children = list(children)
        pods = next((child for child in children if child.resource in _WORKLOADS), None)
        refused = False
        for child in children:
            if child.resource == CONFIGMAPS and pods is not None and self._applier.changes(CONFIGMAPS, child.obj):
                refused = await self._is_refused(pods, written)
            if (refused and child.resource in _WITH_PODS) or self._has_to_wait(child, written):
                continue
            await self._write(child, written)
        return written

    def _has_to_wait(self, child: Child, written: Written) -> bool:
        """Whether it is a workload that would be started or changed behind a policy that is not in place."""
        if child.resource not in _WORKLOADS or (written.isolated and written.waits_for is None):
            return False
        if self._applier.is_as_written(child.resource, child.obj):
            return False
        if written.waits_for is not None:
            written.outcomes[child.resource.kind, key_of(child.obj).name] = written.waits_for
            written.look_again(RECHECK_SECONDS)  # the policy's event wakes the App, but may come before it is settled
        return True

    async def _is_refused(self, pods: Child, written: Written) -> bool:
        """Asks about a workload that is to change together with what its pods read, before either is written."""
        if not self._applier.changes(pods.resource, pods.obj):
            return False
        key = key_of(pods.obj)
        believed = self._believed(pods, key)
        if believed is not None:
            _note(written, pods, key, believed)
            return True
        try:
            await self._applier.check(pods.resource, pods.obj)
        except KubeError as error:
            self._failed(pods, key, error, written)
            return True
        return False

    async def prune(
        self, owner_uid: str, labelled: LabelledOwner, keep: Collection[tuple[Resource, Key]], written: Written
    ) -> None:
        """Deletes what the owner no longer wants; a deletion that fails is a disturbance and hides no other news."""
        try:
            written.writes += await self._applier.prune(owner_uid, keep, labelled)
        except KubeError as error:
            written.disturbances.append(error)
        written.left += self._applier.left_over(owner_uid, keep, labelled)

    async def _write(self, child: Child, written: Written) -> None:
        key = key_of(child.obj)
        try:
            applied = await self._ensure(child, key)
        except (KubeError, Foreign, Contested) as error:
            self._failed(child, key, error, written)
            return
        if isinstance(applied, Refusal):
            _note(written, child, key, applied)
            return
        entry = applied.entry
        if entry is not None and entry.deleting and child.resource != NAMESPACES:  # of that its own status says more
            _note(written, child, key, Refusal(being_deleted(child.resource, key, entry.obj()), None))
        else:
            written.outcomes[child.resource.kind, key.name] = None
        if applied.result is not Result.UNCHANGED:
            written.writes += 1
        if applied.repaired and self._on_repair is not None:
            self._on_repair(str(child.resource))
        if applied.result is Result.WAITING and applied.entry is None:
            written.look_again(1.0)  # it went while we looked, and no event will tell of it

    def _failed(self, child: Child, key: Key, error: KubeError | Foreign | Contested, written: Written) -> None:
        refusal = refusal_of(error, child.resource, key)
        if refusal is None:
            error.add_note(f"while writing {child.resource.kind} {key}")
            written.disturbances.append(error)
            written.disturbed.add(child.resource)
            _note(written, child, key, disturbed(error, child.resource, key))
        else:
            if refusal.recheck is None:
                refusal = self._believe(child, key, refusal)
            _note(written, child, key, refusal)

    async def _ensure(self, child: Child, key: Key) -> Applied | Refusal:
        return self._believed(child, key) or await self._applier.ensure(child.resource, child.obj)

    def _believed(self, child: Child, key: Key) -> Refusal | None:
        """A refusal of this very object that still stands."""
        believed = self._refused.get((child.resource, key))
        if believed is None:
            return None
        left = believed.until - self._clock()
        if left > 0 and believed.what == _identity(child):
            return Refusal(believed.problem, left)
        del self._refused[child.resource, key]
        return None

    def _believe(self, child: Child, key: Key, refusal: Refusal) -> Refusal:
        """Remembers the refusal. It is looked at again in the end: a policy of the cluster's may have changed."""
        now = self._clock()
        for known in [known for known, believed in self._refused.items() if believed.until <= now]:
            del self._refused[known]
        self._refused[child.resource, key] = _Believed(_identity(child), refusal.problem, now + REFUSAL_SECONDS)
        return Refusal(refusal.problem, REFUSAL_SECONDS)


def _identity(child: Child) -> tuple[str, str]:
    owner = controller_of(child.obj)
    assert owner is not None
    return hash_of(child.obj), owner["uid"]


def _note(written: Written, child: Child, key: Key, refusal: Refusal) -> None:
    written.outcomes[child.resource.kind, key.name] = refusal.problem
    if child.resource == NETWORK_POLICIES:
        written.isolated = False
    if refusal.recheck is not None:
        written.look_again(refusal.recheck)
