"""A controller that ends and another that starts: nothing is lost in between, nothing is done twice.

Each test here runs controllers of its own; two at once on one cluster would be a mistake of the operator.
"""

from __future__ import annotations

from pathlib import Path

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, tls_secret
from tests.integration.test_delete import GONE_SECONDS, children, full_space, is_gone
from tests.sample import full


def test_deletions_and_edits_while_decco_was_down(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    first = Decco(control_plane, tmp_path).start()
    for name in ("down-a", "down-b", "down-c"):
        full_space(cluster, name)
    assert first.stop() == 0
    cluster.delete(f"{APIS}/spaces/down-a")
    cluster.delete(f"{APIS}/namespaces/down-b/apps/web")
    cluster.delete("/api/v1/namespaces/down-c")
    cluster.delete(f"{APIS}/spaces/down-c")
    cluster.delete("/apis/apps/v1/namespaces/down-b/deployments/db")
    cluster.patch(f"{APIS}/namespaces/down-b/apps/db", {"spec": {"initialReplicas": 3}})
    eventually(lambda: is_gone(cluster, "down-a") and is_gone(cluster, "down-c"), GONE_SECONDS, "without decco")
    second = Decco(control_plane, tmp_path).start()
    try:
        eventually(lambda: children(cluster, "down-b", "web") == [], GONE_SECONDS)
        eventually(lambda: (cluster.deployment("down-b", "db") or {}).get("spec", {}).get("replicas") == 3, 5)
        second.settle()
        assert is_gone(cluster, "down-a")
        assert is_gone(cluster, "down-c")
    finally:
        assert second.stop() == 0


@full
def test_a_kind_that_is_no_longer_wanted_goes(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    """Another routing backend: the old backend's routes are removed, the new one's are made."""
    route = "/apis/gateway.networking.k8s.io/v1/namespaces/backend/httproutes/web"
    ingress = "/apis/networking.k8s.io/v1/namespaces/backend/ingresses/web"
    if cluster.get("/api/v1/namespaces/decco/secrets/backend-tls") is None:
        cluster.create(tls_secret("backend-tls"))
    first = Decco(control_plane, tmp_path).start()
    cluster.make_space("backend", httpCertSecretName="backend-tls")
    cluster.create(app("backend", "web", httpUrlPath="/web"))
    eventually(lambda: cluster.get(route), 5)
    assert first.stop() == 0
    second = Decco(control_plane, tmp_path, routing__backend="ingress", routing__ingress_dialect="nginx").start()
    try:
        eventually(lambda: cluster.get(ingress) and cluster.get(route) is None, 10)
        second.settle()
    finally:
        assert second.stop() == 0
        cluster.delete(f"{APIS}/spaces/backend")
