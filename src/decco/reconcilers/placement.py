"""The place of a Space or an App in this cluster, for their reconcilers.

An App that is not placed here any more keeps its pods while names of it or of its Space may lead to them: until another
cluster serves these names, and for as long as resolvers keep the former answers. One without pods needs no such wait,
so a restart of the controller starts none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from decco.api.conditions import ConditionType, condition_of, has_status
from decco.api.placement import ClusterRole
from decco.desired import reasons
from decco.desired.model import AppInputs, SpaceFacts
from decco.desired.placement import Placed, place
from decco.dns.records import Role
from decco.kube.entry import Entry
from decco.objects import Key
from decco.reconcilers.caches import Caches
from decco.reconcilers.facts import AppFacts
from decco.reconcilers.reconciler import DnsRecords
from decco.reconcilers.records import Published

_ROLES = {ClusterRole.ACTIVE: Role.ACTIVE, ClusterRole.STANDBY: Role.STANDBY, None: Role.LEAVING}


def terms(found: Placed | None, can_serve: Callable[[], bool]) -> tuple[Role, Callable[[], bool]]:
    """How the names of the object are published: the role of this cluster, and whether it can serve them. Without
    placement names are added where they are applied, as they always were.
    """
    if found is None:
        return Role.ACTIVE, lambda: True
    return _ROLES[found.role], can_serve


def space_place(caches: Caches, space: SpaceFacts) -> Placed | None:
    return place(caches.settings.cluster_id, space.spec.placement)


def placed(caches: Caches, records: DnsRecords, entry: Entry, inputs: AppInputs) -> tuple[AppInputs, float | None]:
    """The inputs with the App's place, and the seconds until it is reconciled again; where the App is to have no pods,
    they ask for none.
    """
    found = place(caches.settings.cluster_id, inputs.space.spec.placement, inputs.spec.placement)
    if found is None:
        return inputs, None
    seconds = None
    if found.role is None:
        if _has_pods(inputs):
            owner = caches.spaces.get(Key("", inputs.namespace)) if found.by == "Space" else None
            seconds = records.leads(*([entry, owner] if owner is not None else [entry]))
        found = replace(found, waits=seconds is not None)
        if not found.waits:
            inputs = replace(inputs, spec=inputs.spec.model_copy(update={"suspend": True}))
    return replace(inputs, place=found), seconds


def covered(found: Placed | None, records: Published) -> Placed | None:
    return replace(found, covers=records.here) if found is not None else None


def _has_pods(inputs: AppInputs) -> bool:
    """Whether the live workload may have pods."""
    if inputs.job is not None:
        return not inputs.job.suspended and inputs.job.end is None
    return inputs.live_replicas is not None and inputs.live_replicas.replicas > 0


def can_serve(caches: Caches, space: SpaceFacts) -> bool:
    """Whether the Space has an App that runs here, and the pods of all of them are ready."""
    found = False
    for entry in caches.apps.in_namespace(space.name):
        if not isinstance(entry.facts, AppFacts) or entry.deleting:
            continue
        here = place(caches.settings.cluster_id, space.spec.placement, entry.facts.placement)
        if here is not None and here.role is None:
            continue
        if not _runs(entry):
            return False
        found = True
    return found


def _runs(entry: Entry) -> bool:
    """Whether the status says that the pods are ready. That of an App that has just been placed here still says that it
    is not: the placement is the Space's, so the App has no other generation.
    """
    found = condition_of(entry.obj(), ConditionType.WORKLOAD_READY) or {}
    return found.get("reason") != reasons.NOT_PLACED and has_status(
        entry.obj(), ConditionType.WORKLOAD_READY, generation=entry.generation
    )
