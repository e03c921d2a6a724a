"""The PodSpec of an App's pods: the user's as it is, and what decco adds.

decco only adds to the PodSpec. A field that the user set has precedence over the Space's default. A container or volume
of the user with a name that decco uses is reported as a problem and not overwritten. Defaults and validation of
Kubernetes are left to Kubernetes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from decco.api.types import AppSpec
from decco.api.workload_kinds import WorkloadKind
from decco.desired import names
from decco.desired.endpoints import objects
from decco.desired.isolation import isolate
from decco.desired.model import AppInputs, Problem
from decco.desired.sidecar import Sidecar
from decco.desired.topology import zone_constraint
from decco.objects import ANNOTATION_POD_ANNOTATIONS, Obj


def pod_spec(inputs: AppInputs, sidecar: Sidecar | None) -> Obj | Problem:
    """The user's PodSpec with all that decco adds, a copy down to the last level; or why its Space refuses it."""
    pod: Obj = copy.deepcopy(inputs.spec.pod)
    if (problem := isolate(pod, inputs.space, inputs.settings)) is not None:
        return problem
    constraint = zone_constraint(inputs)
    if constraint is not None:
        pod["topologySpreadConstraints"] = [*_listed(pod, "topologySpreadConstraints"), constraint]
    if inputs.spec.workload_kind is WorkloadKind.JOB and pod.get("restartPolicy") is None:
        # Kubernetes' own default, Always, is not valid for a Job. With Never a failed pod stays for inspection.
        pod["restartPolicy"] = "Never"
    if sidecar is not None:
        # First of all: the user's own init containers may want to use an egress.
        pod["initContainers"] = [copy.deepcopy(sidecar.container), *_listed(pod, "initContainers")]
        pod["volumes"] = [*_listed(pod, "volumes"), *copy.deepcopy(sidecar.volumes)]
        _add_sysctls(pod, sidecar.sysctls)
        _add_pull_secrets(pod, inputs.settings.sidecar.image_pull_secrets)
    return pod


def pod_template(inputs: AppInputs, pod: Obj) -> Obj:
    own = inputs.spec.pod_metadata
    labels = (own.labels if own is not None else None) or {}
    meta: Obj = {"labels": {**labels, **names.child_labels(inputs.space.name, inputs.name)}}
    if own is not None and own.annotations:
        meta["annotations"] = dict(own.annotations)
    return {"metadata": meta, "spec": pod}


def pod_annotations_record(inputs: AppInputs) -> dict[str, str | None]:
    """The annotation of a workload that lists the annotations of its pods that are decco's: those of other writers, as
    that of ``kubectl rollout restart``, are beside them.
    """
    own = inputs.spec.pod_metadata
    if own is None or not own.annotations:
        return {}
    return {ANNOTATION_POD_ANNOTATIONS: ",".join(sorted(own.annotations))}


def name_clash(spec: AppSpec, sidecar: Sidecar) -> str | None:
    """Which name in the user's pod the sidecar has too, or None."""
    pod = spec.pod
    containers = {c.get("name") for kind in ("initContainers", "containers") for c in objects(pod.get(kind))}
    if sidecar.container["name"] in containers:
        return f"a container of the pod is named {sidecar.container['name']}, as decco's sidecar is; rename it"
    volumes = {volume.get("name") for volume in objects(pod.get("volumes"))}
    for volume in sidecar.volumes:
        if volume["name"] in volumes:
            return f"a volume of the pod is named {volume['name']}, as one of decco's sidecar is; rename it"
    # The volume of a claim takes the place of the pod's volume of its name.
    claims = objects((spec.stateful_set or {}).get("volumeClaimTemplates"))
    names_of_claims = {claim["metadata"].get("name") for claim in claims if isinstance(claim.get("metadata"), dict)}
    for volume in sidecar.volumes:
        if volume["name"] in names_of_claims:
            return f"a volumeClaimTemplate is named {volume['name']}, as a volume of decco's sidecar is; rename it"
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
