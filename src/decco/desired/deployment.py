"""The Deployment of an App."""

from __future__ import annotations

import copy

from decco.desired import names
from decco.desired.model import AppInputs, Child
from decco.desired.pod import pod_annotations_record, pod_template
from decco.desired.replicas import desired_replicas
from decco.objects import DEPLOYMENTS, Obj


def deployment(inputs: AppInputs, pod: Obj) -> Child:
    replicas = desired_replicas(inputs.spec, inputs.live_replicas)
    spec: Obj = {
        **copy.deepcopy(inputs.spec.deployment or {}),
        # The apply layer keeps the live value where decco does not decide it, see ``replicas.py``.
        "replicas": replicas.count,
        "selector": {"matchLabels": names.pod_selector(inputs.name)},
        "template": pod_template(inputs, pod),
    }
    annotations = {**replicas.annotations, **pod_annotations_record(inputs)}
    return names.child(DEPLOYMENTS, names.app_meta(inputs, inputs.name, annotations), spec=spec)
