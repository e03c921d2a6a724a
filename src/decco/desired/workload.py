"""The Deployment or Job of an App: the user's PodSpec as it is, and what decco adds.

decco only adds to the PodSpec. A field that the user set has precedence over the Space's default. A container or volume
of the user with a name that decco uses is reported as a problem and not overwritten. Defaults and validation of
Kubernetes are left to Kubernetes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from decco.api.types import ZoneSpread
from decco.desired import names, reasons
from decco.desired.endpoints import objects
from decco.desired.model import AppInputs, Child, Problem
from decco.desired.runs import plan
from decco.desired.sidecar import Sidecar
from decco.objects import (
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_RESUMED,
    ANNOTATION_RUN,
    DEPLOYMENTS,
    JOBS,
    Obj,
)

ZONE = "topology.kubernetes.io/zone"
TEMPLATE_HASH = "pod-template-hash"
"""Label that the Deployment controller gives to the pods of one revision."""

_UNSATISFIABLE = {ZoneSpread.PREFER: "ScheduleAnyway", ZoneSpread.REQUIRE: "DoNotSchedule"}


def workload(inputs: AppInputs, sidecar: Sidecar | None) -> Child | Problem | None:
    """The App's Deployment or Job, or which names in the user's pod conflict with the sidecar.

    None for a Job whose run is over and that was cleaned up.
    """
    clash = _clash(inputs.spec.pod, sidecar) if sidecar is not None else None
    if clash is not None:
        return Problem(reasons.RESERVED_NAME, clash)
    pod = pod_spec(inputs, sidecar)
    return _job(inputs, pod) if inputs.spec.run_as_job else _deployment(inputs, pod)


def pod_spec(inputs: AppInputs, sidecar: Sidecar | None) -> Obj:
    """The user's PodSpec with all that decco adds; a copy, down to the last level."""
    pod: Obj = copy.deepcopy(inputs.spec.pod)
    runtime = inputs.space.spec.runtime_class_name
    if runtime is not None and pod.get("runtimeClassName") is None:
        pod["runtimeClassName"] = runtime
    constraint = _zone_constraint(inputs)
    if constraint is not None:
        pod["topologySpreadConstraints"] = [*_listed(pod, "topologySpreadConstraints"), constraint]
    if inputs.spec.run_as_job and pod.get("restartPolicy") is None:
        # Kubernetes' own default, Always, is not valid for a Job. With Never a failed pod stays for inspection.
        pod["restartPolicy"] = "Never"
    if sidecar is not None:
        # First of all: the user's own init containers may want to use an egress.
        pod["initContainers"] = [copy.deepcopy(sidecar.container), *_listed(pod, "initContainers")]
        pod["volumes"] = [*_listed(pod, "volumes"), *copy.deepcopy(sidecar.volumes)]
        _add_sysctls(pod, sidecar.sysctls)
        _add_pull_secrets(pod, inputs.settings.sidecar.image_pull_secrets)
    return pod


def _deployment(inputs: AppInputs, pod: Obj) -> Child:
    replicas = inputs.spec.initial_replicas
    spec: Obj = {
        # The apply layer keeps the live value while the annotation is unchanged.
        "replicas": replicas,
        "selector": {"matchLabels": names.pod_selector(inputs.name)},
        "template": _template(inputs, pod),
    }
    return names.child(
        DEPLOYMENTS, names.app_meta(inputs, inputs.name, {ANNOTATION_INITIAL_REPLICAS: str(replicas)}), spec=spec
    )


def _job(inputs: AppInputs, pod: Obj) -> Child | None:
    run = plan(inputs.run_digest, inputs.run, inputs.job)
    if run is None:
        return None
    spec: Obj = {"template": _template(inputs, pod)}
    # A simulation shows a new Job as it runs, once its run is recorded.
    starts = inputs.simulated and run.suspended and not run.resumed
    if run.suspended and not starts:
        spec["suspend"] = True
    if inputs.spec.job_backoff_limit is not None:
        spec["backoffLimit"] = inputs.spec.job_backoff_limit
    annotations: dict[str, str | None] = {ANNOTATION_RUN: inputs.run_digest}
    if run.resumed or starts:
        annotations[ANNOTATION_RESUMED] = "true"
    return names.child(JOBS, names.app_meta(inputs, inputs.name, annotations), spec=spec)


def _template(inputs: AppInputs, pod: Obj) -> Obj:
    return {"metadata": {"labels": names.child_labels(inputs.space.name, inputs.name)}, "spec": pod}


def _zone_constraint(inputs: AppInputs) -> Obj | None:
    unsatisfiable = _UNSATISFIABLE.get(inputs.space.spec.topology.zone_spread)
    own = objects(inputs.spec.pod.get("topologySpreadConstraints"))
    if unsatisfiable is None or any(constraint.get("topologyKey") == ZONE for constraint in own):
        return None
    constraint: Obj = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": unsatisfiable,
        "labelSelector": {"matchLabels": names.pod_selector(inputs.name)},
    }
    if not inputs.spec.run_as_job:
        # Counts each revision separately: otherwise the old pods of a rollout cause an uneven spread of the new ones.
        constraint["matchLabelKeys"] = [TEMPLATE_HASH]
    return constraint


def _clash(pod: Obj, sidecar: Sidecar) -> str | None:
    containers = {c.get("name") for kind in ("initContainers", "containers") for c in objects(pod.get(kind))}
    if sidecar.container["name"] in containers:
        return f"a container of the pod is named {sidecar.container['name']}, as decco's sidecar is; rename it"
    volumes = {volume.get("name") for volume in objects(pod.get("volumes"))}
    for volume in sidecar.volumes:
        if volume["name"] in volumes:
            return f"a volume of the pod is named {volume['name']}, as one of decco's sidecar is; rename it"
    return None


def _listed(pod: Obj, key: str) -> list[Any]:
    """The items of a user's list. A value that is not a list becomes the only item, for the API server to refuse."""
    value = pod.get(key)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _add_pull_secrets(pod: Obj, secrets: Iterable[str]) -> None:
    own = {reference.get("name") for reference in objects(pod.get("imagePullSecrets"))}
    added = [{"name": secret} for secret in dict.fromkeys(secrets) if secret not in own]
    if added:
        pod["imagePullSecrets"] = [*_listed(pod, "imagePullSecrets"), *added]


def _add_sysctls(pod: Obj, sysctls: list[Obj]) -> None:
    if not sysctls or pod.get("hostNetwork"):
        return  # on the host's network the node's own setting applies, and the API server refuses another
    context = pod.get("securityContext") or {}
    if not isinstance(context, dict):
        return  # for the server to refuse
    own = {sysctl.get("name") for sysctl in objects(context.get("sysctls"))}
    added = [sysctl for sysctl in sysctls if sysctl["name"] not in own]
    if added:
        pod["securityContext"] = {**context, "sysctls": [*_listed(context, "sysctls"), *copy.deepcopy(added)]}
