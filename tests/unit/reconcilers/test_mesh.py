"""Who is in a mesh, from the caches; and which Apps are reconciled when that changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from decco.desired.grants import Grant, record_text
from decco.desired.mesh_state import NO_MESH, MeshPhase, MeshView
from decco.desired.model import SpaceFacts
from decco.kube.store import Change, subscribed
from decco.objects import NAMESPACES, NETWORK_POLICIES, Key, Obj, key_of
from decco.reconcilers.caches import Caches
from decco.reconcilers.handlers.app import app_changed
from decco.reconcilers.handlers.mesh import client_changed, member_changed, policy_changed, project_changed
from decco.reconcilers.handlers.space import space_changed
from decco.reconcilers.kinds import ALL_SERVED
from decco.reconcilers.mesh import app_mesh, space_mesh
from tests.unit.reconcilers.world import app, make_caches, owned, space, stored

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
STRICT = {"decco.platform9.com/mesh": "Istio/Strict@2026-11-30T11:00:00Z"}
PASSING = {"decco.platform9.com/mesh": "Istio/Passing@2026-11-30T11:59:30Z"}
AMBIENT = {"istio.io/dataplane-mode": "ambient"}
MONITORING = {"decco.platform9.com/monitoring": "true"}


class World:
    """Spaces ``name: (project, annotations of its namespace)``; None for a Space whose namespace is another's."""

    def __init__(self, spaces: dict[str, tuple[str | None, dict[str, str] | None]], **settings: Any) -> None:
        self.caches: Caches = make_caches(served=ALL_SERVED, **settings)
        for name, (project, noted) in spaces.items():
            mesh = "Istio" if noted else "None"
            made = space(name, mesh=mesh, **({"project": project} if project else {}))
            self.put(made)
            if noted is None:
                self.put(stored(NAMESPACES, name, ""))
            else:
                self.put(owned(NAMESPACES, name, made, meta={"annotations": noted}))
            self.put(app("web", name, {"name": f"e-{name}", "httpPath": "/"}))

    def put(self, obj: Obj, store: Any = None) -> Change:
        kinds = {"Space": self.caches.spaces, "App": self.caches.apps, "Namespace": self.caches.children[NAMESPACES]}
        target = store if store is not None else kinds[obj["kind"]]
        seen: list[Change] = []
        with subscribed(seen.append, target):
            target.put(obj, own=False)
        if obj["kind"] == "Space":
            list(space_changed(self.caches, seen[-1]))
        return seen[-1]

    def facts(self, name: str) -> SpaceFacts:
        found = self.caches.space(name)
        assert found is not None
        return found[1]

    def client(self, kind: str, name: str, **labels: str) -> Change:
        return self.put(stored(NAMESPACES, name, "", meta={"labels": labels}), self.caches.stores[kind])


PROJECT: dict[str, tuple[str | None, dict[str, str] | None]] = {
    "a": ("p", STRICT),
    "b": ("p", STRICT),
    "c": ("p", PASSING),
    "d": ("p", {}),
    "foreign": ("p", None),
    "other": ("q", STRICT),
    "open": (None, STRICT),
}


def test_the_clients_of_a_space_are_the_namespaces_of_its_project() -> None:
    world = World(PROJECT, edge={"namespace": "edge"})
    world.client("namespaces(client)", "prometheus", **MONITORING, **AMBIENT)
    world.client("namespaces(client)", "grafana", **MONITORING)
    assert app_mesh(world.caches, world.facts("a")) == MeshView(
        "Istio",
        MeshPhase.STRICT,
        clients=("b", "c", "d", "edge"),
        clients_outside=("c", "d", "edge"),
        monitors=("grafana", "prometheus"),
        monitors_outside=("grafana",),
    )
    world.client("namespaces(edge)", "edge", **AMBIENT)
    assert app_mesh(world.caches, world.facts("a")).clients_outside == ("c", "d")
    assert app_mesh(world.caches, world.facts("open")).clients == ()
    assert app_mesh(world.caches, world.facts("d")) == NO_MESH


def noted(name: str, mesh: str = "Istio/Strict@2026-11-30T11:00:00Z") -> dict[str, str]:
    """Of a namespace whose Space has been granted its FQDN."""
    record = record_text({f".{name}.example.net": Grant("2026-01-01T00:00:00Z", 1)})
    return {"decco.platform9.com/hostnames": record, "decco.platform9.com/mesh": mesh}


@pytest.mark.parametrize(
    ("client", "found"),
    [
        ("batch.b.example.net", "b/batch"),
        ("batch.ungranted.example.net", ""),  # the name is not the Space's
        ("batch.other.example.net", ""),  # of another project
        ("batch.b.example.org", ""),  # a certificate for it may be anybody's
        ("x.batch.b.example.net", ""),
        ("b.example.net", ""),
        ("batch.foreign.example.net", ""),  # the namespace is another's
        ("example.net", ""),
        ("batch", ""),
    ],
)
def test_a_name_below_the_fqdn_of_a_space_is_its_service_account(client: str, found: str) -> None:
    world = World({**PROJECT, "b": ("p", noted("b")), "other": ("q", noted("other")), "ungranted": ("p", STRICT)})
    for name in ("b", "other"):
        record = world.caches.children[NAMESPACES].get(Key("", name))
        assert record is not None
        world.caches.claims.record(name, record.facts)
    accounts = app_mesh(world.caches, world.facts("a"), {client}).accounts
    assert [f"{each.namespace}/{each.name}" for each in accounts] == ([found] if found else [])


def test_a_space_whose_service_accounts_are_permitted_elsewhere() -> None:
    """Also where no project connects the two."""
    world = World({"open": (None, STRICT), "b": ("p", STRICT)})
    endpoint = {"name": "db", "createClearTextService": True, "allowedClients": ["batch.b.example.net"]}
    change = world.put(app("db", "open", endpoint))
    list(app_changed(world.caches, change))
    owner = world.caches.spaces.get(Key("", "b"))
    assert owner is not None
    change = world.put(owned(NAMESPACES, "b", owner.obj(), meta={"annotations": noted("b")}))
    assert {str(each.key) for each in member_changed(world.caches, change)} == {"open/db"}
    same = world.put(owned(NAMESPACES, "b", owner.obj(), meta={"annotations": noted("b")}))
    assert not list(member_changed(world.caches, same))
    change = world.put(space("b", mesh="Istio"))
    assert {str(each.key) for each in project_changed(world.caches, change)} == {"open/db"}
    list(app_changed(world.caches, world.put(app("db", "open"))))
    change = world.put(space("b", mesh="Istio", project="q"))
    assert not list(project_changed(world.caches, change))


def test_without_the_kinds_there_is_no_mesh_and_discovery_is_due() -> None:
    world = World(PROJECT)
    world.caches.served = {}
    found = space_mesh(world.caches, world.facts("a"), NOW)
    assert (found.view, found.record is not None, world.caches.search.is_set()) == (NO_MESH, True, True)
    assert app_mesh(world.caches, world.facts("a")) == NO_MESH
    assert {kind.kind for kind in world.caches.sought} == {"AuthorizationPolicy", "PeerAuthentication"}


def test_the_kinds_are_not_sought_where_no_space_has_a_mesh() -> None:
    world = World({"d": ("p", {})})
    world.caches.served = {}
    assert not world.caches.sought


@pytest.mark.parametrize(
    ("name", "annotations", "apps"),
    [
        ("c", STRICT, {"a/web", "b/web"}),
        ("d", STRICT, {"a/web", "b/web", "c/web"}),
        ("other", {}, set()),
        ("open", {}, set()),
        ("b", STRICT, set()),
    ],
)
def test_a_namespace_with_another_phase(name: str, annotations: dict[str, str], apps: set[str]) -> None:
    world = World(PROJECT)
    owner = world.caches.spaces.get(Key("", name))
    assert owner is not None
    change = world.put(owned(NAMESPACES, name, owner.obj(), meta={"annotations": annotations}))
    assert {str(each.key) for each in member_changed(world.caches, change)} == apps


def test_a_space_with_another_project() -> None:
    world = World(PROJECT)
    change = world.put(space("other", mesh="Istio", project="p"))
    assert {str(each.key) for each in project_changed(world.caches, change)} == {"a/web", "b/web", "c/web"}
    same = world.put(space("other", mesh="Istio", project="p"))
    assert not list(project_changed(world.caches, same))


def test_a_policy_of_a_space_that_waits_for_it() -> None:
    prepared = {"decco.platform9.com/mesh": "Istio/Prepared@2026-11-30T11:59:30Z"}
    world = World({**PROJECT, "late": (None, prepared)})
    for name, spaces in (("late", {"late"}), ("a", set()), ("d", set())):
        policy = stored(NETWORK_POLICIES, "app-web", name, spec={})
        change = world.put(policy, world.caches.children[NETWORK_POLICIES])
        assert {str(each.key) for each in policy_changed(world.caches, change)} == spaces


def test_a_namespace_of_the_edge_that_enters_the_mesh() -> None:
    world = World(PROJECT, edge={"namespace": "edge"})
    world.client("namespaces(edge)", "edge")
    assert space_mesh(world.caches, world.facts("a"), NOW).view.clients_outside == ("edge",)
    change = world.client("namespaces(edge)", "edge", **AMBIENT)
    found = {str(each.key) for each in client_changed(world.caches, change)}
    spaces = {"a", "b", "c", "other", "open"}
    assert found == spaces | {f"{name}/web" for name in spaces}
    assert space_mesh(world.caches, world.facts("a"), NOW).view.clients_outside == ()
    assert key_of(change.entry.obj()).name == "edge"
    assert not list(client_changed(world.caches, world.client("namespaces(edge)", "edge", **AMBIENT, more="x")))
