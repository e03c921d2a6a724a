"""``topology`` of a Space in the objects of its Apps."""

from __future__ import annotations

from typing import Any

import pytest

from decco.api.topology import Topology
from decco.desired.app import app_children
from decco.desired.topology import topology_text
from decco.objects import SERVICES, Obj
from tests.unit.desired.app_cases import POD, app, objs, pod_of
from tests.unit.goldens import check_golden

ENDPOINTS = [
    {"name": "web", "port": 8080, "httpPath": "/"},
    {"name": "db", "port": 5432, "createClearTextService": True},
    {"name": "metrics", "port": 9090, "isMetricsEndpoint": True},
]


def topology(**fields: str) -> dict[str, Any]:
    return {"topology": fields}


def services(space: dict[str, Any], spec: dict[str, Any] | None = None) -> dict[str, Obj]:
    children = app_children(app(spec or {"endpoints": ENDPOINTS}, space=space)).children
    return {each.obj["metadata"]["name"]: each.obj["spec"] for each in children if each.resource == SERVICES}


def test_golden() -> None:
    space = topology(zoneSpread="Require", nodeTaintsPolicy="Honor", trafficDistribution="PreferSameZone")
    inputs = app({"endpoints": ENDPOINTS, "statefulSet": {}, "disruptionBudget": {}}, space=space)
    check_golden("app/topology", objs(app_children(inputs)))


@pytest.mark.parametrize("value", ["PreferClose", "PreferSameZone", "PreferSameNode"])
def test_every_service_with_an_address_has_the_preference(value: str) -> None:
    chosen = services(topology(trafficDistribution=value))
    assert {name: spec.pop("trafficDistribution") for name, spec in chosen.items()} == dict.fromkeys(chosen, value)
    assert chosen == services({}), "and nothing else"
    headless = services(topology(trafficDistribution=value), {"endpoints": [], "statefulSet": {}})
    assert list(headless) == ["web-pods"]
    assert "trafficDistribution" not in headless["web-pods"]


def test_a_service_can_be_written_without_its_preference() -> None:
    children = app_children(app(space=topology(trafficDistribution="PreferSameNode"))).children
    (chosen,) = (each for each in children if each.resource == SERVICES)
    (plain,) = (each for each in app_children(app()).children if each.resource == SERVICES)
    assert chosen.without == ("spec.trafficDistribution", plain.obj)
    assert plain.without is None
    assert all(each.without is None for each in children if each.resource != SERVICES)


@pytest.mark.parametrize("spread", ["Prefer", "Require"])
@pytest.mark.parametrize("taints", ["Honor", "Ignore"])
def test_taints_count_as_the_space_has_it(spread: str, taints: str) -> None:
    (constraint,) = pod_of(app(space=topology(zoneSpread=spread, nodeTaintsPolicy=taints)))["topologySpreadConstraints"]
    (plain,) = pod_of(app(space=topology(zoneSpread=spread)))["topologySpreadConstraints"]
    assert constraint == {**plain, "nodeTaintsPolicy": taints}
    assert "nodeTaintsPolicy" not in plain


def test_the_policy_of_taints_alone_adds_nothing() -> None:
    assert "topologySpreadConstraints" not in pod_of(app(space=topology(nodeTaintsPolicy="Honor")))
    own = [{"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}]
    spec = {"pod": {**POD, "topologySpreadConstraints": own}}
    kept = pod_of(app(spec, space=topology(zoneSpread="Require", nodeTaintsPolicy="Honor")))
    assert kept["topologySpreadConstraints"] == own


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"nodeTaintsPolicy": "Honor"}, ""),
        ({"zoneSpread": "Prefer"}, "pods of each App are spread over zones where possible"),
        (
            {"zoneSpread": "Require", "nodeTaintsPolicy": "Honor", "trafficDistribution": "PreferClose"},
            (
                "pods of each App are spread over zones; a pod stays pending rather than crowd one; nodeTaintsPolicy "
                "Honor; Services have trafficDistribution PreferClose"
            ),
        ),
    ],
)
def test_text(fields: dict[str, str], text: str) -> None:
    assert topology_text(Topology.model_validate(fields)) == text
