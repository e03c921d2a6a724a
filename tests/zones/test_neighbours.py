"""What a tenant can do to the pods of others by rules of placement, and that it is refused."""

from __future__ import annotations

from typing import Any

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod
from tests.zones.conftest import ZONES
from tests.zones.world import SOON, ZONE, pods, wait_ready

TENANT = "zones-tenant"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def keeps_away(space: str, app: str) -> dict[str, Any]:
    """One small pod in each zone with it, and the scheduler places no pod of that App anywhere."""
    term = {
        "topologyKey": ZONE,
        "labelSelector": {"matchLabels": {"decco.platform9.com/app": app}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}},
    }
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def why_not(each: Obj) -> bool:
    """Whether the scheduler says that anti-affinities of other pods keep this one away."""
    conditions = (each.get("status") or {}).get("conditions") or ()
    return any(
        c["type"] == "PodScheduled" and c["status"] == "False" and "anti-affinity" in c.get("message", "")
        for c in conditions
    )


def as_tenant(cp: ControlPlane, path: str, obj: Any) -> tuple[int, str]:
    headers = {"Impersonate-User": TENANT}
    answer = cp.request("POST", f"{path}?dryRun=All", obj, headers=headers)
    return answer.status, str(answer.json().get("message", ""))


def test_an_anti_affinity_to_everybody(cluster: Cluster, control_plane: ControlPlane, decco: Decco, name: str) -> None:
    """The administrator's pods prove that it works; a tenant may not."""
    tenant, victim = f"{name}-t", f"{name}-v"
    for space in (tenant, victim):
        cluster.make_space(space, topology={"zoneSpread": "Require"})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": TENANT}
    cluster.cp.create(
        f"{RBAC}/namespaces/{tenant}/rolebindings",
        {"metadata": {"name": "edit"}, "roleRef": role, "subjects": [subject]},
    )
    cluster.cp.create(
        f"{RBAC}/namespaces/{tenant}/roles",
        {
            "metadata": {"name": "apps"},
            "rules": [{"apiGroups": ["decco.platform9.com"], "resources": ["apps"], "verbs": ["*"]}],
        },
    )
    cluster.cp.create(
        f"{RBAC}/namespaces/{tenant}/rolebindings",
        {
            "metadata": {"name": "apps"},
            "roleRef": {"apiGroup": role["apiGroup"], "kind": "Role", "name": "apps"},
            "subjects": [subject],
        },
    )
    hostile = app(tenant, "hostile", endpoints=[], initialReplicas=3, pod=pod(8080, **keeps_away(victim, "web")))
    bare = {
        "metadata": {"name": "bare"},
        "spec": {"containers": [{"name": "c", "image": "x"}], **keeps_away(victim, "web")},
    }
    for path, obj in (
        (f"{APIS}/namespaces/{tenant}/apps", hostile),
        (f"/api/v1/namespaces/{tenant}/pods", bare),
    ):
        status, message = as_tenant(control_plane, path, obj)
        assert status == 403, message
        assert "DECCO-0675" in message
        assert "remove namespaces and namespaceSelector" in message

    # What the refusal prevents: the same by an administrator, who may do it.
    cluster.create(hostile)
    wait_ready(cluster, tenant, ["hostile"], len(ZONES))
    cluster.create(app(victim, "web", endpoints=[], initialReplicas=6))
    eventually(lambda: [why_not(each) for each in pods(cluster, victim, "web")] == [True] * 6, SOON)

    # And an App's rules for its own pods do nothing to others.
    cluster.delete(f"{APIS}/namespaces/{tenant}/apps/hostile")
    eventually(lambda: not pods(cluster, tenant, "hostile"), SOON)
    own = {"topologyKey": ZONE, "labelSelector": {}}
    alone = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [own]}}}
    cluster.create(app(tenant, "alone", endpoints=[], initialReplicas=len(ZONES), pod=pod(8080, **alone)))
    wait_ready(cluster, tenant, ["alone"], len(ZONES))
    cluster.create(app(victim, "more", endpoints=[], initialReplicas=6))
    wait_ready(cluster, victim, ["more"], 6)
    decco.settle()
