"""The StatefulSet of an App, and the headless Service that gives its pods their DNS names."""

from __future__ import annotations

from decco.api.workload_kinds import WorkloadKind
from decco.desired import names, reasons
from decco.desired.deployment import scaled
from decco.desired.model import AppInputs, Child, Problem
from decco.objects import SERVICES, STATEFUL_SETS, Obj
from decco.text import shown


def stateful_set(inputs: AppInputs, pod: Obj) -> Child:
    """Claims for volumes are made by Kubernetes from ``volumeClaimTemplates``; decco neither writes nor deletes one."""
    fields = {**(inputs.spec.stateful_set or {}), "serviceName": names.pods_service(inputs.name)}
    return scaled(STATEFUL_SETS, inputs, pod, fields)


def pods_service(inputs: AppInputs) -> Child | Problem | None:
    """The Service <App>-pods; None for a workload of another kind, a Problem if an older App has the name.

    It has no port: pods of the Space reach each other on any port, and clients use the Services of endpoints. Names are
    published before their pods are ready, because members of a cluster look for each other before that.
    """
    if inputs.spec.workload_kind is not WorkloadKind.STATEFUL_SET:
        return None
    name = names.pods_service(inputs.name)
    holder = inputs.taken.get(f"name:{name}")
    if holder is not None:
        message = (
            f"the pods of StatefulSet {inputs.name} get no DNS names, because Service {name} would give them: App "
            f"{shown(holder)} has an endpoint of this name and is older; rename one of the two"
        )
        return Problem(reasons.ENDPOINT_CONFLICT, message)
    spec: Obj = {
        "type": "ClusterIP",
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": names.pod_selector(inputs.name),
    }
    return names.child(SERVICES, names.app_meta(inputs, name), spec=spec)
