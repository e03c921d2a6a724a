from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from decco.api.conditions import ConditionType
from decco.api.types import SpaceSpec
from decco.desired import reasons
from decco.desired.model import (
    Problem,
    SecretFacts,
    SecretState,
    SecretView,
    Served,
    SpaceFacts,
    SpaceInputs,
)
from decco.desired.secrets import refusal_of
from decco.desired.space_status import (
    SpaceLive,
    blocked_space_status,
    edge_addresses,
    space_status,
)
from decco.desired.status import Outcomes
from decco.objects import GATEWAYS, HTTP_ROUTES, LISTENER_SETS, Obj
from decco.settings import Settings
from decco.text import LONGEST_QUOTE
from tests.unit.desired.app_cases import claims_of
from tests.unit.goldens import check_golden

NOW = datetime(2024, 6, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SERVED: Served = {kind: kind for kind in (GATEWAYS, LISTENER_SETS, HTTP_ROUTES)}

NONE = Settings.model_validate({"routing": {"backend": "none"}})
INGRESS = Settings.model_validate({"routing": {"backend": "ingress"}})
SHARED = Settings.model_validate({"routing": {"parentGateway": "edge/shared"}})
SPEC = SpaceSpec(domain_name="example.com")


def seen(name: str, **facts: Any) -> SecretView:
    given = {"type": "kubernetes.io/tls", "digest": "d", "has_ca": True, **facts}
    return SecretView(name, SecretState.COPY, SecretFacts(**given))


def inputs(
    settings: Settings = SHARED,
    *views: SecretView,
    lost: dict[str, str] | None = None,
    served: Served = SERVED,
    generation: int = 3,
    **spec: Any,
) -> SpaceInputs:
    parsed = SpaceSpec.model_validate({"domainName": SPEC.domain_name, **spec})
    facts = SpaceFacts("acme", "space-uid", generation, "2024-01-01T00:00:00Z", parsed)
    return SpaceInputs(
        space=facts,
        settings=settings,
        served=served,
        claims=claims_of(facts, lost),
        copies={},
        secrets={view.name: view for view in views},
        now=NOW,
    )


def condition(type_: str, status: str, reason: str = "", message: str = "", generation: int = 2) -> Obj:
    return {"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": generation}


ACCEPTED, PROGRAMMED = condition("Accepted", "True"), condition("Programmed", "True")
RESOLVED = condition("ResolvedRefs", "True")
GOOD_LISTENER = {"name": "https", "conditions": [ACCEPTED, PROGRAMMED, RESOLVED]}


def listener_set(*conditions: Obj, listeners: list[Obj] | None = None, kind: str = "ListenerSet") -> Obj:
    return {
        "kind": kind,
        "metadata": {"name": "decco", "namespace": "acme", "generation": 2},
        "status": {"conditions": list(conditions), "listeners": [GOOD_LISTENER] if listeners is None else listeners},
    }


def gateway(*addresses: str) -> Obj:
    return {
        "kind": "Gateway",
        "metadata": {"name": "shared", "namespace": "edge"},
        "status": {"addresses": [{"type": "IPAddress", "value": value} for value in addresses]},
    }


def service(*ingress: Obj) -> Obj:
    return {"kind": "Service", "metadata": {"name": "edge"}, "status": {"loadBalancer": {"ingress": list(ingress)}}}


NAMESPACE = {"metadata": {"name": "acme"}, "status": {"phase": "Active"}}
LIVE = SpaceLive(namespace=NAMESPACE, listeners=listener_set(ACCEPTED, PROGRAMMED), gateway=gateway("192.0.2.1"))
WRITTEN: dict[tuple[str, str], Problem | None] = {
    ("Namespace", "acme"): None,
    ("NetworkPolicy", "decco"): None,
    ("ListenerSet", "decco"): None,
    ("HTTPRoute", "decco.redirect"): None,
}


def status(
    given: SpaceInputs | None = None,
    outcomes: dict[tuple[str, str], Problem | None] | None = None,
    live: SpaceLive = LIVE,
    previous: Obj | None = None,
    now: datetime = NOW,
) -> Obj:
    return space_status(given or inputs(), WRITTEN if outcomes is None else outcomes, live, previous or {}, now)


def conditions_of(found: Obj) -> dict[str, str]:
    """type -> reason of each condition that is not True, and "True" of the others."""
    return {c["type"]: "True" if c["status"] == "True" else c["reason"] for c in found["conditions"]}


def message(found: Obj, type_: str) -> str:
    [text] = [c["message"] for c in found["conditions"] if c["type"] == type_]
    return str(text)


# -- whole statuses ---------------------------------------------------------------------------------------------------

REFUSED = Problem(reasons.INVALID, "The API server refuses it")
FOREIGN = Problem(reasons.CONFLICT, "Namespace acme exists already")

WHOLE: dict[str, tuple[SpaceInputs, Outcomes, SpaceLive]] = {
    "settled": (inputs(SHARED, seen("http")), WRITTEN, replace(LIVE, dns=())),
    "new": (inputs(SHARED, SecretView("http", SecretState.PENDING)), {}, SpaceLive(gateway=gateway())),
    "conflict": (inputs(SHARED), {("Namespace", "acme"): FOREIGN}, SpaceLive(gateway=gateway("192.0.2.1"))),
    "lost": (inputs(SHARED, lost={"acme.example.com": "older"}), WRITTEN, LIVE),
}


@pytest.mark.parametrize("case", WHOLE)
def test_whole(case: str) -> None:
    given, outcomes, live = WHOLE[case]
    check_golden(f"space-status/{case}", [space_status(given, outcomes, live, {}, NOW)])


# -- condition by condition -------------------------------------------------------------------------------------------


def with_outcome(kind: str, name: str, problem: Problem) -> dict[tuple[str, str], Problem | None]:
    return {**WRITTEN, (kind, name): problem}


DELETING = {"metadata": {"name": "acme", "deletionTimestamp": "2024-06-01T00:00:00Z"}, "status": {"phase": "Active"}}
TERMINATING = {"metadata": {"name": "acme"}, "status": {"phase": "Terminating"}}
MISSING = SecretView("http", SecretState.MISSING)
PENDING = SecretView("tcp", SecretState.PENDING)
WELL = {"Ready": "True", "NamespaceReady": "True", "NetworkReady": "True", "RoutesReady": "True"}
NOT_YET = condition("Accepted", "Unknown", "Pending", "Waiting for controller")


def rejected(**overrides: str) -> Obj:
    return {**condition("Accepted", "False", "NotAllowed", "namespace  not\nallowed"), **overrides}


TOKEN = "kubernetes.io/service-account-token"
PULLING = Settings.model_validate(
    {"routing": {"parentGateway": "edge/shared"}, "sidecar": {"imagePullSecrets": ["regcred"]}}
)

CONDITIONS: dict[str, tuple[Obj, dict[str, str]]] = {
    "all well": ({}, {}),
    # NamespaceReady
    "foreign namespace": (
        {"outcomes": {("Namespace", "acme"): FOREIGN}, "live": replace(LIVE, namespace=None, listeners=None)},
        {
            "NamespaceReady": "Conflict",
            "NetworkReady": "NamespaceNotReady",
            "RoutesReady": "WaitingForEdge",
            "Ready": "Conflict",
        },
    ),
    "no namespace yet": (
        {"live": replace(LIVE, namespace=None)},
        {"NamespaceReady": "NamespaceNotReady", "Ready": "NamespaceNotReady"},
    ),
    "namespace deleted": (
        {"live": replace(LIVE, namespace=DELETING)},
        {"NamespaceReady": "NamespaceTerminating", "Ready": "NamespaceTerminating"},
    ),
    "namespace terminating": (
        {"live": replace(LIVE, namespace=TERMINATING)},
        {"NamespaceReady": "NamespaceTerminating", "Ready": "NamespaceTerminating"},
    ),
    "bad quota": (
        {"outcomes": with_outcome("ResourceQuota", "decco", REFUSED)},
        {"NamespaceReady": "Invalid", "Ready": "Invalid"},
    ),
    "bad limits": (
        {"outcomes": with_outcome("LimitRange", "decco", REFUSED)},
        {"NamespaceReady": "Invalid", "Ready": "Invalid"},
    ),
    # NetworkReady
    "a policy that goes with its namespace": (
        {
            "live": replace(LIVE, namespace=DELETING),
            "outcomes": {key: value for key, value in WRITTEN.items() if key[0] != "NetworkPolicy"},
        },
        dict.fromkeys(("NamespaceReady", "NetworkReady", "Ready"), "NamespaceTerminating"),
    ),
    "refused policy": (
        {"outcomes": with_outcome("NetworkPolicy", "decco", REFUSED)},
        {"NetworkReady": "Invalid", "Ready": "Invalid"},
    ),
    "policy not tried": (
        {"outcomes": {("Namespace", "acme"): None}},
        {"NetworkReady": "NotWritten", "Ready": "NotWritten"},
    ),
    # CertificatesReady
    "good Secret": ({"given": inputs(SHARED, seen("http"))}, {"CertificatesReady": "True"}),
    "missing Secret": (
        {"given": inputs(SHARED, MISSING, PENDING)},
        {"CertificatesReady": "SecretMissing", "Ready": "SecretMissing"},
    ),
    "Secret being created": (
        {"given": inputs(SHARED, PENDING)},
        {"CertificatesReady": "SecretPending", "Ready": "SecretPending"},
    ),
    "expired": (
        {"given": inputs(SHARED, seen("http", not_after=NOW))},
        {"CertificatesReady": "CertificateExpired", "Ready": "CertificateExpired"},
    ),
    "copy refused": (
        {"given": inputs(SHARED, PENDING), "outcomes": with_outcome("Secret", "tcp", FOREIGN)},
        {"CertificatesReady": "Conflict", "Ready": "Conflict"},
    ),
    "an App's copy refused": (
        {"outcomes": with_outcome("Secret", "of-an-app", FOREIGN)},
        {"CertificatesReady": "Conflict", "Ready": "Conflict"},
    ),
    "an App's copy written": ({"outcomes": {**WRITTEN, ("Secret", "of-an-app"): None}}, {}),
    # SecretsReady
    "a listed one": ({"given": inputs(SHARED, seen("regcred"), secrets=["regcred"])}, {"SecretsReady": "True"}),
    "a listed one that is missing": (
        {"given": inputs(SHARED, MISSING, secrets=["http"])},
        {"SecretsReady": "SecretMissing", "Ready": "SecretMissing"},
    ),
    "a listed one that is taken": (
        {"given": inputs(SHARED, PENDING, secrets=["tcp"]), "outcomes": with_outcome("Secret", "tcp", FOREIGN)},
        {"SecretsReady": "Conflict", "Ready": "Conflict"},
    ),
    "a listed one with an expired certificate": (
        {"given": inputs(SHARED, seen("old", not_after=NOW), secrets=["old"])},
        {"SecretsReady": "True"},
    ),
    "a listed one that is no certificate": (
        {"given": inputs(SHARED, seen("old", problem=REFUSED), secrets=["old"])},
        {"SecretsReady": "True"},
    ),
    "a listed one of a type that is never copied": (
        {"given": inputs(SHARED, seen("token", refusal=refusal_of(TOKEN)), secrets=["token"])},
        {"SecretsReady": "SecretRefused", "Ready": "SecretRefused"},
    ),
    "listed, and a certificate too": (
        {"given": inputs(SHARED, MISSING, secrets=["http"], httpCertSecretName="http")},
        {"CertificatesReady": "SecretMissing", "SecretsReady": "SecretMissing", "Ready": "SecretMissing"},
    ),
    "a pull Secret of the sidecar": (
        {"given": inputs(PULLING, seen("http"), SecretView("regcred", SecretState.MISSING))},
        {"CertificatesReady": "True", "SecretsReady": "SecretMissing", "Ready": "SecretMissing"},
    ),
    "a pull Secret of the sidecar, without sidecars": ({"given": inputs(PULLING)}, {}),
    # RoutesReady
    "hostname lost": (
        {"given": inputs(SHARED, lost={"shop.example.org": "older"})},
        {"RoutesReady": "HostnameConflict", "Ready": "HostnameConflict"},
    ),
    "a lost hostname comes first": (
        {"given": inputs(SHARED, MISSING, lost={"shop.example.org": "older"})},
        {"CertificatesReady": "SecretMissing", "RoutesReady": "HostnameConflict", "Ready": "HostnameConflict"},
    ),
    "hostname lost without routing": (
        {"given": inputs(NONE, lost={"acme.example.com": "older"})},
        {"RoutesReady": "HostnameConflict", "Ready": "HostnameConflict"},
    ),
    "no Gateway API": (
        {"given": inputs(SHARED, served={})},
        {"RoutesReady": "GatewayAPIMissing", "Ready": "GatewayAPIMissing"},
    ),
    "no shared Gateway": (
        {"live": replace(LIVE, gateway=None)},
        {"RoutesReady": "GatewayNotFound", "Ready": "GatewayNotFound"},
    ),
    "the edge's Service alone": (
        {"live": replace(LIVE, gateway=None, edge_service=service())},
        {"RoutesReady": "GatewayNotFound", "Ready": "GatewayNotFound"},
    ),
    "refused listeners": (
        {"outcomes": with_outcome("ListenerSet", "decco", REFUSED)},
        {"RoutesReady": "Invalid", "Ready": "Invalid"},
    ),
    "refused redirect": (
        {"outcomes": with_outcome("HTTPRoute", "decco.redirect", REFUSED)},
        {"RoutesReady": "Invalid", "Ready": "Invalid"},
    ),
    "no listeners yet": (
        {"live": replace(LIVE, listeners=None)},
        {"RoutesReady": "WaitingForEdge", "Ready": "WaitingForEdge"},
    ),
    "ingress": ({"given": inputs(INGRESS), "live": SpaceLive(namespace=NAMESPACE)}, {}),
    # DNSReady
    "DNS well": ({"live": replace(LIVE, dns=())}, {"DNSReady": "True"}),
    "DNS not well": (
        {"live": replace(LIVE, dns=(Problem(reasons.ZONE_NOT_FOUND, "no zone"),))},
        {"DNSReady": "ZoneNotFound", "Ready": "ZoneNotFound"},
    ),
    # Ready
    "what to act on comes before what takes time": (
        {
            "given": inputs(SHARED, PENDING),
            "live": replace(LIVE, dns=(Problem(reasons.RECORD_CONFLICT, "taken"),)),
        },
        {"CertificatesReady": "SecretPending", "DNSReady": "RecordConflict", "Ready": "RecordConflict"},
    ),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_conditions(case: str) -> None:
    arguments, differs = CONDITIONS[case]
    assert conditions_of(status(**arguments)) == {**WELL, **differs}


UIDS = "openshift.io/sa.scc.uid-range"


@pytest.mark.parametrize(
    ("annotations", "user", "want"),
    [
        ({UIDS: "1000660000/10000"}, 65532, "SidecarRefused"),
        ({UIDS: "1000660000-1000669999"}, 65532, "SidecarRefused"),
        ({UIDS: "1000660000/10000"}, None, "True"),
        ({UIDS: "1000660000/10000"}, 1000660000, "True"),
        ({UIDS: "1000660000/10000"}, 1000670000, "SidecarRefused"),
        ({UIDS: "65000-66000"}, 65532, "True"),
        ({UIDS: "some"}, 65532, "True"),
        ({}, 65532, "True"),
    ],
)
def test_a_range_of_user_ids_that_refuses_the_sidecar(annotations: Obj, user: int | None, want: str) -> None:
    given = inputs(Settings.model_validate({"routing": {"backend": "none"}, "sidecar": {"runAsUser": user}}))
    namespace = {"metadata": {"name": "acme", "annotations": annotations}, "status": {"phase": "Active"}}
    found = status(given, live=SpaceLive(namespace=namespace))
    assert conditions_of(found)["NamespaceReady"] == want
    if want != "True":
        assert "set sidecar.runAsUser to null" in message(found, "NamespaceReady")


@pytest.mark.parametrize(
    ("name", "settings", "want"),
    [
        ("com", NONE, "NameReserved"),
        ("svc", NONE, "NameReserved"),
        ("kube-evil", NONE, "NameReserved"),
        ("decco", NONE, "NameReserved"),
        ("public-edge", Settings.model_validate({"edge": {"namespace": "public-edge"}}), "NameReserved"),
        ("balancer", Settings.model_validate({"edge": {"service": "balancer/proxy"}}), "NameReserved"),
        ("edge", SHARED, "NameReserved"),
        ("edge", NONE, "True"),
        ("global", NONE, "True"),
    ],
)
def test_a_space_that_has_a_name_of_others_says_so(name: str, settings: Settings, want: str) -> None:
    given = inputs(settings)
    facts = replace(given.space, name=name)
    written: Outcomes = {("Namespace", name): None, ("NetworkPolicy", "decco"): None}
    found = status(replace(given, space=facts), written, SpaceLive(namespace=NAMESPACE))
    assert conditions_of(found)["NamespaceReady"] == want


def test_limits_that_refuse_the_sidecar_are_reported_before_there_is_an_app() -> None:
    spec = SpaceSpec.model_validate({"domainName": "example.com", "resourceQuota": {"hard": {"limits.memory": "8Mi"}}})
    given = inputs(NONE)
    found = status(replace(given, space=replace(given.space, spec=spec)), live=SpaceLive(namespace=NAMESPACE))
    assert conditions_of(found)["NamespaceReady"] == "SidecarRefused"


def test_without_routing_there_is_no_routes_ready() -> None:
    found = status(inputs(NONE), live=SpaceLive(namespace=NAMESPACE))
    assert conditions_of(found) == {"Ready": "True", "NamespaceReady": "True", "NetworkReady": "True"}


EDGE: dict[str, tuple[Obj, str]] = {
    "silent": (listener_set(listeners=[]), "WaitingForEdge"),
    "status missing": ({"kind": "Gateway", "metadata": {"name": "decco", "namespace": "acme"}}, "WaitingForEdge"),
    "unknown": (listener_set(NOT_YET, condition("Programmed", "Unknown"), listeners=[]), "WaitingForEdge"),
    "accepted only": (listener_set(ACCEPTED), "WaitingForEdge"),
    "about an earlier generation": (
        listener_set(condition("Accepted", "True", generation=1), condition("Programmed", "True", generation=1)),
        "WaitingForEdge",
    ),
    "refused in an earlier generation": (listener_set(rejected(observedGeneration=1), PROGRAMMED), "WaitingForEdge"),  # type: ignore[arg-type]
    "refused": (listener_set(rejected(), PROGRAMMED), "NotAccepted"),
    "refused for now": (listener_set(rejected(reason="Pending")), "WaitingForEdge"),
    "no address": (listener_set(ACCEPTED, condition("Programmed", "False", "AddressNotAssigned")), "WaitingForEdge"),
    "not programmed": (listener_set(ACCEPTED, condition("Programmed", "False", "NoResources")), "NotProgrammed"),
    "bad listener": (
        listener_set(
            ACCEPTED,
            PROGRAMMED,
            listeners=[
                GOOD_LISTENER,
                {"name": "tls", "conditions": [ACCEPTED, condition("ResolvedRefs", "False", "InvalidCertificateRef")]},
            ],
        ),
        "NotAccepted",
    ),
    "old complaint about a listener": (
        listener_set(
            ACCEPTED,
            PROGRAMMED,
            listeners=[{"name": "tls", "conditions": [condition("Accepted", "False", "X", generation=1)]}],
        ),
        "True",
    ),
    "listeners unknown": (listener_set(ACCEPTED, PROGRAMMED, listeners=[]), "True"),
}


@pytest.mark.parametrize("case", EDGE)
def test_what_the_gateway_controller_says(case: str) -> None:
    obj, reason = EDGE[case]
    found = status(live=replace(LIVE, listeners=obj))
    assert conditions_of(found)["RoutesReady"] == reason
    assert conditions_of(found)["Ready"] == reason


def test_its_words_are_passed_on_in_one_short_line() -> None:
    found = status(live=replace(LIVE, listeners=listener_set(rejected(), PROGRAMMED)))
    text = "ListenerSet acme/decco: Accepted is False, NotAllowed: namespace not allowed"
    assert message(found, "RoutesReady") == text
    assert message(found, "Ready") == text
    long = listener_set(rejected(message="x" * 40_000), PROGRAMMED)
    assert len(message(status(live=replace(LIVE, listeners=long)), "RoutesReady")) < LONGEST_QUOTE + 200


def test_all_lost_names_are_reported() -> None:
    found = status(inputs(SHARED, lost={"b.example.org": "older", "a.example.org": "oldest"}))
    assert message(found, "Ready") == (
        "a.example.org, or a name above or below it, is granted to Space oldest: give it up in one of the two; "
        "b.example.org, or a name above or below it, is granted to Space older: give it up in one of the two"
    )


def test_a_lost_name_that_was_transferred_before_says_how_to_transfer_it_again() -> None:
    given = replace(inputs(SHARED, lost={"b.example.org": "former"}), transferred={"b.example.org": "former"})
    assert message(status(given), "Ready").endswith(
        "give it up in one of the two; its transfer took place before: for another, remove it from "
        "decco.platform9.com/transfer and add it again"
    )


def test_a_certificate_that_is_held_back_is_announced_and_no_problem() -> None:
    given = replace(inputs(SHARED, seen("http")), in_force={"http": NOW, "of-an-app": NOW})
    found = status(given)
    assert conditions_of(found)["CertificatesReady"] == "True"
    text = message(found, "CertificatesReady")
    assert text.endswith(
        f"the new certificate of Secret http is in force at {NOW:%H:%M:%S} UTC, because its ca.crt has changed"
    )
    assert "of-an-app" not in text


def test_all_missing_secrets_are_reported() -> None:
    views = MISSING, SecretView("tcp", SecretState.MISSING)
    text = message(status(inputs(SHARED, *views)), "CertificatesReady")
    assert "Secret decco/http" in text
    assert "Secret decco/tcp" in text


# -- the other fields ------------------------------------------------------------------------------------------------


def test_namespace_and_hostname_are_there_when_the_space_has_them() -> None:
    found = status()
    assert (found["namespace"], found["hostname"], found["observedGeneration"]) == ("acme", "acme.example.com", 3)
    assert "namespace" not in status(live=replace(LIVE, namespace=None))
    assert "hostname" not in status(inputs(SHARED, lost={"acme.example.com": "older"}))
    assert "hostname" in status(inputs(SHARED, lost={"shop.example.org": "older"}))


OWN_GATEWAY = {**listener_set(kind="Gateway"), "status": {"addresses": [{"value": "198.51.100.7"}]}}
BALANCER = service({"hostname": "lb.example.net"}, {"ip": "192.0.2.3"})
WITH_SERVICE = Settings.model_validate({"edge": {"service": "edge/lb"}})
WITH_ADDRESSES = Settings.model_validate({"edge": {"addresses": ["203.0.113.9", "203.0.113.1"]}})


@pytest.mark.parametrize(
    ("settings", "live", "addresses"),
    [
        (SHARED, SpaceLive(gateway=gateway("192.0.2.2", "192.0.2.1", "192.0.2.2")), ("192.0.2.1", "192.0.2.2")),
        (SHARED, SpaceLive(listeners=OWN_GATEWAY), ()),
        (Settings(), SpaceLive(listeners=OWN_GATEWAY), ("198.51.100.7",)),
        (Settings(), SpaceLive(listeners=listener_set(kind="Gateway")), ()),
        (
            WITH_SERVICE,
            SpaceLive(edge_service=service({"ip": "192.0.2.3"}, {"hostname": "lb.example.net"})),
            ("192.0.2.3", "lb.example.net"),
        ),
        (WITH_SERVICE, SpaceLive(edge_service=service({"ip": ""}, {})), ()),
        (WITH_SERVICE, SpaceLive(edge_service={"kind": "Service", "metadata": {}, "status": {"loadBalancer": {}}}), ()),
        (WITH_ADDRESSES, SpaceLive(), ("203.0.113.1", "203.0.113.9")),
        # What an operator has named is stronger than what is found.
        (WITH_ADDRESSES, SpaceLive(listeners=OWN_GATEWAY), ("203.0.113.1", "203.0.113.9")),
        (WITH_ADDRESSES, SpaceLive(edge_service=service({"ip": "192.0.2.3"})), ("203.0.113.1", "203.0.113.9")),
        (WITH_SERVICE, SpaceLive(listeners=OWN_GATEWAY, edge_service=service({"ip": "192.0.2.3"})), ("192.0.2.3",)),
        # The address of a Gateway behind it is internal.
        (WITH_SERVICE, SpaceLive(listeners=OWN_GATEWAY, edge_service=service()), ()),
        (WITH_SERVICE, SpaceLive(listeners=OWN_GATEWAY), ()),
        (NONE, SpaceLive(), ()),
    ],
)
def test_addresses(settings: Settings, live: SpaceLive, addresses: tuple[str, ...]) -> None:
    assert edge_addresses(settings, live) == addresses
    assert status(inputs(settings), live=live).get("addresses") == (list(addresses) or None)


# -- what keeps a settled Space quiet ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", WHOLE)
def test_an_equal_state_gives_an_equal_status_at_any_time(case: str) -> None:
    given, outcomes, live = WHOLE[case]
    first = space_status(given, outcomes, live, {}, NOW)
    again = space_status(replace(given, now=LATER), outcomes, live, first, LATER)
    assert again == first


def test_only_a_changed_status_moves_its_time() -> None:
    first = status()
    second = status(inputs(SHARED, MISSING, generation=4), previous=first, now=LATER)
    times = {c["type"]: c["lastTransitionTime"] for c in second["conditions"]}
    before, after = "2024-06-01T00:00:00Z", "2024-06-01T01:00:00Z"
    assert times == {
        "Ready": after,
        "NamespaceReady": before,
        "NetworkReady": before,
        "CertificatesReady": after,
        "RoutesReady": before,
    }
    assert {c["observedGeneration"] for c in second["conditions"]} == {second["observedGeneration"]} == {4}


def test_what_no_longer_applies_goes_and_the_order_is_fixed() -> None:
    previous = status(inputs(SHARED, seen("http")), live=replace(LIVE, dns=()))
    previous["conditions"].reverse()
    previous["conditions"].append(condition("Stalled", "True", "Old"))
    found = status(inputs(NONE), live=SpaceLive(namespace=NAMESPACE), previous=previous, now=LATER)
    assert [c["type"] for c in found["conditions"]] == ["Ready", "NamespaceReady", "NetworkReady"]
    assert {c["lastTransitionTime"] for c in found["conditions"]} == {"2024-06-01T00:00:00Z"}
    full = status(inputs(SHARED, seen("http")), live=replace(LIVE, dns=()), previous=previous)
    assert [c["type"] for c in full["conditions"]] == [
        each for each in ConditionType if each not in ("WorkloadReady", "MeshReady", "SecretsReady", "Paused")
    ]


def test_the_previous_status_is_not_changed() -> None:
    previous = status()
    copy = {**previous, "conditions": [dict(c) for c in previous["conditions"]]}
    status(inputs(SHARED, MISSING), previous=previous, now=LATER)
    assert previous == copy


def test_a_space_that_cannot_be_understood() -> None:
    previous = status()
    found = blocked_space_status(Problem(reasons.INVALID, "spec.domainName: missing"), 7, previous, LATER)
    assert conditions_of(found) == {**WELL, "Ready": "Invalid"}
    assert message(found, "Ready") == "spec.domainName: missing"
    assert found["observedGeneration"] == 7
    assert found["hostname"] == "acme.example.com"
    assert blocked_space_status(Problem(reasons.INVALID, "spec.domainName: missing"), 7, found, NOW) == found
    assert conditions_of(blocked_space_status(Problem(reasons.INVALID, "x"), 1, {}, NOW)) == {"Ready": "Invalid"}


@pytest.mark.parametrize("case", CONDITIONS)
def test_ready_is_all_others(case: str) -> None:
    arguments, _ = CONDITIONS[case]
    ready, *others = status(**arguments)["conditions"]
    assert (ready["status"] == "True") is all(c["status"] == "True" for c in others)
    if ready["status"] == "False":
        assert (ready["reason"], ready["message"]) in {(c["reason"], c["message"]) for c in others}


@pytest.mark.parametrize(
    ("settings", "project", "unknown"),
    [
        ({}, "team", True),
        ({}, None, False),
        ({"edge": {"namespace": "edge"}}, "team", False),
        ({"edge": {"cidrs": ["10.0.0.0/8"]}}, "team", False),
        ({"edge": {"addresses": ["192.0.2.1"]}}, "team", True),
        ({"routing": {"backend": "none"}}, "team", False),
        ({"routing": {"backend": "ingress"}}, "team", True),
    ],
)
def test_an_edge_that_nobody_named(settings: dict[str, Any], project: str | None, unknown: bool) -> None:
    given = inputs(Settings.model_validate(settings))
    spec = SpaceSpec(domain_name="example.com", project=project)
    given = replace(given, space=replace(given.space, spec=spec))
    outcomes: Outcomes = {("NetworkPolicy", "decco"): None}
    namespace = {"metadata": {"name": "acme"}}
    status = space_status(given, outcomes, SpaceLive(namespace=namespace), {}, NOW)
    network = next(each for each in status["conditions"] if each["type"] == "NetworkReady")
    assert (network["status"], network["reason"] == "EdgeUnknown") == ("False" if unknown else "True", unknown)
