"""The kind of an App's workload, and what Kubernetes' spec of that kind has beside replicas, selector and template.

``deployment``, ``statefulSet`` and ``job`` are passed on in Kubernetes' words: fields that this version does not know
are kept, and the API server validates all of them when decco writes the workload. Declared here are those that people
look for, for ``kubectl explain``, and those that decco itself writes, which are refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from decco.api.declared import problem_of
from decco.api.pod_metadata import MAX_ANNOTATION_VALUE, OWN_RULE, map_schema
from decco.api.rules import PRESERVE, VALIDATIONS, Reason, validation

MAX_CLAIM_TEMPLATES = 32


class WorkloadKind(StrEnum):
    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    JOB = "Job"


Schema = dict[str, Any]


def _number(description: str) -> Schema:
    return {"type": "integer", "format": "int64", "description": description}


def _text(description: str) -> Schema:
    return {"type": "string", "maxLength": 253, "description": description}


def _switch(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _object(description: str) -> Schema:
    return {"type": "object", PRESERVE: True, "description": description}


_REFUSED = {
    "replicas": "is set by initialReplicas, and belongs to whoever scales afterwards: remove it",
    "selector": "is decco's: the workload selects the App's own pods; remove it",
    "manualSelector": "would let the Job take other pods: remove it",
    "serviceName": "is decco's: the Service of the pods' names is <App>-pods; remove it",
    "template": "is made of pod and podMetadata: move what it has to these fields",
}
"""Fields of Kubernetes' specs that decco writes, with the messages that refuse them."""
_TYPES: dict[str, Schema] = {
    "replicas": {"type": "integer", "format": "int64"},
    "manualSelector": {"type": "boolean"},
    "serviceName": {"type": "string", "maxLength": 253},
}


def _without(*refused: str) -> AfterValidator:
    def check(spec: dict[str, Any]) -> dict[str, Any]:
        for name in refused:
            if spec.get(name) is not None:
                raise ValueError(f"{name} {_REFUSED[name]}")
        return spec

    return AfterValidator(check)


def _declared(fields: dict[str, Schema]) -> AfterValidator:
    schema = {"type": "object", "properties": fields}

    def check(spec: dict[str, Any]) -> dict[str, Any]:
        problem = problem_of(schema, spec)
        if problem:
            raise ValueError(problem)
        return spec

    return AfterValidator(check)


def _schema(refused: tuple[str, ...], fields: dict[str, Schema]) -> WithJsonSchema:
    properties = dict(fields)
    for name in refused:
        form = _TYPES.get(name, {"type": "object", PRESERVE: True})
        never = validation("false", _REFUSED[name], reason=Reason.FORBIDDEN)
        properties[name] = {**form, "description": "Refused: decco writes it.", VALIDATIONS: [never]}
    return WithJsonSchema({"type": "object", PRESERVE: True, "properties": dict(sorted(properties.items()))})


_ROLLOUT: dict[str, Schema] = {
    "minReadySeconds": _number("How long a new pod must be ready before it counts as available."),
    "revisionHistoryLimit": _number("Former revisions that are kept for an undo."),
}

_OF_DEPLOYMENTS = ("replicas", "selector", "template")
_DEPLOYMENT: dict[str, Schema] = {
    **_ROLLOUT,
    "strategy": _object("How new pods replace old ones: type (RollingUpdate or Recreate), rollingUpdate."),
    "progressDeadlineSeconds": _number("After how long without progress a rollout is reported as failed."),
    "paused": _switch("Changes are not rolled out while this is true."),
}
DeploymentFields = Annotated[
    dict[str, Any], _without(*_OF_DEPLOYMENTS), _declared(_DEPLOYMENT), _schema(_OF_DEPLOYMENTS, _DEPLOYMENT)
]

_CLAIM_MAP = map_schema((OWN_RULE,), MAX_ANNOTATION_VALUE)
_CLAIM_META = {
    **_object("metadata of the claims; the name is also that of the volume in the pods."),
    "properties": {
        "labels": {**_CLAIM_MAP, "description": "Labels of the claims, which get the one that selects the App's pods."},
        "annotations": {**_CLAIM_MAP, "description": "Annotations of the claims."},
    },
}


def _check_claims(spec: dict[str, Any]) -> dict[str, Any]:
    for template in spec.get("volumeClaimTemplates") or ():
        meta = template.get("metadata") or {}
        for name in ("labels", "annotations"):
            if not OWN_RULE.holds(meta.get(name) or {}):
                raise ValueError(f"volumeClaimTemplates[].metadata.{name} {OWN_RULE.message}")
    return spec


_OF_STATEFUL_SETS = ("replicas", "selector", "serviceName", "template")
_STATEFUL_SET: dict[str, Schema] = {
    **_ROLLOUT,
    "volumeClaimTemplates": {
        "type": "array",
        "maxItems": MAX_CLAIM_TEMPLATES,
        "description": "A PersistentVolumeClaim for each pod, mounted as the volume of this name. decco never "
        "deletes a claim. These templates cannot be changed once the StatefulSet exists.",
        "items": {"type": "object", PRESERVE: True, "properties": {"metadata": _CLAIM_META}},
    },
    "podManagementPolicy": _text("OrderedReady, or Parallel: all pods at once. Cannot be changed later."),
    "updateStrategy": _object("How new pods replace old ones: type (RollingUpdate, OnDelete), rollingUpdate."),
    "persistentVolumeClaimRetentionPolicy": _object(
        "What Kubernetes does with the claims when the StatefulSet is deleted (whenDeleted) or has fewer replicas "
        "(whenScaled): Retain, or Delete."
    ),
    "ordinals": _object("The number of the first pod: start."),
}
StatefulSetFields = Annotated[
    dict[str, Any],
    _without(*_OF_STATEFUL_SETS),
    _declared(_STATEFUL_SET),
    AfterValidator(_check_claims),
    _schema(_OF_STATEFUL_SETS, _STATEFUL_SET),
]

_OF_JOBS = ("selector", "manualSelector", "template")
_JOB: dict[str, Schema] = {
    "activeDeadlineSeconds": _number("How long the Job may run before its pods are stopped and it has failed."),
    "backoffLimit": _number("Retries before the Job counts as failed."),
    "backoffLimitPerIndex": _number("The same for each index of an Indexed Job."),
    "completionMode": _text("NonIndexed, or Indexed: each pod has a number."),
    "completions": _number("How many pods must succeed."),
    "managedBy": _text("The controller that runs the Job instead of Kubernetes' own."),
    "maxFailedIndexes": _number("How many indexes may fail before the Job has failed."),
    "parallelism": _number("How many pods run at a time."),
    "podFailurePolicy": _object("What a failed pod means for the Job, by exit code or condition."),
    "podReplacementPolicy": _text("When a pod is replaced: TerminatingOrFailed, or Failed."),
    "successPolicy": _object("When an Indexed Job has succeeded, though not all its pods have."),
    "suspend": _switch(
        "Stops the pods, or starts none; a run goes on when this becomes false. In between it belongs to whoever "
        "suspends and resumes the Job itself."
    ),
    "ttlSecondsAfterFinished": _number(
        "After how long Kubernetes removes the finished Job. The same pod is not run again then."
    ),
}
JobFields = Annotated[dict[str, Any], _without(*_OF_JOBS), _declared(_JOB), _schema(_OF_JOBS, _JOB)]
