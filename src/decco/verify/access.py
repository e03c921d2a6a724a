"""The tenant: a user that exists only for the run, as whom requests are tried.

The user of the command impersonates it, so its requests pass roles and policies as a tenant's do. They are dry runs.
"""

from __future__ import annotations

from decco.kube.connection import Connection
from decco.objects import Obj
from decco.verify.names import Names

TENANT_RULES: list[Obj] = [
    {"apiGroups": [""], "resources": ["configmaps", "services", "secrets", "namespaces", "pods"], "verbs": ["*"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": ["*"]},
    {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["gateway.envoyproxy.io"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]},
]
"""What a tenant may write in its Space: wide, so that only a policy refuses."""
SPACE_RULES: list[Obj] = [
    {"apiGroups": ["decco.platform9.com"], "resources": ["spaces"], "verbs": ["get", "create", "update"]},
    {"apiGroups": ["decco.platform9.com"], "resources": ["apps"], "verbs": ["get", "create", "update"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "update"]},
]


class Impersonated(Connection):
    """The same connection, with requests in the name of another user."""

    def __init__(self, own: Connection, user: str) -> None:
        super().__init__(own.server, ssl=own.ssl, proxy=own.proxy, server_hostname=own.server_hostname)
        self._own = own
        self._user = user

    async def headers(self) -> dict[str, str]:
        return {**await self._own.headers(), "Impersonate-User": self._user}

    async def refresh(self) -> None:
        await self._own.refresh()


def roles(names: Names) -> tuple[Obj, Obj]:
    """A ClusterRole for the tenant and its binding: nobody has its name, and it is gone after the run."""
    meta = {"name": names.tenant, "labels": names.labels}
    group = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRole",
        "metadata": meta,
        "rules": [*TENANT_RULES, *SPACE_RULES],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": names.tenant},
        "subjects": [{"apiGroup": group, "kind": "User", "name": names.tenant}],
    }
    return role, binding
