"""Two writers of one object, and one edit of which the API server takes only a part."""

from __future__ import annotations

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, pod, tls_secret


def test_a_drift_conflict_is_slowed_down_and_its_parties_are_named(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str
) -> None:
    cluster.make_space(name)
    cluster.create(app(name, "web", endpoints=[]))
    path = f"/apis/apps/v1/namespaces/{name}/deployments/web"
    eventually(lambda: cluster.get(path), 10)
    decco.settle()
    said: list[str] = []
    mark = control_plane.audit_mark()

    def backed_off() -> bool:
        image = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "mallory.example/app:1"}
        live = cluster.get(path) or {}
        if live["spec"]["template"]["spec"]["containers"][0]["image"] != image["value"]:
            cluster.patch(f"{path}?fieldManager=mallory", [image], "json")
        found = cluster.app_condition(name, "web", "WorkloadReady") or {}
        said.append(str(found.get("message")))
        return bool(found.get("reason") == "Contested")

    eventually(backed_off, 100)
    assert "mallory" in said[-1]
    decco.settle(quiet=0.5)
    writes = [each for each in control_plane.audit("decco-controller", since=mark, writes=True) if each.name == "web"]
    # Refused ones are not counted: Kubernetes' own controllers write into the same Deployment all the time.
    assert sum(each.resource == "deployments" and each.code < 300 for each in writes) <= 24

    def repaired() -> bool:
        live = cluster.get(path) or {}
        return bool(live["spec"]["template"]["spec"]["containers"][0]["image"] != "mallory.example/app:1")

    eventually(repaired, 15, "the pause ends by itself")
    eventually(lambda: (cluster.app_condition(name, "web", "WorkloadReady") or {})["reason"] != "Contested", 5)


def test_what_runs_keeps_its_configuration_while_its_new_form_is_refused(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    if cluster.get("/api/v1/namespaces/decco/secrets/contested-tls") is None:
        cluster.create(tls_secret("contested-tls"))
    cluster.make_space(name, tcpCertAndCaSecretName="contested-tls")
    cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 8080}]))
    eventually(lambda: cluster.deployment(name, "db"), 10)
    decco.settle()
    maps = f"/api/v1/namespaces/{name}/configmaps?labelSelector=decco.platform9.com/app=db"
    [before] = cluster.items(maps)
    deployment = cluster.deployment(name, "db")
    path = f"{APIS}/namespaces/{name}/apps/db"
    more = [{"name": "db", "port": 8080}, {"name": "db-more", "port": 9090}]
    cluster.patch(path, {"spec": {"endpoints": more, "pod": pod(8080, restartPolicy="Sometimes")}})
    eventually(lambda: (cluster.app_condition(name, "db", "WorkloadReady") or {})["reason"] == "Invalid", 10)
    decco.settle(quiet=0.5)
    assert cluster.items(maps) == [before]
    assert (cluster.deployment(name, "db") or {})["spec"] == (deployment or {})["spec"]
    cluster.patch(path, {"spec": {"pod": {"restartPolicy": None}}})
    eventually(lambda: cluster.items(maps)[0]["data"] != before["data"], 10)
    eventually(lambda: (cluster.deployment(name, "db") or {})["spec"] != (deployment or {})["spec"], 5)
