"""A benchmark counts only if every contender wrote the same objects; so what compares them must be able to fail."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.load import Load
from bench.peers.recipe import Recipe
from bench.same import NotTheSame, compare, statuses
from testbed.controlplane import ControlPlane

SPACE = {"kind": "Space", "metadata": {"name": "acme", "uid": "u-space", "resourceVersion": "5"}, "spec": {}}
APP = {"kind": "App", "metadata": {"name": "web", "namespace": "acme", "uid": "u-app", "resourceVersion": "7"}}
NAMESPACE = {"kind": "Namespace", "metadata": {"name": "acme", "uid": "u-namespace"}}
STATUS = {"observedGeneration": 1, "conditions": [{"type": "Ready", "lastTransitionTime": "2026-11-30T10:00:00Z"}]}


def meta(name: str, owner: str, **more: Any) -> dict[str, Any]:
    owners = [{"kind": "App" if "app" in owner else "Space", "name": "x", "uid": owner}]
    return {"name": name, "ownerReferences": owners, "annotations": {"decco.platform9.com/hash": "1"}, **more}


def body(obj: dict[str, Any]) -> str:
    return json.dumps(obj)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    namespace = {"metadata": meta("spacetoken", "own-uid-token", labels={"project": "projecttoken"})}
    policy = {"metadata": meta("decco", "namespace-uid-token", namespace="spacetoken"), "spec": {"a": 1}}
    service = {
        "metadata": meta("apptoken", "own-uid-token app", namespace="spacetoken"),
        "spec": {"ports": [{"port": 80}]},
    }
    service["metadata"]["ownerReferences"][0]["uid"] = "own-uid-token"
    lines = {
        "Space": [
            ["PUT", "/api/v1/namespaces/spacetoken?fieldManager=decco", body(namespace)],
            ["POST", "/apis/networking.k8s.io/v1/namespaces/spacetoken/networkpolicies", body(policy)],
            ["PUT", "/x/status", body({"status": STATUS})],
        ],
        "App": [
            ["POST", "/api/v1/namespaces/spacetoken/services", body(service)],
            ["PUT", "/x/status", body({"status": STATUS})],
        ],
        "projects": {"acme": "red"},
    }
    file = tmp_path / "recipe"
    file.write_text(json.dumps(lines))
    return Recipe(file)


class Server:
    """Answers with these objects."""

    def __init__(self) -> None:
        later = {
            "observedGeneration": 1,
            "conditions": [{"type": "Ready", "lastTransitionTime": "2027-01-01T00:00:00Z"}],
        }
        server = {"uid": "other", "resourceVersion": "99", "managedFields": [], "creationTimestamp": "x"}
        service = {"metadata": {**meta("web", "u-app", namespace="acme"), **server}}
        service["spec"] = {"ports": [{"port": 80, "protocol": "TCP"}], "clusterIP": "10.0.0.1"}
        service["metadata"]["annotations"] = {"decco.platform9.com/hash": "2"}
        self.items: dict[str, list[Any]] = {
            "/api/v1/namespaces": [{"metadata": {**meta("acme", "u-space", labels={"project": "red"}), **server}}],
            "/apis/networking.k8s.io/v1/networkpolicies": [
                {"metadata": {**meta("decco", "u-namespace", namespace="acme"), **server}, "spec": {"a": 1}}
            ],
            "/api/v1/services": [service],
            "/apis/decco.platform9.com/v1beta2/spaces": [{**SPACE, "status": later}],
            "/apis/decco.platform9.com/v1beta2/apps": [{**APP, "status": later}],
        }

    def request(self, method: str, path: str, seconds: float) -> Any:
        return SimpleNamespace(json=lambda: {"items": self.items[path.partition("?")[0]]})

    def compared(self, recipe: Recipe) -> str:
        load = SimpleNamespace(spaces=[SPACE], apps=[APP], namespaces=[NAMESPACE])
        return compare(cast("ControlPlane", self), recipe, cast("Load", load))


def test_the_same_objects_have_one_digest_whatever_their_uids_times_and_addresses(recipe: Recipe) -> None:
    server = Server()
    before = server.compared(recipe)
    server.items["/api/v1/services"][0]["spec"]["clusterIP"] = "10.0.0.2"
    assert server.compared(recipe) == before


def test_what_the_server_or_a_contender_adds_is_in_the_digest(recipe: Recipe) -> None:
    server = Server()
    before = server.compared(recipe)
    server.items["/api/v1/services"][0]["metadata"]["labels"] = {"more": "yes"}
    assert server.compared(recipe) != before


@pytest.mark.parametrize(
    ("sabotage", "message"),
    [
        (lambda items: items["/api/v1/services"].clear(), "missing: /api/v1/services acme web"),
        (
            lambda items: items["/api/v1/services"].append(
                {"metadata": meta("more", "u-app", namespace="acme"), "spec": {}}
            ),
            "not in the recipe: /api/v1/services acme more",
        ),
        (
            lambda items: items["/api/v1/services"][0]["spec"]["ports"][0].update(port=81),
            r"ports\[0\].port is 81, not 80",
        ),
        (
            lambda items: items["/api/v1/services"][0]["metadata"]["ownerReferences"][0].update(uid="u-space"),
            "ownerReferences",
        ),
        (
            lambda items: items["/apis/networking.k8s.io/v1/networkpolicies"][0]["metadata"]["ownerReferences"][
                0
            ].update(uid="foreign"),
            "unknown foreign",
        ),
        (
            lambda items: items["/apis/decco.platform9.com/v1beta2/apps"][0].update(status={"observedGeneration": -1}),
            "status of web",
        ),
        (lambda items: items["/apis/decco.platform9.com/v1beta2/spaces"].clear(), "no status: u-space"),
    ],
)
def test_other_work_is_found(recipe: Recipe, sabotage: Any, message: str) -> None:
    server = Server()
    sabotage(server.items)
    with pytest.raises(NotTheSame, match=message):
        server.compared(recipe)


def test_an_intermediate_status_is_not_the_desired_one(recipe: Recipe) -> None:
    load = cast("Load", SimpleNamespace(spaces=[SPACE], apps=[APP]))
    assert b'"type":"Ready"' in statuses(recipe, load)["u-app"]
    assert b"2026-11-30" not in statuses(recipe, load)["u-app"]
