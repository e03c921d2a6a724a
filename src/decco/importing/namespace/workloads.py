"""Deployment, StatefulSet and Job -> App: in Kubernetes' own words, less what decco writes itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from decco.api.pod_metadata import ANNOTATION_RULES, LABEL_RULES, MapRule
from decco.importing.fields import as_object, as_objects
from decco.importing.namespace.annotations import OF_TOOLS
from decco.importing.namespace.defaults import (
    DEPLOYMENT,
    JOB,
    STATEFUL_SET,
    shortened_claim,
    shortened_pod,
    without_defaults,
)
from decco.importing.namespace.inventory import Part
from decco.importing.namespace.pods import remark_on_pod
from decco.importing.parts import named
from decco.objects import ANNOTATION_IMPORTED, API_VERSION, Obj
from decco.text import shown

_OF_DECCO = ("replicas", "selector", "template", "serviceName", "manualSelector")
_FIELDS = {"Deployment": "deployment", "StatefulSet": "statefulSet", "Job": "job"}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"Deployment": DEPLOYMENT, "StatefulSet": STATEFUL_SET, "Job": JOB}
_OF_CONTROLLERS = re.compile(
    "kubectl.kubernetes.io/restartedAt|(batch.kubernetes.io/)?(controller-uid|job-name)|pod-template-hash"
)
"""Keys that controllers and kubectl write, which nobody misses."""


def convert_workload(part: Part, namespace: str, old_namespace: str) -> Obj:
    """The App without endpoints. ``old_namespace`` is "" if it is not known."""
    made = named(API_VERSION, "App", part.name, namespace)
    made["metadata"]["annotations"] = {ANNOTATION_IMPORTED: imported_from(part, old_namespace)}
    template = as_object(part.spec.get("template"))
    _remark_on_metadata(part, as_object(template.get("metadata")))
    pod = as_object(template.get("spec"))
    if not pod:
        part.remark("spec.template.spec", "pod-missing", "must be given: the PodSpec of the App")
    spec = made["spec"] = {}
    if part.kind != "Job":
        replicas = part.spec.get("replicas")
        spec["initialReplicas"] = 1 if replicas is None else replicas
    elif _has_finished(part.obj):
        part.remark(
            "status",
            "job-finished",
            "it has ended, and as an App it would run again: leave the App out if it shall not",
        )
    metadata = _pod_metadata(part, as_object(template.get("metadata")))
    if metadata:
        spec["podMetadata"] = metadata
    kept = {name: value for name, value in part.spec.items() if name not in _OF_DECCO}
    kept = without_defaults(kept, _DEFAULTS[part.kind])
    if part.kind == "StatefulSet":
        _stateful(part, kept)
    if kept or part.kind != "Deployment":
        spec[_FIELDS[part.kind]] = kept
    remark_on_pod(pod, "spec.template.spec", part.imported.remarks, old_namespace)
    spec["endpoints"] = []
    spec["pod"] = shortened_pod(pod)
    return made


def _remark_on_metadata(part: Part, of_pods: Obj) -> None:
    """The workload that decco writes has labels and annotations of decco only. Those that the pods have too are kept
    there.
    """
    given = as_object(part.obj.get("metadata"))
    for field in ("labels", "annotations"):
        of_these = as_object(of_pods.get(field))
        lost = [
            key
            for key, value in as_object(given.get(field)).items()
            if of_these.get(key) != value and not OF_TOOLS.match(str(key))
        ]
        if lost:
            part.remark(
                f"metadata.{field}",
                "metadata-left-out",
                f"{', '.join(shown(str(key)) for key in lost)}: the {part.kind} that decco writes does not have them; "
                "put them into metadata or podMetadata of the App, if something reads them there",
            )


def imported_from(part: Part, namespace: str) -> str:
    return f"{part.kind} {namespace}/{part.name}" if namespace else f"{part.kind} {part.name}"


def pod_labels(part: Part) -> dict[str, str]:
    """The labels that the App's pods keep: Services and budgets select by them."""
    return _allowed(
        as_object(as_object(as_object(part.spec.get("template")).get("metadata")).get("labels")), LABEL_RULES
    )


def _pod_metadata(part: Part, meta: Obj) -> Obj:
    made: Obj = {}
    for field, rules in (("labels", LABEL_RULES), ("annotations", ANNOTATION_RULES)):
        given = as_object(meta.get(field))
        kept = _allowed(given, rules)
        lost = [key for key in given if key not in kept and not _OF_CONTROLLERS.fullmatch(key)]
        if lost:
            part.remark(
                f"spec.template.metadata.{field}",
                "pod-metadata-refused",
                f"no App may set {', '.join(shown(key) for key in lost)}: left out",
            )
        if kept:
            made[field] = kept
    return made


def _allowed(given: Obj, rules: Iterable[MapRule]) -> dict[str, str]:
    return {
        key: value
        for key, value in given.items()
        if isinstance(value, str)
        and not _OF_CONTROLLERS.fullmatch(key)
        and all(rule.holds({key: value}) for rule in rules)
    }


def _stateful(part: Part, kept: Obj) -> None:
    claims = [shortened_claim(claim) for _, claim in as_objects(kept.get("volumeClaimTemplates"))]
    if claims:
        kept["volumeClaimTemplates"] = claims
        part.remark(
            "spec.volumeClaimTemplates",
            "data-to-be-moved",
            "the pods get new, empty volumes: copy the data of the old claims, or restore a backup",
        )
    service = part.spec.get("serviceName")
    if isinstance(service, str) and service:
        part.remark(
            "spec.serviceName",
            "pod-name-changed",
            f"the pods are found in DNS at {part.name}-0.{part.name}-pods, no longer at {part.name}-0.{service}: "
            f"change "
            "clients and members that name single pods",
        )


def _has_finished(obj: Obj) -> bool:
    conditions = as_objects(as_object(obj.get("status")).get("conditions"))
    return any(each.get("type") in ("Complete", "Failed") and each.get("status") == "True" for _, each in conditions)
