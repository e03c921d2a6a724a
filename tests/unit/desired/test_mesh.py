"""The policies of a mesh, by golden files and tables, and the order in which a Space enters and leaves it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from decco.api.conditions import ConditionType
from decco.api.parse import parse_space
from decco.api.types import Egress
from decco.desired.app import app_children
from decco.desired.endpoints import EndpointKind, ResolvedApp, ResolvedEndpoint
from decco.desired.mesh.meshes import meshes
from decco.desired.mesh_state import (
    NO_MESH,
    POLICY_SECONDS,
    Account,
    MeshPhase,
    MeshRecord,
    MeshView,
    Switch,
    next_record,
    parse_mesh_record,
)
from decco.desired.model import AppInputs, EgressPhase, EgressTarget, SpaceFacts, SpaceInputs
from decco.desired.network import app_policy
from decco.desired.outgoing import outgoing
from decco.desired.space import space_children
from decco.desired.space_status import SpaceLive, space_status
from decco.objects import ANNOTATION_MESH, NETWORK_POLICIES, Obj
from decco.reconcilers.kinds import ALL_SERVED
from decco.settings import EdgeSettings, Settings
from tests.unit.desired.app_cases import app, claims_of
from tests.unit.goldens import check_golden

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECONDS = 60.0
ISTIO = meshes()["Istio"]
EDGE = Settings(edge=EdgeSettings(namespace="edge", cidrs=("192.0.2.0/28", "2001:db8::/64")))
POD_EDGE = Settings(edge=EdgeSettings(namespace="edge"))
STRICT = MeshView("Istio", MeshPhase.STRICT)
OFF, PREPARED, PASSING = MeshPhase.OFF, MeshPhase.PREPARED, MeshPhase.PASSING


def endpoint(port: int, kind: EndpointKind = EndpointKind.TCP) -> ResolvedEndpoint:
    return ResolvedEndpoint(f"e{port}", kind, port, port, "tls", port, clear_text_service=False)


def plain(port: int, *allowed: str, verify: bool = False) -> ResolvedEndpoint:
    """Behind TLS, with a clear text Service."""
    made = replace(endpoint(port), target_port="tls", clear_text_service=True)
    return replace(made, allowed_clients=allowed, verify_client=verify or bool(allowed))


PLAIN = (plain(6379), plain(6380, "batch.other.example.com", "x.example.org"), plain(6381, verify=True))
ACCOUNTS = (Account("batch.other.example.com", "other", "batch"), Account("web.other.example.com", "other", "web"))
ROUTED = (endpoint(8443), endpoint(8080, EndpointKind.HTTP))
METRICS = (endpoint(9090, EndpointKind.METRICS),)


def space(**spec: Any) -> SpaceFacts:
    parsed = parse_space({"metadata": {"name": "acme"}, "spec": {"domainName": "example.com", **spec}})
    return SpaceFacts(name="acme", uid="space-uid", generation=1, created="2024-01-01T00:00:00Z", spec=parsed)


def app_inputs(view: MeshView = STRICT, settings: Settings = EDGE, **spec: Any) -> AppInputs:
    facts = space(mesh="Istio", **spec)
    return replace(app(), uid="app-uid", space=facts, settings=settings, mesh=view, served=ALL_SERVED)


def space_inputs(phase: MeshPhase, mesh: str = "Istio", **more: Any) -> SpaceInputs:
    facts = space(mesh=mesh)
    record = MeshRecord("Istio", phase, NOW) if phase is not OFF else None
    view = MeshView("Istio", phase) if phase is not OFF else NO_MESH
    given: dict[str, Any] = {"served": ALL_SERVED, "settings": Settings(), "copies": {}, "secrets": {}, "now": NOW}
    return SpaceInputs(space=facts, claims=claims_of(facts), mesh=view, mesh_record=record, **{**given, **more})


def with_clients(
    *outside: str, monitors: tuple[str, ...] = ("monitoring",), monitors_outside: tuple[str, ...] = ()
) -> MeshView:
    return replace(
        STRICT,
        clients=("edge", "other"),
        clients_outside=outside,
        monitors=("monitoring",),
        monitors_outside=monitors_outside,
    )


APPS: dict[str, tuple[AppInputs, tuple[ResolvedEndpoint, ...]]] = {
    "open": (app_inputs(), ROUTED + METRICS),
    "project": (app_inputs(with_clients(), POD_EDGE, project="blue"), ROUTED + METRICS),
    "project-edge-on-hosts": (app_inputs(with_clients(), project="blue"), ROUTED),
    "plain-text": (
        app_inputs(replace(with_clients(), accounts=ACCOUNTS), project="blue"),
        (*ROUTED, *PLAIN),
    ),
    "plain-text-open": (app_inputs(), PLAIN),
    "clients-outside": (
        app_inputs(with_clients("other", monitors_outside=("monitoring",)), POD_EDGE, project="blue"),
        ROUTED + METRICS,
    ),
}


@pytest.mark.parametrize("case", APPS)
def test_policies_of_an_app(case: str) -> None:
    inputs, endpoints = APPS[case]
    resolved = ResolvedApp(endpoints)
    network = app_policy(inputs, resolved)
    assert network is not None
    check_golden(f"mesh/app-{case}", [child.obj for child in (*ISTIO.app(inputs, resolved), network)])


@pytest.mark.parametrize("phase", [phase for phase in MeshPhase if phase is not OFF])
def test_policies_of_a_space(phase: MeshPhase) -> None:
    kinds = (*ISTIO.kinds, NETWORK_POLICIES)
    children = space_children(space_inputs(phase))
    check_golden(
        f"mesh/space-{phase.lower()}", [each.obj for each in children if each.resource in kinds or each is children[0]]
    )


@pytest.mark.parametrize(
    ("more", "mesh", "is_only"),
    [
        ({}, "Istio", True),
        ({"allowedClients": ["a.b.example.com"], "verifyTcpClientCert": True}, "Istio", True),
        ({}, "None", False),
        ({"createClearTextService": False}, "Istio", False),
        ({"verifyTcpClientCert": True}, "Istio", False),  # nobody could connect
        ({"hostname": "db.beta.example.com"}, "Istio", False),  # somebody outside is to connect
        ({"createDnsRecord": True}, "Istio", False),
        ({"certAndCaSecretName": "tls"}, "Istio", False),
    ],
)
def test_an_endpoint_for_the_mesh_alone_needs_no_certificate_and_has_no_route(
    more: dict[str, Any], mesh: str, is_only: bool
) -> None:
    endpoint = {"name": "db", "port": 5432, "createClearTextService": True, **more}
    bare = {"mesh": mesh, "domainName": "example.com", "tcpCertAndCaSecretName": None}
    inputs = app({"endpoints": [endpoint]}, space=bare, served=ALL_SERVED)
    desired = app_children(inputs)
    kinds = {child.obj["kind"] for child in desired.children}
    assert ("TLSRoute" in kinds) != is_only
    assert (ConditionType.CERTIFICATES_READY in desired.problems) != is_only
    assert (ConditionType.ROUTES_READY in desired.problems) != is_only
    services = {child.obj["metadata"]["name"] for child in desired.children if child.obj["kind"] == "Service"}
    assert ("db-cleartext" in services) == endpoint["createClearTextService"]
    if is_only:
        assert "ConfigMap" not in kinds, "no sidecar"
        assert [each.hostname for each in desired.resolved.endpoints] == [None]


SOLVERS: dict[str, tuple[Settings, MeshView, dict[str, Any]]] = {
    "unknown-edge": (Settings(), STRICT, {}),
    "edge-inside": (POD_EDGE, replace(STRICT, clients=("edge",)), {"project": "blue"}),
    "edge-outside": (POD_EDGE, replace(STRICT, clients=("edge",), clients_outside=("edge",)), {"project": "blue"}),
    "edge-on-hosts": (EDGE, replace(STRICT, clients=("edge",)), {}),
}


@pytest.mark.parametrize("case", SOLVERS)
def test_policies_of_pods_that_answer_a_certificate_authority(case: str) -> None:
    settings, view, spec = SOLVERS[case]
    inputs = space_inputs(MeshPhase.STRICT)
    facts = space(mesh="Istio", httpCertSecretName="tls", **spec)
    children = space_children(replace(inputs, space=facts, settings=settings, mesh=view))
    found = [child.obj for child in children if child.obj["metadata"]["name"] == "decco.acme"]
    assert (found[0]["kind"], found[-1]["kind"]) == ("AuthorizationPolicy", "NetworkPolicy")
    check_golden(f"mesh/solvers-{case}", found)


def test_no_solver_policies_where_nothing_is_served_over_https_or_the_edge_is_unknown() -> None:
    inputs = space_inputs(MeshPhase.STRICT)
    for facts in (space(mesh="Istio"), space(mesh="Istio", project="blue", httpCertSecretName="tls")):
        children = space_children(replace(inputs, space=facts))
        assert not [child for child in children if child.obj["metadata"]["name"] == "decco.acme"]


@pytest.mark.parametrize(
    ("inputs", "endpoints"),
    [
        (app_inputs(), ()),
        (app_inputs(project="blue", settings=Settings()), ROUTED),  # nobody but the Space itself
        (app_inputs(), METRICS),  # nobody monitors
    ],
)
def test_an_app_that_nobody_may_reach_has_no_policy_of_its_own(
    inputs: AppInputs, endpoints: tuple[ResolvedEndpoint, ...]
) -> None:
    assert ISTIO.app(inputs, ResolvedApp(endpoints)) == []


def test_no_rule_is_for_everybody_or_everything_by_accident() -> None:
    for inputs, endpoints in APPS.values():
        for child in ISTIO.app(inputs, ResolvedApp(endpoints)):
            assert child.obj["spec"]["selector"]["matchLabels"]
            for rule in child.obj["spec"].get("rules", ()):
                assert all(each["operation"]["ports"] for each in rule["to"])
                assert rule.get("from") != []
                assert all(any(each["source"].values()) for each in rule.get("from", ()))


def test_the_tunnel_is_open_beside_other_ports_and_only_while_its_policies_exist() -> None:
    def ports(inputs: AppInputs, *endpoints: ResolvedEndpoint) -> list[set[int]]:
        made = app_policy(inputs, ResolvedApp(endpoints))
        rules = made.obj["spec"]["ingress"] if made is not None else []
        return [{port["port"] for port in rule["ports"]} for rule in rules]

    tunnel = ISTIO.tunnel_port
    assert ports(app_inputs(), *ROUTED, *METRICS) == [{8080, 8443, tunnel}, {9090, tunnel}]
    unguarded = app_inputs(replace(STRICT, has_policies=False))
    assert ports(unguarded, *ROUTED, *METRICS) == [{8080, 8443}, {9090}]
    assert ports(app_inputs(NO_MESH), *ROUTED) == [{8080, 8443}]
    # An endpoint of this number is no port of the pod in the mesh.
    assert ports(app_inputs(), endpoint(tunnel)) == []
    assert ISTIO.app(app_inputs(), ResolvedApp((endpoint(tunnel),))) == []
    assert ports(app_inputs(NO_MESH), endpoint(tunnel)) == [{tunnel}]


def test_a_limited_egress_may_take_the_tunnel_to_its_target() -> None:
    inputs = replace(app_inputs(egressPolicy="Declared"), egress=EgressPhase.DECLARED)
    egress = Egress(local_port=7000, endpoint="db", space_name="x")
    spec = inputs.spec.model_copy(update={"tls_egresses": (egress,)})
    target = EgressTarget("db.x.svc", 443, "db.x.example.com", pods=("x", "store", 20001))
    inputs = replace(inputs, spec=spec, targets={("x", "db"): target})

    def ports(view: MeshView) -> list[int]:
        rules = outgoing(replace(inputs, mesh=view), {7000}).rules or []
        return [port["port"] for rule in rules for port in rule["ports"]]

    assert ports(STRICT) == [20001, 15008]
    assert ports(NO_MESH) == [20001]


def test_the_label_and_the_record_of_a_namespace() -> None:
    def namespace(given: SpaceInputs) -> tuple[object, object]:
        meta: Obj = space_children(given)[0].obj["metadata"]
        return meta["labels"]["istio.io/dataplane-mode"], meta["annotations"].get("decco.platform9.com/mesh", "absent")

    at = "@2026-11-30T12:00:00Z"
    assert namespace(space_inputs(PREPARED)) == (None, f"Istio/Prepared{at}")
    assert namespace(space_inputs(PASSING)) == ("ambient", f"Istio/Passing{at}")
    assert namespace(space_inputs(MeshPhase.STRICT)) == ("ambient", f"Istio/Strict{at}")
    assert namespace(space_inputs(PASSING, "None")) == ("ambient", f"Istio/Passing{at}"), "its pods are about to leave"
    # Without the kinds the label is as before they were known.
    assert namespace(space_inputs(OFF, served={})) == ("ambient", "absent")
    assert namespace(space_inputs(OFF, "None")) == (None, "absent"), "a Space without a mesh is as it was"
    assert namespace(space_inputs(OFF, "None", noted=frozenset({ANNOTATION_MESH}))) == (None, None)


def test_a_record_is_read_as_it_was_written_and_nothing_else_is() -> None:
    for phase in (PREPARED, PASSING, MeshPhase.STRICT):
        record = MeshRecord("Istio", phase, NOW)
        assert parse_mesh_record(record.text) == record
    for text in (
        "",
        "Istio",
        "Istio/Off@2026-11-30T12:00:00Z",
        "Istio/Strict@then",
        "Istio/Strict@2026-11-30",
        "a/b@c",
    ):
        assert parse_mesh_record(text) is None


def switch(**more: Any) -> Switch:
    given: dict[str, Any] = {"wanted": "Istio", "served": True, "fresh": False, "labelled": False, "waits": ()}
    return Switch(**{**given, "seconds": SECONDS, **more})


@pytest.mark.parametrize(
    ("more", "phase"),
    [
        ({}, PREPARED),
        ({"fresh": True}, MeshPhase.STRICT),  # there are no pods yet
        ({"labelled": True}, PASSING),  # by an earlier version: pods are inside
        ({"served": False}, OFF),
        ({"wanted": ""}, OFF),
        ({"wanted": "", "fresh": True}, OFF),
    ],
)
def test_the_first_phase(more: dict[str, Any], phase: MeshPhase) -> None:
    record, _ = next_record(None, switch(**more), NOW)
    assert (record.phase if record is not None else OFF) is phase


@pytest.mark.parametrize(
    ("live", "passed", "more", "phase"),
    [
        (PREPARED, 0.0, {}, PREPARED),
        (PREPARED, POLICY_SECONDS, {}, PASSING),
        (PREPARED, 1e6, {"waits": ("web",)}, PREPARED),
        (PASSING, SECONDS - 1, {}, PASSING),
        (PASSING, SECONDS, {}, MeshPhase.STRICT),
        (MeshPhase.STRICT, 1e6, {"served": False, "waits": ("web",)}, MeshPhase.STRICT),
        (MeshPhase.STRICT, 0.0, {"wanted": ""}, PASSING),
        (PASSING, POLICY_SECONDS - 1, {"wanted": ""}, PASSING),
        (PASSING, POLICY_SECONDS, {"wanted": ""}, PREPARED),
        (PREPARED, SECONDS - 1, {"wanted": "", "waits": ("web",)}, PREPARED),
        (PREPARED, SECONDS, {"wanted": ""}, OFF),
        (PASSING, -1e9, {}, MeshPhase.STRICT),  # a record by a clock that was wrong
    ],
)
def test_the_next_phase(live: MeshPhase, passed: float, more: dict[str, Any], phase: MeshPhase) -> None:
    since = NOW - timedelta(seconds=passed)
    record, seconds = next_record(MeshRecord("Istio", live, since), switch(**more), NOW)
    assert (record.phase if record is not None else OFF) is phase
    if record is not None:
        assert record.since == (since if phase is live else NOW)
        by_event = phase is live and (phase is MeshPhase.STRICT or (phase is PREPARED and bool(more.get("waits"))))
        by_event = by_event and more.get("wanted") != ""
        assert (seconds is None) == by_event, "a phase that ends by itself has an end"


def test_every_switch_ends_and_passes_no_phase_by() -> None:
    """Also one that is turned round in the middle, at any time."""
    order = [OFF, PREPARED, PASSING, MeshPhase.STRICT]
    for turned in range(0, 200, 7):
        live: MeshRecord | None = None
        wanted, moment = "Istio", NOW
        for second in range(600):
            wanted = "" if turned <= second < 300 else "Istio"
            moment = NOW + timedelta(seconds=second)
            record, _ = next_record(live, switch(wanted=wanted), moment)
            old, new = (order.index(each.phase) if each is not None else 0 for each in (live, record))
            assert abs(old - new) <= 1
            live = record
        assert live is not None
        assert live.phase is MeshPhase.STRICT


@pytest.mark.parametrize(
    ("inputs", "reason", "words"),
    [
        (space_inputs(MeshPhase.STRICT), "Reconciled", ""),
        (space_inputs(OFF, "None"), "", ""),
        (space_inputs(PASSING), "MeshSwitching", "enters the mesh Istio"),
        (space_inputs(PASSING, "None"), "MeshSwitching", "leaves the mesh Istio"),
        (space_inputs(PREPARED, mesh_waits=("web",)), "MeshSwitching", "(web)"),
        (space_inputs(OFF, served={}), "MeshMissing", "install the CRDs of Istio"),
    ],
)
def test_the_condition(inputs: SpaceInputs, reason: str, words: str) -> None:
    outcomes = {("NetworkPolicy", "decco"): None}
    status = space_status(inputs, outcomes, SpaceLive({"metadata": {"name": "acme"}}), {}, NOW)
    found = {each["type"]: each for each in status["conditions"]}
    assert found["NetworkReady"]["status"] == "True", "NetworkPolicies isolate all the same"
    if not reason:
        assert "MeshReady" not in found
    else:
        assert (found["MeshReady"]["reason"], words in found["MeshReady"]["message"]) == (reason, True)


def test_who_is_in_the_mesh() -> None:
    assert ISTIO.is_member({"istio.io/dataplane-mode": "ambient"})
    assert not ISTIO.is_member({"istio.io/dataplane-mode": "none"})
    assert not ISTIO.is_member({})
    assert ISTIO.is_own_edge("istio.io/gateway-controller")
    assert not ISTIO.is_own_edge("gateway.envoyproxy.io/gatewayclass-controller")
    assert not ISTIO.is_own_edge(None)
