"""A paused Space or App: no write but its own status, deletion goes on, and resuming catches up with everything."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, GROUP, Cluster, Decco, Obj, app, eventually
from tests.integration.test_delete import GONE_SECONDS, is_gone

PAUSED = f"{GROUP}/paused"
LABEL = f"{GROUP}/space"


def pause(cluster: Cluster, path: str, value: str | None = "true") -> Obj:
    return cluster.patch(path, {"metadata": {"annotations": {PAUSED: value}}})


def condition(obj: Obj | None, kind: str) -> dict[str, Any]:
    conditions = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def is_paused(obj: Obj | None) -> bool:
    return condition(obj, "Paused").get("status") == "True"


@pytest.mark.parametrize("kind", ["app", "space"])
def test_nothing_is_written_while_paused(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str, kind: str
) -> None:
    cluster.make_space(name)
    cluster.create(app(name, "web", endpoints=[]))
    eventually(lambda: cluster.deployment(name, "web"), 10)
    decco.settle()
    space, web = f"{APIS}/spaces/{name}", f"{APIS}/namespaces/{name}/apps/web"
    path = space if kind == "space" else web
    of_space, of_app = f"/api/v1/namespaces/{name}", f"/apis/apps/v1/namespaces/{name}/deployments/web"
    before = cluster.get(path)
    pause(cluster, path)
    eventually(lambda: is_paused(cluster.get(path)) and is_paused(cluster.get(web)), 5)
    assert condition(cluster.get(path), "Ready") == condition(before, "Ready"), "Ready stays as it was"

    mark = control_plane.audit_mark()
    # All that would make decco write: children bent and gone, specs edited, for a Space also a new App.
    bent = (of_space, of_app) if kind == "space" else (of_app,)
    for child in bent:
        cluster.patch(child, {"metadata": {"labels": {LABEL: "bent"}}})
    cluster.patch(web, {"spec": {"initialReplicas": 3}})
    if kind == "space":
        cluster.patch(space, {"spec": {"podSecurity": "restricted"}})
        cluster.delete(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco")
        cluster.create(app(name, "new", endpoints=[]))
        eventually(lambda: is_paused(cluster.app(name, "new")), 5)
        assert condition(cluster.app(name, "new"), "Ready")["status"] == "Unknown"
    eventually(lambda: condition(cluster.get(web), "Paused")["observedGeneration"] == 2, 5)
    decco.settle(quiet=0.5)
    writes = control_plane.audit("decco-controller", since=mark, writes=True)
    mine = [each for each in writes if name in (each.namespace, each.name) and each.resource != "events"]
    assert {(each.resource, each.subresource) for each in mine} <= {("spaces", "status"), ("apps", "status")}
    assert (cluster.get(web) or {})["status"]["observedGeneration"] == 1, "the new spec is not in effect"

    pause(cluster, path, None)
    for child in bent:
        eventually(lambda child=child: (cluster.get(child) or {})["metadata"]["labels"][LABEL] == name, 5)
    eventually(lambda: (cluster.deployment(name, "web") or {})["spec"]["replicas"] == 3, 5)
    eventually(lambda: not condition(cluster.get(path), "Paused") and not condition(cluster.get(web), "Paused"), 5)
    eventually(lambda: (cluster.get(web) or {})["status"]["observedGeneration"] == 2, 5)
    if kind == "space":
        eventually(lambda: cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco"), 5)
        eventually(lambda: cluster.deployment(name, "new"), 5)
    events = cluster.items(f"/apis/events.k8s.io/v1/namespaces/{'default' if kind == 'space' else name}/events")
    event_reasons = {
        each["reason"] for each in events if each["regarding"]["name"] == (name if kind == "space" else "web")
    }
    assert {"Paused", "Resumed"} <= event_reasons


def test_created_paused_and_deleted_paused(cluster: Cluster, decco: Decco, name: str) -> None:
    new = {
        "apiVersion": f"{GROUP}/v1beta2",
        "kind": "Space",
        "metadata": {"name": name, "annotations": {PAUSED: "true"}},
        "spec": {"domainName": "example.net"},
    }
    path = f"{APIS}/spaces/{name}"
    cluster.create(new)
    eventually(lambda: is_paused(cluster.get(path)), 5)
    decco.settle(quiet=0.5)
    assert cluster.get(f"/api/v1/namespaces/{name}") is None
    pause(cluster, path, None)
    eventually(lambda: cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco"), 10)
    cluster.create(app(name, "web", endpoints=[]))
    eventually(lambda: cluster.deployment(name, "web"), 10)
    pause(cluster, path)
    eventually(lambda: is_paused(cluster.app(name, "web")), 5)
    cluster.delete(f"{APIS}/namespaces/{name}/apps/web")
    eventually(lambda: cluster.deployment(name, "web") is None, GONE_SECONDS)
    cluster.delete(path)
    eventually(lambda: is_gone(cluster, name), GONE_SECONDS)
