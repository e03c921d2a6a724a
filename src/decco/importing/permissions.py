"""Roles that the first decco created for Spaces and Apps, as ordinary objects."""

from __future__ import annotations

from collections.abc import Sequence

from decco.objects import Obj

_API = "rbac.authorization.k8s.io"


def role_objects(name: str, namespace: str, rules: Sequence[Obj], subject: Obj) -> list[Obj]:
    """A Role and a RoleBinding of this name; without a namespace, ``kubectl apply`` chooses it."""
    meta: Obj = {"name": name, **({"namespace": namespace} if namespace else {})}
    role = {"apiVersion": f"{_API}/v1", "kind": "Role", "metadata": meta, "rules": list(rules)}
    binding = {
        "apiVersion": f"{_API}/v1",
        "kind": "RoleBinding",
        "metadata": dict(meta),
        "subjects": [subject],
        "roleRef": {"apiGroup": _API, "kind": "Role", "name": name},
    }
    return [role, binding]


def service_account(name: str, namespace: str) -> Obj:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
