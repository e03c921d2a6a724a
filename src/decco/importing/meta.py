"""Converts metadata: keeps what users have set, not what servers and controllers have added."""

from __future__ import annotations

from typing import Any

from decco.importing.fields import Fields
from decco.importing.remarks import Remarks
from decco.objects import ANNOTATION_IMPORTED, Obj

_BY_SERVERS = (
    "creationTimestamp",
    "clusterName",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "initializers",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def new_meta(obj: Obj, remarks: Remarks) -> dict[str, Any]:
    """name, namespace, labels, and annotations, including the origin of the object."""
    fields = Fields(obj.get("metadata"), "metadata", remarks)
    name, namespace = fields.text("name"), fields.text("namespace")
    if not name:
        remarks.error("metadata.name", "must be given")
    for field in _BY_SERVERS:
        fields.take(field)
    labels, annotations = _texts(fields, "labels"), _texts(fields, "annotations")
    annotations.pop(_LAST_APPLIED, None)
    fields.report_rest()
    version = str(obj.get("apiVersion", "")).rpartition("/")[2]
    annotations[ANNOTATION_IMPORTED] = f"{version} {namespace}/{name}" if namespace else f"{version} {name}"
    meta: dict[str, Any] = {"name": name}
    if namespace:
        meta["namespace"] = namespace
    if labels:
        meta["labels"] = labels
    meta["annotations"] = annotations
    return meta


def is_imported(obj: Obj) -> bool:
    """Whether ``decco import`` created this object."""
    meta = obj.get("metadata")
    annotations = meta.get("annotations") if isinstance(meta, dict) else None
    return isinstance(annotations, dict) and ANNOTATION_IMPORTED in annotations


def _texts(fields: Fields, name: str) -> dict[str, str]:
    value = fields.take(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(inner, str) for inner in value.values()):
        fields.remarks.error(fields.at(name), "must be an object of texts: quote the values")
        return {}
    return dict(value)
