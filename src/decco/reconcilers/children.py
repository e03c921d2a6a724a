"""Writing the children of one owner, in order, and remembering what the API server thought of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from decco.desired.model import Child, Problem
from decco.errors import DeccoError
from decco.kube.apply import Applier, Foreign, Result
from decco.kube.errors import KubeError
from decco.objects import DEPLOYMENTS, JOBS, NETWORK_POLICIES, Key, Resource, key_of
from decco.reconcilers.outcomes import refusal_of

Outcomes = dict[tuple[str, str], Problem | None]
"""(kind, name) of a child -> why it is not what it should be, or None."""


@dataclass(slots=True)
class Written:
    """What came of one owner's children."""

    outcomes: Outcomes = field(default_factory=dict)
    writes: int = 0
    recheck: float | None = None
    """Seconds until a refusal should be looked at again."""
    disturbances: list[DeccoError] = field(default_factory=list)
    """Errors that say nothing about the object: the reconcile is tried again because of them."""


async def write(applier: Applier, children: Iterable[Child], *, halt_after: Resource | None = None) -> Written:
    """Applies the children in their order; one that is refused does not keep the others back.

    Two exceptions: a workload is not started while the policy that isolates it could not be written, and nothing is
    written after a child of the kind ``halt_after`` that failed (a Space without its namespace).
    """
    written = Written()
    isolated = True
    for child in children:
        key = key_of(child.obj)
        if child.resource in (DEPLOYMENTS, JOBS) and not isolated:
            continue
        try:
            applied = await applier.ensure(child.resource, child.obj)
        except (KubeError, Foreign) as error:
            if not _note(written, error, child.resource, key):
                written.disturbances.append(error)
            if child.resource == NETWORK_POLICIES:
                isolated = False
            if child.resource == halt_after:
                break
            continue
        written.outcomes[child.resource.kind, key.name] = None
        if applied.result is not Result.UNCHANGED:
            written.writes += 1
        if applied.result is Result.WAITING and applied.entry is None:
            written.recheck = 1.0
        if child.resource == halt_after and applied.result in (Result.WAITING, Result.DELETED):
            break
    return written


def _note(written: Written, error: KubeError | Foreign, resource: Resource, key: Key) -> bool:
    refusal = refusal_of(error, resource, key)
    if refusal is None:
        return False
    written.outcomes[resource.kind, key.name] = refusal.problem
    if refusal.recheck is not None:
        written.recheck = min(written.recheck or refusal.recheck, refusal.recheck)
    return True
