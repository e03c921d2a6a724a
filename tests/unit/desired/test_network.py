from __future__ import annotations

from dataclasses import replace

import pytest

from decco.api.types import SpaceSpec
from decco.desired.endpoints import EndpointKind, ResolvedApp, ResolvedEndpoint
from decco.desired.model import Child, SpaceFacts
from decco.desired.network import app_policy, space_policy
from decco.settings import EdgeSettings, Settings
from tests.unit.desired.app_cases import app
from tests.unit.goldens import check_golden


def endpoint(port: int, kind: EndpointKind = EndpointKind.TCP) -> ResolvedEndpoint:
    return ResolvedEndpoint(f"e{port}", kind, port, port, "tls", port, clear_text_service=False)


ROUTED = (endpoint(8443), endpoint(8080, EndpointKind.HTTP))
BOTH = (*ROUTED, endpoint(9090, EndpointKind.METRICS))
EDGE = Settings(edge=EdgeSettings(namespace="edge", cidrs=("192.0.2.0/28", "2001:db8::/64")))


def space(project: str | None = None) -> SpaceFacts:
    spec = SpaceSpec(domain_name="example.com", project=project)
    return SpaceFacts(name="acme", uid="space-uid", generation=1, created="2024-01-01T00:00:00Z", spec=spec)


CASES = {
    "open": (space(), Settings(), BOTH),
    "project": (space("blue"), EDGE, BOTH),
    "project-without-edge": (space("blue"), Settings(), ROUTED),
    "monitoring-only": (space("blue"), EDGE, BOTH[-1:]),
}


def policy(facts: SpaceFacts, settings: Settings, endpoints: tuple[ResolvedEndpoint, ...]) -> Child | None:
    inputs = replace(app(), uid="app-uid", space=facts, settings=settings)
    return app_policy(inputs, ResolvedApp(endpoints))


@pytest.mark.parametrize("case", CASES)
def test_app_policy(case: str) -> None:
    facts, settings, endpoints = CASES[case]
    child = policy(facts, settings, endpoints)
    assert child is not None
    check_golden(f"space-network/{case}", [child.obj])


def test_space_policy() -> None:
    check_golden("space-network/space", [space_policy(space("blue"), "namespace-uid").obj])


def test_without_ports_the_space_policy_is_all_there_is() -> None:
    assert policy(space(), EDGE, ()) is None


def test_endpoints_may_change_places_and_meet() -> None:
    assert policy(space(), EDGE, (*reversed(BOTH), *BOTH)) == policy(space(), EDGE, BOTH)


@pytest.mark.parametrize("case", CASES)
def test_no_rule_is_open_by_accident(case: str) -> None:
    """An empty ``from`` or ``ports`` means "all" (NetworkPolicyIngressRule), and so does an empty selector."""
    facts, settings, endpoints = CASES[case]
    child = policy(facts, settings, endpoints)
    assert child is not None
    assert child.obj["spec"]["podSelector"]["matchLabels"]
    for rule in child.obj["spec"]["ingress"]:
        assert rule["ports"]
        if facts.spec.project is None and not any(each.kind is EndpointKind.METRICS for each in endpoints):
            assert "from" not in rule
        for peer in rule.get("from", ["anybody"] if facts.spec.project is None else []):
            assert peer == "anybody" or "ipBlock" in peer or peer["namespaceSelector"]["matchLabels"]
        if facts.spec.project is not None:
            assert rule["from"]
