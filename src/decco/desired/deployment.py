"""The Deployment of an App."""

from __future__ import annotations

import copy

from decco.desired import names
from decco.desired.model import AppInputs, Child
from decco.desired.pod import pod_annotations_record, pod_template
from decco.desired.replicas import desired_replicas
from decco.objects import DEPLOYMENTS, Obj, Resource


def deployment(inputs: AppInputs, pod: Obj) -> Child:
    return scaled(DEPLOYMENTS, inputs, pod, inputs.spec.deployment or {})


def scaled(kind: Resource, inputs: AppInputs, pod: Obj, fields: Obj) -> Child:
    """A workload with a number of pods; ``fields`` are the user's, and those of this kind alone."""
    replicas = desired_replicas(inputs.spec, inputs.live_replicas)
    spec: Obj = {
        **copy.deepcopy(fields),
        # The apply layer keeps the live value where decco does not decide it, see ``replicas.py``.
        "replicas": replicas.count,
        "selector": {"matchLabels": names.pod_selector(inputs.name)},
        "template": pod_template(inputs, pod),
    }
    annotations = {**replicas.annotations, **pod_annotations_record(inputs)}
    return names.child(kind, names.app_meta(inputs, inputs.name, annotations), spec=spec)
