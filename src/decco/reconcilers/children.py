"""Writes the children of one owner, in order, and caches the API server's rejections."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from decco.desired.model import Child, Problem
from decco.desired.ownership import LabelledOwner, holders_of
from decco.desired.routing.withdrawn import withdrawn
from decco.errors import DeccoError
from decco.kube.apply import Applied, Applier, Result
from decco.kube.diff import hash_of
from decco.kube.entry import Entry
from decco.kube.errors import ApiError, Conflict, KubeError, NotListed
from decco.kube.identity import Foreign
from decco.kube.repair_backoff import DriftConflict
from decco.log import get_logger
from decco.objects import (
    CONFIGMAPS,
    JOBS,
    NAMESPACES,
    NETWORK_POLICIES,
    WORKLOADS,
    Key,
    Obj,
    Resource,
    controller_of,
    key_of,
)
from decco.reconcilers.outcomes import (
    REQUEUE_SECONDS,
    Refusal,
    being_deleted,
    refusal_of,
    retryable,
    rule_of,
    value_not_served,
)
from decco.reconcilers.rejections import Enqueue, Rejections, WriteKey

log = get_logger(__name__)

Outcomes = dict[tuple[str, str], Problem | None]
"""(kind, name) of a child -> why it is not as desired, or None."""

Reduce = Callable[[Resource, Obj], Obj | None]
"""The object without what must not stay in effect; None if there is nothing to take out."""

POD_KINDS = (*WORKLOADS, CONFIGMAPS)
"""What runs, and what it reads."""


@dataclass(slots=True)
class Written:
    """The results of writing one owner's children."""

    outcomes: Outcomes = field(default_factory=dict)
    writes: int = 0
    requeue_after: float | None = None
    """Seconds until a refusal needs another reconcile."""
    retryable_errors: list[DeccoError] = field(default_factory=list)
    """Errors that are not about the object: the reconcile is tried again because of them."""
    unwritten: set[Resource] = field(default_factory=set)
    """The kinds of the children with such an error."""
    isolated: bool = True
    """Whether the policies written so far are in place."""
    waits_for: Problem | None = None
    """Why no workload may be started yet, if the cause is not a policy among the children."""
    left: list[tuple[Resource, Entry]] = field(default_factory=list)
    """Objects that are no longer desired and could not be removed."""

    def raise_if_overtaken(self) -> None:
        """Raises Conflict if another writer was faster: the next reconcile comes at once, and until then nothing is
        reported.
        """
        for error in self.retryable_errors:
            if isinstance(error, Conflict):
                raise error

    def requeue(self, seconds: float | None) -> None:
        if seconds is not None:
            self.requeue_after = seconds if self.requeue_after is None else min(self.requeue_after, seconds)

    def refused(self, child: Child, refusal: Refusal) -> None:
        self.outcomes[_named(child)] = refusal.problem
        self.isolated = self.isolated and child.resource != NETWORK_POLICIES
        self.requeue(refusal.requeue_after)


def _named(child: Child) -> tuple[str, str]:
    return child.resource.kind, key_of(child.obj).name


class ChildWriter:
    """Applies children and turns refusals into outcomes; ``clock`` in seconds, monotonic."""

    def __init__(
        self,
        applier: Applier,
        clock: Callable[[], float],
        on_repair: Callable[[str], None] | None = None,
        enqueue: Enqueue | None = None,
    ) -> None:
        """``on_repair`` receives the kind, as ``deployments.apps``, of each child that another writer had changed."""
        self._applier = applier
        self._on_repair = on_repair
        self._rejections = Rejections(clock, enqueue)

    async def write(
        self, children: Iterable[Child], written: Written | None = None, *, workload_blocked: Problem | None = None
    ) -> Written:
        """Applies the children in their order, adding to ``written``; a refused child does not stop the others.

        ``workload_blocked`` is the reason why the workload is not written yet, whatever its kind; it becomes the
        workload's outcome. Otherwise: a workload is not started or changed while the policy that isolates it could not
        be written, or is being deleted; and what its pods read is not changed for a workload that the API server
        refuses, since pods of the last accepted one run.
        """
        written = written or Written()
        children = list(children)
        pods = next((child for child in children if child.resource in WORKLOADS), None)
        refused = False
        for child in children:
            if child.resource == CONFIGMAPS and pods is not None and self._applier.changes(CONFIGMAPS, child.obj):
                # The workload is to change together with what its pods read: it is checked before either is written.
                refused = self._applier.changes(pods.resource, pods.obj) and await self.refuses(pods, written)
            if (refused and child.resource in POD_KINDS) or self._has_to_wait(child, written):
                continue
            if workload_blocked is not None and child.resource in WORKLOADS:
                written.outcomes.setdefault(_named(child), workload_blocked)
                continue
            await self._write(child, written)
        return written

    def _has_to_wait(self, child: Child, written: Written) -> bool:
        """Whether it is a workload that would be started or changed without its policy in place."""
        if child.resource not in WORKLOADS or (written.isolated and written.waits_for is None):
            return False
        if self._applier.is_as_written(child.resource, child.obj):
            return False
        if written.waits_for is not None:
            # The policy's event enqueues the App, but may come before it is settled.
            written.refused(child, Refusal(written.waits_for, REQUEUE_SECONDS))
        return True

    async def read_live(self, resource: Resource, key: Key) -> Obj | None:
        return await self._applier.read_live(resource, key)

    async def refuses(self, pods: Child, written: Written) -> bool:
        """Whether the API server refuses this workload, which is not written; a refusal is noted as its outcome."""
        key = key_of(pods.obj)
        cached = self._rejections.cached((pods.resource, key), self._write_key(pods, key))
        if cached is not None:
            written.refused(pods, cached)
            return True
        try:
            await self._applier.check(pods.resource, pods.obj)
        except KubeError as error:
            written.refused(pods, self._failed(pods, key, error, written))
            return True
        return False

    async def prune(
        self, owner_uid: str, labelled: LabelledOwner, keep: Collection[tuple[Resource, Key]], written: Written
    ) -> None:
        """Deletes what is no longer desired; a failed deletion is a retryable error and does not hide other results."""
        try:
            written.writes += await self._applier.pruner.prune(owner_uid, labelled.key, keep, labelled)
        except KubeError as error:
            written.retryable_errors.append(error)
        written.left += self._applier.pruner.left_over(owner_uid, labelled.space, keep, labelled)

    async def withdraw(
        self, terminating: Iterable[tuple[Resource, Entry]], written: Written, reduce: Reduce = withdrawn
    ) -> None:
        """Takes the host names out of objects that are no longer desired and that finalizers hold in deletion."""
        for resource, entry in terminating:
            if not (entry.deleting and entry.written and "deletionTimestamp" in entry.obj()["metadata"]):
                continue
            try:
                if await self._applier.pruner.withdraw(resource, entry, reduce):
                    written.writes += 1
                    log.info("host names withdrawn from a held object", kind=resource.kind, key=str(entry.key))
            except DriftConflict as error:
                written.requeue(error.seconds)
            except KubeError as error:
                error.add_note(f"while taking the host names out of {resource.kind} {entry.key}")
                written.retryable_errors.append(error)

    async def _write(self, child: Child, written: Written) -> None:
        key = key_of(child.obj)
        try:
            applied = await self._ensure(child, key)
        except (KubeError, Foreign, DriftConflict) as error:
            applied = self._failed(child, key, error, written)
        if isinstance(applied, Refusal):
            written.refused(child, applied)
            if applied.optional:
                await self._write_without(child, key, written)
            return
        self._applied(child, key, applied, written)

    async def _write_without(self, child: Child, key: Key, written: Written) -> None:
        """Writes the child without its optional field, which the API server refused: that stays the outcome."""
        assert child.without is not None
        outcome = written.outcomes[_named(child)]
        try:
            applied = await self._applier.ensure(child.resource, child.without[1])
        except (KubeError, Foreign, DriftConflict) as error:
            refusal = refusal_of(error, child.resource, key) or self._retryable(child, key, error, written)
            written.refused(child, refusal)
            return
        self._applied(child, key, applied, written)
        if applied.result is not Result.UNCHANGED:
            self._rejections.rebind((child.resource, key), self._write_key(child, key))
        if written.outcomes[_named(child)] is None:
            written.outcomes[_named(child)] = outcome

    def _applied(self, child: Child, key: Key, applied: Applied, written: Written) -> None:
        entry = applied.entry
        if entry is not None and entry.deleting and not _says_more(child.resource, entry):
            written.refused(child, Refusal(being_deleted(child.resource, key, entry.obj()), None))
        else:
            written.outcomes[_named(child)] = None
        if applied.result is not Result.UNCHANGED:
            written.writes += 1
        if applied.repaired and self._on_repair is not None:
            self._on_repair(str(child.resource))
        if applied.result is Result.WAITING and entry is None:
            written.requeue(1.0)  # it was deleted during the check, and no event will follow

    def _failed(self, child: Child, key: Key, error: KubeError | Foreign | DriftConflict, written: Written) -> Refusal:
        """The refusal, which is cached if it is the API server's."""
        refusal = value_not_served(error, child) or refusal_of(error, child.resource, key)
        if refusal is None:
            return self._retryable(child, key, error, written)
        if isinstance(error, ApiError):
            rule = rule_of(error, child.resource, key)
            refusal = self._rejections.refused((child.resource, key), self._write_key(child, key), refusal, rule)
        return refusal

    @staticmethod
    def _retryable(child: Child, key: Key, error: KubeError | Foreign | DriftConflict, written: Written) -> Refusal:
        """Of an error that is not about the object: the reconcile is tried again because of it."""
        if not isinstance(error, NotListed):  # everything is reconciled when it can be listed
            error.add_note(f"while writing {child.resource.kind} {key}")
            written.retryable_errors.append(error)
        written.unwritten.add(child.resource)
        return retryable(error, child.resource, key)

    async def _ensure(self, child: Child, key: Key) -> Applied | Refusal:
        place = (child.resource, key)
        if place not in self._rejections:
            return await self._applier.ensure(child.resource, child.obj)
        write_key = self._write_key(child, key)
        cached = self._rejections.cached(place, write_key)
        if cached is not None:
            return cached
        applied = await self._applier.ensure(child.resource, child.obj)
        self._rejections.passed(place, write_key)
        return applied

    def _write_key(self, child: Child, key: Key) -> WriteKey:
        owner = controller_of(child.obj)
        assert owner is not None
        return WriteKey(hash_of(child.obj), owner["uid"], self._applier.state(child.resource, key))


def _says_more(resource: Resource, entry: Entry) -> bool:
    """Whether the owner's status contains more about the deletion: a namespace has its own status, and a Job is not
    created again for the same pod. Deletions that finalizers block are reported here.
    """
    return resource == NAMESPACES or (resource == JOBS and not holders_of(entry.obj()))
