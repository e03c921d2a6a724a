"""``placement`` with two clusters that have one zone of BIND: the same files run where they should.

Pods are ready by hand, as by a kubelet; ``dns.ttl`` is a second.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from tests.integration.by_hand import run_pods
from tests.integration.harness import APIS, Obj, app, eventually
from tests.integration.two_clusters import EAST, SECONDS, WEST, ZONE, Member, World, two_clusters

MISSING = Bind.missing()

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}")


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = {"dns__ttl": "2", "dns__federation__withdraw_seconds": "2"}
    with two_clusters(control_plane, tmp_path_factory.mktemp("placement"), **settings) as found:
        yield found


def placement(*clusters: str) -> Obj:
    """ "east" is Active, "east-" stands by."""
    return {
        "clusters": [
            {"id": each.rstrip("-"), "role": "Standby" if each.endswith("-") else "Active"} for each in clusters
        ]
    }


def place(world: World, name: str, *clusters: str) -> None:
    for member in (world.east, world.west):
        member.cluster.patch(
            f"{APIS}/spaces/{name}", {"spec": {"placement": placement(*clusters) if clusters else None}}
        )


def replicas(member: Member, name: str, app: str = "db") -> int:
    return int((member.cluster.deployment(name, app) or {"spec": {"replicas": -1}})["spec"]["replicas"])


def reason(member: Member, name: str, kind: str = "Ready") -> tuple[str, str]:
    found = member.cluster.condition(member.cluster.space(name), kind) or {}
    return str(found.get("status")), str(found.get("reason"))


def app_reason(member: Member, name: str, kind: str = "Ready") -> tuple[str, str]:
    found = member.cluster.condition(member.cluster.app(name, "db"), kind) or {}
    return str(found.get("status")), str(found.get("reason"))


def becomes(what: object, value: object) -> None:
    assert callable(what)
    eventually(lambda: what() == value, SECONDS, f"{value}, not {what()}")


def test_a_space_runs_where_it_is_placed_and_moves_before_it_leaves(world: World, name: str) -> None:
    east, west = world.east, world.west
    for member in (east, west):
        member.apply(name, placement=placement("east"))
    run_pods(east.cluster, name, "db")
    world.becomes(name, EAST)
    becomes(lambda: replicas(west, name), 0)
    becomes(lambda: reason(west, name, "DNSReady"), ("None", "None"))
    becomes(lambda: app_reason(west, name, "WorkloadReady"), ("True", "NotPlaced"))
    found = west.cluster.condition(west.cluster.space(name), "Ready") or {}
    assert (found["status"] == "True") is (found["reason"] == "NotPlaced")
    assert west.cluster.space(name)["metadata"].get("finalizers") is None  # type: ignore[index]

    # No cluster serves it yet: east keeps its pods and its names.
    place(world, name, "west")
    becomes(lambda: app_reason(east, name, "WorkloadReady"), ("False", "WaitingForCluster"))
    becomes(lambda: reason(east, name, "DNSReady"), ("False", "WaitingForCluster"))
    becomes(lambda: replicas(west, name), 1)
    east.decco.settle(quiet=3.0)
    assert world.addresses(f"{name}.{ZONE}") == {EAST}, "west joins when its pods are ready"
    assert replicas(east, name) == 1
    run_pods(west.cluster, name, "db")
    world.becomes(name, WEST)
    becomes(lambda: replicas(east, name), 0)
    becomes(lambda: app_reason(east, name, "WorkloadReady"), ("True", "NotPlaced"))
    eventually(lambda: not (east.cluster.space(name) or {})["metadata"].get("finalizers"), SECONDS)

    # Steady state.
    for member in (east, west):
        member.decco.settle()
    marks = [member.cluster.cp.audit_mark() for member in (east, west)]
    log = len(world.server.log)
    for member in (east, west):
        member.decco.settle(quiet=3.0)
    for member, mark in zip((east, west), marks, strict=True):
        # The control plane is that of other tests too, whose objects may be on their way out.
        written = member.cluster.cp.audit("decco", since=mark, writes=True)
        assert [event for event in written if name in (event.namespace, event.name)] == []
    assert "updat" not in world.server.log[log:], "settled clusters change nothing"

    # Off: both run it, as without the field.
    place(world, name)
    becomes(lambda: replicas(east, name), 1)
    world.becomes(name, EAST, WEST)


def test_a_cluster_that_stands_by_takes_over_and_gives_back(world: World, name: str) -> None:
    east, west = world.east, world.west
    for member in (east, west):
        member.apply(name, placement=placement("east", "west-"))
        run_pods(member.cluster, name, "db")
    world.becomes(name, EAST)
    becomes(lambda: reason(west, name, "DNSReady"), ("True", "Standby"))
    becomes(lambda: app_reason(west, name, "DNSReady"), ("True", "Standby"))
    east.cluster.delete(f"{APIS}/spaces/{name}")
    world.becomes(name, WEST)
    becomes(lambda: reason(west, name, "DNSReady"), ("True", "TookOver"))
    eventually(lambda: east.cluster.get(f"/api/v1/namespaces/{name}-none") is None)
    other = f"{name}-2"
    west.apply(other, placement=placement("east", "west-"))
    run_pods(west.cluster, other, "db")
    world.becomes(other, WEST)  # nobody else is there
    east.apply(other, placement=placement("east", "west-"))
    run_pods(east.cluster, other, "db")
    world.becomes(other, EAST)


def test_an_app_narrows_the_placement_of_its_space(world: World, name: str) -> None:
    east, west = world.east, world.west
    for member in (east, west):
        member.apply(name, placement=placement("east", "west"))
        run_pods(member.cluster, name, "db")
    world.becomes(name, EAST, WEST)
    for member in (east, west):
        member.cluster.patch(f"{APIS}/namespaces/{name}/apps/db", {"spec": {"placement": placement("west", "north")}})
    eventually(lambda: world.addresses(f"db.{name}.{ZONE}") == {WEST}, SECONDS)
    becomes(lambda: replicas(east, name), 0)
    assert world.addresses(f"{name}.{ZONE}") == {EAST, WEST}
    for member in (east, west):
        member.cluster.create(app(name, "wide", placement=placement("north")))
        becomes(lambda member=member: replicas(member, name, "wide"), 0)
