"""The PodDisruptionBudget of an App: how many of its pods a drain of nodes may stop at once.

Only an App with the field ``disruptionBudget`` has one: the eviction API refuses every eviction of a pod that two
budgets select, so a budget that decco adds on its own could stop drains where tenants have one already.

A budget that permits no eviction of a single pod would stop drains for ever. With ``maxUnavailable`` the budget stays
once it is there, because it never does; with ``minAvailable`` it exists while the App has more than one pod.
"""

from __future__ import annotations

from decco.api.disruption import BudgetMode
from decco.api.workload_kinds import WorkloadKind
from decco.desired import names
from decco.desired.model import AppInputs, Child
from decco.desired.replicas import expected_pods
from decco.objects import DISRUPTION_BUDGETS, Obj

DEFAULT_MAX_UNAVAILABLE = 1


def disruption_budget(inputs: AppInputs) -> Child | None:
    """None if the App is to have no budget, or has one pod only."""
    wanted = inputs.spec.disruption_budget
    if wanted is None or wanted.mode is BudgetMode.NONE or inputs.spec.workload_kind is WorkloadKind.JOB:
        return None
    single = expected_pods(inputs.spec, inputs.live_replicas) <= 1
    stays = inputs.has_budget and wanted.min_available is None
    if single and not stays:
        return None
    spec: Obj = {"selector": {"matchLabels": names.pod_selector(inputs.name)}}
    if wanted.min_available is not None:
        spec["minAvailable"] = wanted.min_available
    else:
        most = wanted.max_unavailable
        spec["maxUnavailable"] = DEFAULT_MAX_UNAVAILABLE if most is None else most
    # A pod that is not ready does not serve, so it must not keep its node from being drained.
    spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow"
    return names.child(DISRUPTION_BUDGETS, names.app_meta(inputs, inputs.name), spec=spec)
