"""The workload of an App, of the kind that its spec asks for: ``deployment.py``, ``stateful_set.py`` or ``job.py``, of
the pods of ``pod.py``.
"""

from __future__ import annotations

from decco.api.workload_kinds import WorkloadKind
from decco.desired import reasons
from decco.desired.deployment import deployment
from decco.desired.job import job
from decco.desired.model import AppInputs, Child, Problem
from decco.desired.pod import name_clash, pod_spec
from decco.desired.sidecar import Sidecar
from decco.desired.stateful_set import stateful_set


def workload(inputs: AppInputs, sidecar: Sidecar | None) -> Child | Problem | None:
    """The App's workload, or why there is none: names in the user's pod conflict with the sidecar, or the Space demands
    more isolation.

    None for a Job whose run is over and that was cleaned up.
    """
    clash = name_clash(inputs.spec, sidecar) if sidecar is not None else None
    if clash is not None:
        return Problem(reasons.RESERVED_NAME, clash)
    pod = pod_spec(inputs, sidecar)
    if isinstance(pod, Problem):
        return pod
    return _KINDS[inputs.spec.workload_kind](inputs, pod)


_KINDS = {
    WorkloadKind.DEPLOYMENT: deployment,
    WorkloadKind.STATEFUL_SET: stateful_set,
    WorkloadKind.JOB: job,
}
