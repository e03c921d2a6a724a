"""Writing the children of one owner, in order, and remembering what the API server thought of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from decco.desired.model import Child, Problem
from decco.errors import DeccoError
from decco.kube.apply import Applied, Applier, Foreign, Result, hash_of
from decco.kube.errors import KubeError
from decco.objects import DEPLOYMENTS, JOBS, NETWORK_POLICIES, Key, Resource, controller_of, key_of
from decco.reconcilers.outcomes import Refusal, refusal_of

Outcomes = dict[tuple[str, str], Problem | None]
"""(kind, name) of a child -> why it is not what it should be, or None."""

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
    isolated: bool = True
    """Whether the policies written so far are in place."""


@dataclass(slots=True)
class _Believed:
    """A refusal that stands for the object with this hash, of this owner, until then."""

    what: tuple[str, str]
    refusal: Refusal
    until: float


class ChildWriter:
    """Applies children and turns refusals into outcomes; ``clock`` in seconds, monotonic."""

    def __init__(self, applier: Applier, clock: Callable[[], float]) -> None:
        self._applier = applier
        self._clock = clock
        self._refused: dict[tuple[Resource, Key], _Believed] = {}

    async def write(self, children: Iterable[Child], written: Written | None = None) -> Written:
        """Applies the children in their order, adding to ``written``; one that is refused keeps no other back.

        But for this: a workload is not started while the policy that isolates it could not be written.
        """
        written = written or Written()
        for child in children:
            if child.resource not in (DEPLOYMENTS, JOBS) or written.isolated:
                await self._write(child, written)
        return written

    async def prune(self, owner_uid: str, keep: Collection[tuple[Resource, Key]]) -> int:
        """Deletes what the owner no longer wants; returns how many objects were asked to go."""
        return await self._applier.prune(owner_uid, keep)

    async def _write(self, child: Child, written: Written) -> None:
        key = key_of(child.obj)
        try:
            applied = await self._ensure(child, key)
        except (KubeError, Foreign) as error:
            refusal = refusal_of(error, child.resource, key)
            if refusal is None:
                written.disturbances.append(error)
            else:
                if refusal.recheck is None:
                    self._believe(child, key, refusal)
                _note(written, child, key, refusal)
        else:
            if isinstance(applied, Refusal):
                _note(written, child, key, applied)
                return
            written.outcomes[child.resource.kind, key.name] = None
            if applied.result is not Result.UNCHANGED:
                written.writes += 1
            if applied.result is Result.WAITING and applied.entry is None:
                written.recheck = 1.0  # it went while we looked, and no event will tell of it
            return
        if child.resource == NETWORK_POLICIES:
            written.isolated = False

    async def _ensure(self, child: Child, key: Key) -> Applied | Refusal:
        if self._refused:
            believed = self._refused.get((child.resource, key))
            if believed is not None:
                if believed.until > self._clock() and believed.what == _identity(child):
                    return believed.refusal
                del self._refused[child.resource, key]
        return await self._applier.ensure(child.resource, child.obj)

    def _believe(self, child: Child, key: Key, refusal: Refusal) -> None:
        now = self._clock()
        for known in [known for known, believed in self._refused.items() if believed.until <= now]:
            del self._refused[known]
        self._refused[child.resource, key] = _Believed(_identity(child), refusal, now + REFUSAL_SECONDS)


def _identity(child: Child) -> tuple[str, str]:
    owner = controller_of(child.obj)
    assert owner is not None
    return hash_of(child.obj), owner["uid"]


def _note(written: Written, child: Child, key: Key, refusal: Refusal) -> None:
    written.outcomes[child.resource.kind, key.name] = refusal.problem
    if child.resource == NETWORK_POLICIES:
        written.isolated = False
    if refusal.recheck is not None:
        written.recheck = min(written.recheck or refusal.recheck, refusal.recheck)
