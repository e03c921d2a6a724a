"""A zone lost and back, and nodes that are drained: by Kubernetes' own node lifecycle, scheduler and eviction API."""

from __future__ import annotations

import pytest

from testbed.controlplane import ControlPlane
from testbed.kwok import FakeNodes
from tests.integration.harness import APIS, Cluster, Decco, eventually
from tests.zones.conftest import ZONES
from tests.zones.world import (
    cordon,
    evict,
    make_apps,
    node_ready,
    pending,
    pods,
    set_topology,
    spread,
    wait_ready,
    zone_of,
)

pytestmark = pytest.mark.full
LOST, OTHERS = "b", ("a", "c")
LONG = 180.0


def test_a_zone_lost_and_back(
    cluster: Cluster, control_plane: ControlPlane, decco: Decco, nodes: FakeNodes, name: str
) -> None:
    """20 Apps: with nodeTaintsPolicy Honor, Prefer and no rule they are complete again without the zone; with Require
    alone the pods of the lost zone wait for it. Whatever is in the other zones keeps running.
    """
    kinds = {
        "prefer": {"zoneSpread": "Prefer"},
        "honor": {"zoneSpread": "Require", "nodeTaintsPolicy": "Honor"},
        "wait": {"zoneSpread": "Require"},
    }
    apps = {}
    for kind, topology in kinds.items():
        space = f"{name}-{kind}"
        cluster.make_space(space, topology=topology)
        apps[space] = make_apps(cluster, space, 7 if kind != "wait" else 6, 3, disruptionBudget={})
        for each in apps[space]:
            eventually(lambda space=space, each=each: dict(spread(cluster, space, each)) == dict.fromkeys(ZONES, 1))
    assert sum(map(len, apps.values())) == 20
    decco.settle()
    elsewhere = {each["metadata"]["uid"] for space in apps for each in pods(cluster, space) if zone_of(each) in OTHERS}
    mark = control_plane.audit_mark()

    nodes.lose(LOST)
    try:
        for node in nodes.names(LOST):
            eventually(lambda node=node: node_ready(cluster, node) == "Unknown", LONG, f"{node} is lost")
        for space in (f"{name}-prefer", f"{name}-honor"):
            for each in apps[space]:
                eventually(
                    lambda space=space, each=each: sum(spread(cluster, space, each)[zone] for zone in OTHERS) == 3,
                    LONG,
                    f"{space}/{each} is complete without zone {LOST}",
                )
        waiting = f"{name}-wait"
        for each in apps[waiting]:
            eventually(lambda each=each: pending(cluster, waiting, each) == 1, LONG, f"{each} waits")
            assert {zone: spread(cluster, waiting, each)[zone] for zone in OTHERS} == dict.fromkeys(OTHERS, 1)
        decco.settle()
    finally:
        nodes.restore(LOST)

    for node in nodes.names(LOST):
        eventually(lambda node=node: node_ready(cluster, node) == "True", LONG, f"{node} is back")
    for each in apps[waiting]:
        eventually(lambda each=each: dict(spread(cluster, waiting, each)) == dict.fromkeys(ZONES, 1), LONG, each)
    for space in apps:
        for each in apps[space]:
            eventually(lambda space=space, each=each: sum(spread(cluster, space, each).values()) == 3, LONG)
    now = {each["metadata"]["uid"] for space in apps for each in pods(cluster, space)}
    assert elsewhere <= now, "no pod of the other zones was stopped, neither by the loss nor by the return"
    decco.settle()
    own = [event for event in control_plane.audit("decco", since=mark, writes=True) if not event.subresource]
    assert [f"{event.verb} {event.resource}" for event in own if event.resource != "events"] == [], (
        "decco changes nothing because of a zone"
    )

    # Kubernetes moves nothing back; a restart of the pods spreads them again.
    [first, *_] = apps[f"{name}-honor"]
    assert LOST not in spread(cluster, f"{name}-honor", first)
    control_plane.kubectl("rollout", "restart", "--namespace", f"{name}-honor", f"deployment/{first}")
    eventually(lambda: dict(spread(cluster, f"{name}-honor", first)) == dict.fromkeys(ZONES, 1), LONG)
    for space in apps:
        cluster.delete(f"{APIS}/spaces/{space}")


def test_a_drain_respects_the_budget(
    cluster: Cluster, control_plane: ControlPlane, decco: Decco, nodes: FakeNodes, name: str
) -> None:
    """While the replacement of an evicted pod has no node, no further pod of the App is evicted."""
    cluster.make_space(name, topology={"zoneSpread": "Require", "nodeTaintsPolicy": "Honor"})
    [web] = make_apps(cluster, name, 1, 6, disruptionBudget={})
    budget = f"/apis/policy/v1/namespaces/{name}/poddisruptionbudgets/{web}"
    eventually(lambda: (cluster.get(budget) or {})["status"]["disruptionsAllowed"] == 1)
    every = [node for zone in ZONES for node in nodes.names(zone)]
    running = pods(cluster, name, web)
    try:
        for node in every:
            cordon(cluster, node, closed=True)
        assert evict(control_plane, running[0])[0] == 201
        eventually(lambda: pending(cluster, name, web) == 1)
        for each in running[1:]:
            status, message = evict(control_plane, each)
            assert status == 429
            assert "violate the pod's disruption budget" in message
        assert sum(spread(cluster, name, web).values()) == 5
        for node in every:
            if not node.startswith("a-"):
                cordon(cluster, node, closed=False)
        wait_ready(cluster, name, [web], 6)
        # The whole zone, by kubectl: it tries each pod again until its budget permits it.
        control_plane.kubectl("drain", "--timeout=170s", *nodes.names("a"), seconds=LONG)
        assert "a" not in spread(cluster, name, web)
        wait_ready(cluster, name, [web], 6)
        assert set(spread(cluster, name, web)) == {"b", "c"}
    finally:
        for node in every:
            cordon(cluster, node, closed=False)
    decco.settle()


def test_a_drained_zone_without_honor_stops_at_the_budget(
    cluster: Cluster, control_plane: ControlPlane, decco: Decco, nodes: FakeNodes, name: str
) -> None:
    """The cordoned zone counts, so that the evicted pod stays pending, and the budget keeps the second one. Honor ends
    that, on the running App.
    """
    cluster.make_space(name, topology={"zoneSpread": "Require"})
    [web] = make_apps(cluster, name, 1, 6, disruptionBudget={})
    eventually(lambda: dict(spread(cluster, name, web)) == dict.fromkeys(ZONES, 2))
    try:
        for node in nodes.names(LOST):
            cordon(cluster, node, closed=True)
        first, second = (each for each in pods(cluster, name, web) if zone_of(each) == LOST)
        eventually(lambda: evict(control_plane, first)[0] == 201)
        eventually(lambda: pending(cluster, name, web) == 1)
        assert evict(control_plane, second)[0] == 429
        set_topology(cluster, name, nodeTaintsPolicy="Honor")
        eventually(lambda: LOST not in spread(cluster, name, web) and not pending(cluster, name, web), LONG)
        wait_ready(cluster, name, [web], 6)
    finally:
        for node in nodes.names(LOST):
            cordon(cluster, node, closed=False)
    decco.settle()
