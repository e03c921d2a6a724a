"""``decco ui`` beside a running controller: what a platform operator sees, and what a tenant of one namespace does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.by_hand import accept_listeners, answer_route
from tests.integration.harness import APIS, Cluster, Decco, eventually, http_app
from tests.integration.test_cli import EDGE
from tests.ui.program import Ui, serving, serving_tenant
from tests.ui.world import EVIL, World, build, run

Obj = dict[str, Any]


@pytest.fixture(scope="module")
def decco(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    with Decco(control_plane, tmp_path_factory.mktemp("decco"), **EDGE) as running:
        yield running


@pytest.fixture(scope="module")
def world(cluster: Cluster, decco: Decco) -> World:
    return build(cluster, "ui")


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, world: World) -> Iterator[Ui]:
    with serving(control_plane) as ui:
        yield ui


@pytest.fixture(scope="module")
def tenant(control_plane: ControlPlane, world: World) -> Iterator[Ui]:
    """May read what decco-tenant-view contains, in one namespace."""
    control_plane.kubectl("apply", "-f", "manifests/rbac/people.yaml")
    with serving_tenant(control_plane, world.broken) as ui:
        yield ui


def chains(ui: Ui, space: str) -> dict[str, Obj]:
    """Endpoint -> its chain."""
    data = ui.data(f"space?name={space}")
    return {chain["endpoint"]: chain for app in data["apps"] for chain in app["chains"]}


def states(chain: Obj) -> dict[str, str]:
    return {link["part"]: link["state"] for link in chain["links"]}


def soon(ask: Callable[[], Any]) -> Any:
    return eventually(ask, 60)


def test_the_operator_sees_all_spaces_and_where_they_are_broken(operator: Ui, world: World) -> None:
    rows = {row["name"]: row for row in operator.data("overview")["spaces"]}
    assert {world.well, world.broken, world.hostile} <= set(rows)
    assert rows[world.well]["apps_state"] == "ok"
    assert rows[world.broken]["apps_state"] == "failure"
    soon(lambda: {link["state"] for link in chains(operator, world.well)["db"]["links"]} == {"ok"})
    broken = chains(operator, world.broken)
    assert {name: chain["broken"] for name, chain in broken.items()} == {
        "web": "route",
        "queue": "pods",
        "old": "certificate",
    }
    (refusal,) = [
        finding
        for link in broken["web"]["links"]
        if link["part"] == "route"
        for finding in link["findings"]
        if finding["state"] == "failure"
    ]
    assert "no listener of this name" in refusal["text"]
    assert refusal["code"].startswith("DECCO-")
    assert refusal["action"]


def test_it_says_the_same_as_explain(operator: Ui, world: World, control_plane: ControlPlane) -> None:
    found = {row["name"]: row for row in operator.data(f"space?name={world.broken}")["apps"]}
    texts = {finding["text"] for finding in found["web"]["findings"]}
    assert any(text.startswith("NotAccepted: the gateway refuses HTTPRoute web") for text in texts)
    assert "Service ui-broken/web: 1 of 1 pods ready" in texts


def test_hostile_text_is_passed_on_as_text(operator: Ui, world: World) -> None:
    status, headers, body = operator.request(f"/api/space?name={world.hostile}")
    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert headers["X-Content-Type-Options"] == "nosniff"
    chain = json.loads(body)["apps"][0]["chains"][0]
    assert any(EVIL in finding["text"] for link in chain["links"] for finding in link["findings"])


def test_a_change_is_shown_without_a_request_for_it(operator: Ui, cluster: Cluster, name: str) -> None:
    """A new Space appears, its route is accepted, and it goes; the stream reports each."""
    with operator.events() as states_:
        first = next(states_)
        cluster.make_space(name)
        numbers = (state["number"] for state in states_)
        assert next(number for number in numbers if number > first["number"])
    soon(lambda: name in {row["name"] for row in operator.data("overview")["spaces"]})
    accept_listeners(cluster, name, "192.0.2.10")
    cluster.create(http_app(name, "web", "/"))
    run(cluster, name, "web")
    assert soon(lambda: states(chains(operator, name)["web"])["route"] == "warning")
    answer_route(cluster, name, "httproutes", "web")
    assert soon(lambda: states(chains(operator, name)["web"])["route"] == "ok")
    cluster.delete(f"{APIS}/spaces/{name}")
    soon(lambda: name not in {row["name"] for row in operator.data("overview")["spaces"]})
    assert operator.request(f"/api/space?name={name}")[0] == 404


def test_the_graph_and_the_certificates(operator: Ui, world: World) -> None:
    graph = operator.data("graph")
    assert {world.well, world.broken} <= {space["name"] for space in graph["spaces"]}
    assert {"from": f"{world.well}/web", "space": world.broken, "to": "queue", "allowed": True} in graph["calls"]
    assert any(shape.get("text") == world.well for shape in graph["drawing"]["shapes"])
    rows = operator.data("certificates")["certificates"]
    assert {(world.well, f"{world.well}-tls"), (world.broken, f"{world.broken}-tls")} <= {
        (row["namespace"], row["name"]) for row in rows
    }
    assert [row["until"] for row in rows] == sorted(row["until"] for row in rows)
    assert b"PRIVATE KEY" not in operator.request("/api/certificates")[2]


def test_a_tenant_sees_his_namespace_and_nothing_of_others(tenant: Ui, operator: Ui, world: World) -> None:
    assert [row["name"] for row in tenant.data("overview")["spaces"]] == [world.broken]
    (row,) = tenant.data("overview")["spaces"]
    assert row["state"] == "unknown"
    assert row["finding"]["text"] == f"you may not read Space {world.broken}"
    assert row["apps"] == 3
    for other in (world.well, world.hostile, "decco", "kube-system"):
        assert tenant.request(f"/api/space?name={other}")[0] == 404
    answers = b"".join(tenant.request(f"/api/{page}")[2] for page in ("overview", "graph", "certificates"))
    answers += tenant.request(f"/api/space?name={world.broken}")[2]
    for other in (world.well, world.hostile):
        assert other.encode() not in answers
    broken = chains(tenant, world.broken)
    assert {name: chain["broken"] for name, chain in broken.items()} == {
        "web": "route",
        "queue": "pods",
        "old": "certificate",
    }
    web = states(broken["web"])
    assert {part: web[part] for part in ("edge", "listener", "route", "Service", "pods")} == {
        "edge": "unknown",
        "listener": "unknown",
        "route": "failure",
        "Service": "ok",
        "pods": "ok",
    }
    assert tenant.data("graph")["spaces"] == []
    assert tenant.data("graph")["incomplete"]
    certificates = tenant.data("certificates")
    assert certificates["certificates"] == []
    assert [each["state"] for each in certificates["remarks"]] == ["unknown"]


def test_a_tenant_without_any_right_sees_that(control_plane: ControlPlane, world: World) -> None:
    kubeconfig = control_plane.kubeconfig_for("ui-nobody")
    with serving(control_plane, "-n", world.well, kubeconfig=kubeconfig) as ui:
        (row,) = ui.data("overview")["spaces"]
        assert row["state"] == "unknown"
        assert "apps" not in row
        data = ui.data(f"space?name={world.well}")
        assert data["apps"] == []
        assert data["apps_hidden"]["state"] == "unknown"
        assert ui.stop() == 0


def test_one_set_of_watches_for_all_tabs(operator: Ui, control_plane: ControlPlane, world: World) -> None:
    """Data of every page, again and again: while nothing changes only what is not watched is requested."""

    def watches() -> int:
        counts = control_plane.request_counts()
        return sum(count for key, count in counts.items() if key.verb == "WATCH")

    for page in ("overview", "graph", "certificates"):
        operator.data(page)
    before = watches()
    for _ in range(20):
        for page in ("overview", "graph", "certificates"):
            operator.data(page)
    # The other programs of the control plane renew theirs now and then.
    assert watches() - before < 10


def test_others_on_this_machine_and_on_the_web_are_refused(operator: Ui) -> None:
    assert operator.request("/api/overview", token=None)[0] == 401
    assert operator.request("/api/overview", token="x" * 43)[0] == 401
    assert operator.request("/api/overview", {"Host": "rebound.example"})[0] == 403
    assert operator.request("/api/overview", {"Origin": "http://rebound.example"})[0] == 403
    assert operator.request("/api/overview", method="POST")[0] == 405


def test_a_cluster_without_decco_and_one_that_is_not_there(control_plane: ControlPlane, tmp_path: Any) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(control_plane.kubeconfig.read_text().replace(str(control_plane.url), "https://127.0.0.1:1"))
    with pytest.raises(AssertionError, match="DECCO-"), serving(control_plane, kubeconfig=nowhere):
        pass
