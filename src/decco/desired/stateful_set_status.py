"""The condition WorkloadReady from the status of a StatefulSet.

It has counters and two revisions, but no conditions of its own: neither how long a rollout may take nor why a pod could
not be created. So a StatefulSet is rolled out when all pods that its strategy replaces are of the newest revision and
available, and whether a missing pod belongs to a rollout is decided by whether the StatefulSet was ready before.
"""

from __future__ import annotations

from datetime import datetime

from decco.api.conditions import ConditionType, condition_of, is_observed
from decco.desired import reasons
from decco.desired.job_status import PODLESS_SECONDS, seconds_left
from decco.desired.model import Problem
from decco.desired.status import Satisfied, Verdict
from decco.objects import Obj


def stateful_set_verdict(name: str, live: Obj | None, previous: Obj, now: datetime) -> Verdict:
    """``live`` is None if the StatefulSet does not exist (yet), ``previous`` is the App's status before this."""
    what = f"StatefulSet {name}"
    if live is None:
        return Problem(reasons.PROGRESSING, f"{what} is being created")
    namespace = live["metadata"].get("namespace", "")
    rolling_out = Problem(
        reasons.PROGRESSING,
        f"{what} is being rolled out; it waits for each pod to become ready. If one does not, the cause is in kubectl "
        f"describe pods --namespace {namespace} --selector decco.platform9.com/app={name}",
    )
    if not is_observed(live):
        return rolling_out
    spec, status = live.get("spec") or {}, live.get("status") or {}
    replicas = _replicas(spec)
    if pods_due(live, previous, now) == 0:
        message = (
            f"{what} has no pod: a quota, Pod Security or another admission refuses them; look at its Events with "
            f"kubectl describe statefulset {name} --namespace {namespace}"
        )
        return Problem(reasons.REPLICA_FAILURE, message)
    if _count(status, "replicas") < replicas or _count(status, "updatedReplicas") < _to_update(spec, replicas):
        return rolling_out
    if _count(status, "availableReplicas") < replicas:
        before = _before(previous)
        if before.get("status") == "True" or before.get("reason") == reasons.UNAVAILABLE:
            return Problem(reasons.UNAVAILABLE, f"{what} has fewer ready pods than it promises; look at its pods")
        return rolling_out
    if _on_delete(spec) and status.get("currentRevision") != status.get("updateRevision"):
        return Satisfied(f"{what} is available; by its strategy OnDelete a pod changes when somebody deletes it")
    return Satisfied(f"{what} is rolled out and available")


def pods_due(live: Obj | None, previous: Obj, now: datetime) -> float | None:
    """Seconds until a StatefulSet without pods is reported, 0 if that is now; None if it has pods, or needs none."""
    if live is None or not is_observed(live) or not _replicas(live.get("spec") or {}):
        return None
    if _count(live.get("status") or {}, "replicas"):
        return None
    created = live["metadata"].get("creationTimestamp")
    if created is None:
        return None  # a simulation without a cluster has just written it
    before = _before(previous)
    since = [created]
    if before.get("status") == "False":
        since.append(before["lastTransitionTime"])
    return seconds_left(PODLESS_SECONDS, max(since), now)


def _before(previous: Obj) -> Obj:
    return condition_of({"status": previous}, ConditionType.WORKLOAD_READY)


def _replicas(spec: Obj) -> int:
    return int(spec.get("replicas", 1))


def _count(status: Obj, name: str) -> int:
    return int(status.get(name) or 0)


def _on_delete(spec: Obj) -> bool:
    return bool((spec.get("updateStrategy") or {}).get("type") == "OnDelete")


def _to_update(spec: Obj, replicas: int) -> int:
    """How many pods a rollout replaces: with a partition only those with this number or a higher one."""
    if _on_delete(spec):
        return 0
    partition = _count((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}, "partition")
    first = _count(spec.get("ordinals") or {}, "start")
    return max(0, min(replicas, first + replicas - partition))
