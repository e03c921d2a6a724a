"""What ``decco doctor`` reports of zones."""

from __future__ import annotations

from typing import Any

import pytest

from decco.api.topology import TrafficDistribution
from decco.objects import APPS, LABEL_APP, Obj, Resource
from decco.views.preflight.model import NODES
from decco.views.preflight.zones import PODS, SINCE, ZONE, zones
from tests.unit.views.test_preflight import context, live_space, named, results

REQUIRE = {"zoneSpread": "Require"}


def node(name: str, zone: str | None = "a", *, ready: str = "True", **spec: Any) -> tuple[Resource, Obj]:
    meta = {"labels": {ZONE: zone} if zone else {}}
    return NODES, named(name, meta=meta, spec=spec, status={"conditions": [{"type": "Ready", "status": ready}]})


def app(name: str = "web", **pod: Any) -> tuple[Resource, Obj]:
    return APPS, named(name, "acme", spec={"pod": {"containers": [], **pod}})


def pod(name: str, on: str, *, ready: str = "True", of: str = "web", **spec: Any) -> tuple[Resource, Obj]:
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return PODS, named(name, "acme", meta={"labels": {LABEL_APP: of}}, spec={"nodeName": on, **spec}, status=status)


async def said(*objects: tuple[Resource, Obj], version: str = "1.37", **topology: str) -> list[tuple[str, str]]:
    found = await results(zones, context(live_space(topology=topology), *objects, version=version))
    return [(each.about, each.name) for each in found]


A, B = node("a-0", "a"), node("b-0", "b")


async def test_nothing_is_read_where_nobody_asks() -> None:
    assert await said(A, app()) == []
    assert await said(A, app(), zoneSpread="Off", nodeTaintsPolicy="Honor") == []


@pytest.mark.parametrize(
    ("nodes", "want"),
    [
        ([A, B], [""]),
        ([node("x", None)], ["zones-missing"]),
        ([], ["zones-missing"]),
        ([A, B, node("x", None)], ["zones-unlabelled", ""]),
        ([A], ["zones-few"]),
        ([A, node("b-0", "b", ready="Unknown")], ["zone-lost"]),
        ([A, node("b-0", "b", unschedulable=True, taints=[{"effect": "NoSchedule"}])], ["zone-lost"]),
        ([A, node("b-0", "b", taints=[{"effect": "PreferNoSchedule"}])], [""]),
        ([node("a-0", "a", ready="False")], ["zones-few"]),
    ],
    ids=["two", "no label", "no node", "some without", "one", "lost", "cordoned", "reluctant", "none ready"],
)
async def test_nodes(nodes: list[tuple[Resource, Obj]], want: list[str]) -> None:
    assert [name for _, name in await said(*nodes, **REQUIRE)] == want


async def test_without_require_no_label_is_no_failure() -> None:
    assert await said(node("x", None), zoneSpread="Prefer") == [("zones", "zones-few")]


@pytest.mark.parametrize("taints", ["Honor", "Ignore"])
async def test_who_waits_for_a_lost_zone(taints: str) -> None:
    given = context(live_space(topology={**REQUIRE, "nodeTaintsPolicy": taints}), A, node("b", "b", ready="Unknown"))
    [found] = await results(zones, given)
    assert ("stay pending" in found.text) == (taints == "Ignore")


@pytest.mark.parametrize(
    ("pods", "want"),
    [
        ([pod("1", "a-0"), pod("2", "a-0")], ["zone-crowded"]),
        ([pod("1", "a-0"), pod("2", "b-0")], [""]),
        ([pod("1", "a-0")], []),
        ([pod("1", "a-0"), pod("2", "a-0", ready="False")], []),
        ([pod("1", "a-0"), pod("2", "a-0", of="other")], []),
        ([pod("1", "a-0", nodeSelector={ZONE: "a"}), pod("2", "a-0", nodeSelector={ZONE: "a"})], []),
        ([pod("1", "gone"), pod("2", "gone")], []),
    ],
    ids=["crowded", "spread", "one", "one ready", "others", "chosen", "nodes unknown"],
)
async def test_pods(pods: list[tuple[Resource, Obj]], want: list[str]) -> None:
    found = [name for about, name in await said(A, B, app(), *pods, **REQUIRE) if about != "zones"]
    assert found == (want or ([""] if found else []))


async def test_a_constraint_of_the_app_s_own_asks_too() -> None:
    pods = pod("1", "a-0"), pod("2", "a-0")
    own = app(topologySpreadConstraints=[{"topologyKey": ZONE, "maxSkew": 1}])
    assert ("app acme/web", "zone-crowded") in await said(A, B, own, *pods)
    assert await said(A, B, app(), *pods) == []


@pytest.mark.parametrize("value", list(TrafficDistribution))
async def test_values_of_traffic_distribution(value: TrafficDistribution) -> None:
    about = f"trafficDistribution {value}"
    assert await said(trafficDistribution=value, version="1.34") == [(about, "")]
    older = "traffic-distribution-not-served" if value in SINCE else ""
    assert await said(trafficDistribution=value, version="1.33") == [(about, older)]
