"""What Spaces and Apps have in common: metadata, and the roles that the first decco created for both."""

from __future__ import annotations

from collections.abc import Sequence

from decco.importing.fields import Fields, Remarks
from decco.objects import ANNOTATION_IMPORTED, Obj

_BY_SERVERS = (
    *("creationTimestamp", "clusterName", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers"),
    *("generation", "initializers", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"),
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_RBAC = "rbac.authorization.k8s.io"


def new_meta(obj: Obj, remarks: Remarks) -> Obj:
    """Metadata without a namespace: what users have set and the origin of the object, nothing of servers."""
    fields = Fields(obj.get("metadata"), "metadata", remarks)
    name, namespace = fields.text("name"), fields.text("namespace")
    if not name:
        remarks.add("metadata.name", "name-missing", "must be given")
    fields.skip(*_BY_SERVERS)
    labels, annotations = fields.texts("labels"), fields.texts("annotations")
    annotations.pop(_LAST_APPLIED, None)
    fields.report_rest()
    version = str(obj.get("apiVersion", "")).rpartition("/")[2]
    annotations[ANNOTATION_IMPORTED] = f"{version} {namespace}/{name}" if namespace else f"{version} {name}"
    return {"name": name, **({"labels": labels} if labels else {}), "annotations": annotations}


def named(api_version: str, kind: str, name: str, namespace: str) -> Obj:
    """An object to be filled; without a namespace, ``kubectl apply`` chooses it."""
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


def role_objects(name: str, namespace: str, rules: Sequence[Obj], subject: Obj) -> list[Obj]:
    reference = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    return [
        named(f"{_RBAC}/v1", "Role", name, namespace) | {"rules": list(rules)},
        named(f"{_RBAC}/v1", "RoleBinding", name, namespace) | {"subjects": [subject], "roleRef": reference},
    ]
