"""The Deployment of an App."""

from __future__ import annotations

import copy

from decco.desired import names
from decco.desired.model import AppInputs, Child
from decco.desired.pod import pod_annotations_record, pod_template
from decco.objects import ANNOTATION_INITIAL_REPLICAS, DEPLOYMENTS, Obj


def deployment(inputs: AppInputs, pod: Obj) -> Child:
    replicas = inputs.spec.initial_replicas
    spec: Obj = {
        **copy.deepcopy(inputs.spec.deployment or {}),
        # The apply layer keeps the live value while the annotation is unchanged.
        "replicas": replicas,
        "selector": {"matchLabels": names.pod_selector(inputs.name)},
        "template": pod_template(inputs, pod),
    }
    annotations = {ANNOTATION_INITIAL_REPLICAS: str(replicas), **pod_annotations_record(inputs)}
    return names.child(DEPLOYMENTS, names.app_meta(inputs, inputs.name, annotations), spec=spec)
