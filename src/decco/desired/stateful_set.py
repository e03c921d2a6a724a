"""The StatefulSet of an App, and the headless Service that gives its pods their DNS names."""

from __future__ import annotations

import copy

from decco.api.workload_kinds import WorkloadKind
from decco.desired import names, reasons
from decco.desired.model import AppInputs, Child, Problem
from decco.desired.pod import pod_annotations_record, pod_template
from decco.desired.replicas import desired_replicas
from decco.objects import SERVICES, STATEFUL_SETS, Obj
from decco.text import shown


def stateful_set(inputs: AppInputs, pod: Obj) -> Child:
    """Claims for volumes are made by Kubernetes from ``volumeClaimTemplates``; decco neither writes nor deletes one."""
    replicas = desired_replicas(inputs.spec, inputs.live_replicas)
    spec: Obj = {
        **copy.deepcopy(inputs.spec.stateful_set or {}),
        "replicas": replicas.count,
        "serviceName": names.pods_service(inputs.name),
        "selector": {"matchLabels": names.pod_selector(inputs.name)},
        "template": pod_template(inputs, pod),
    }
    annotations = {**replicas.annotations, **pod_annotations_record(inputs)}
    return names.child(STATEFUL_SETS, names.app_meta(inputs, inputs.name, annotations), spec=spec)


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
