from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.api.conditions import ConditionType
from decco.api.egress import EgressPolicy
from decco.desired.app import app_children
from decco.desired.model import AppInputs, EgressPhase, EgressTarget, NamedAddresses
from decco.desired.network import space_policy
from decco.desired.outgoing import (
    names_of,
    outgoing,
    parse_record,
    phase_of,
    possible_service,
    record_text,
    service_of,
    space_phase,
)
from decco.desired.space import namespace_child
from decco.objects import (
    ANNOTATION_EGRESS_ADDRESSES,
    ANNOTATION_EGRESS_POLICY,
    NETWORK_POLICIES,
    Obj,
    annotations_of,
)
from decco.settings import Settings
from tests.unit.desired.app_cases import POD, app, space_facts, space_inputs
from tests.unit.goldens import check_golden

PHASE = EgressPhase
CIDRS = [
    {"cidr": "203.0.113.0/24", "ports": [{"port": 5432}, {"port": 9000, "endPort": 9100, "protocol": "UDP"}]},
    {"cidr": "192.0.2.7/32"},
    {"cidr": "2001:db8::/32", "ports": [{"port": 80, "endPort": 80}]},
]
OTHER = ("global", "consul")
TARGETS = {
    OTHER: EgressTarget("consul.global.svc", 443, "consul.global.decco.test", ("global", "store", 20100)),
    ("global", "own-tls"): EgressTarget("own-tls.global.svc", 443, "own.global.decco.test", ("global", "store", 6443)),
    ("global", "silent"): EgressTarget("silent.global.svc", 443, "silent.global.decco.test", None),
    ("beta", "db"): EgressTarget("db.beta.svc", 443, "db.beta.decco.test", ("beta", "web", 20200)),
}
FOUND = {
    "api.example.com": NamedAddresses(("1.1.1.1", "2606:4700::1111", "1.0.0.1")),
    "other.example.com": NamedAddresses(("1.1.1.1", "8.8.8.8")),
}


def egresses(*targets: Any) -> list[Obj]:
    return [{"localPort": 7000 + i, **target} for i, target in enumerate(targets)]


def inputs(
    *targets: Any,
    phase: EgressPhase = PHASE.DECLARED,
    policy: str = "Declared",
    addresses: dict[str, NamedAddresses] | None = None,
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> AppInputs:
    spec = {"pod": POD, "endpoints": [], "tlsEgresses": egresses(*targets), **more}
    made = app(spec, space={"egressPolicy": policy}, targets=TARGETS)
    merged = Settings.model_validate({"routing": {"parentGateway": "edge/shared"}, **(settings or {})})
    return replace(made, egress=phase, addresses=FOUND if addresses is None else addresses, settings=merged)


def policy_of(made: AppInputs) -> Obj | None:
    return next((each.obj for each in app_children(made).children if each.resource == NETWORK_POLICIES), None)


def problems(made: AppInputs) -> list[str] | None:
    found = app_children(made).problems.get(ConditionType.NETWORK_READY)
    return [problem.reason for problem in found] if found is not None else None


def fqdn(name: str, port: int = 443) -> Obj:
    return {"fqdn": name, "targetPort": port}


# -- the Space --------------------------------------------------------------------------------------------------------


def test_the_policy_of_a_space() -> None:
    facts = space_facts(egressPolicy="Declared", egressCidrs=CIDRS)
    settings = Settings.model_validate(
        {"egress": {"dnsPods": ["kube-system/k8s-app=kube-dns", "dns/app=b"], "dnsPorts": [53, 5353]}}
    )
    made = [space_policy(facts, "namespace-uid", phase, settings).obj for phase in (PHASE.DECLARED, PHASE.PASSING)]
    check_golden("space-network/egress", made[:1])
    assert made[1]["spec"]["egress"] == [{}]
    assert [phase_of(each) for each in made] == [PHASE.DECLARED, PHASE.PASSING]


def test_an_open_space_has_the_policy_that_it_always_had() -> None:
    plain = space_policy(space_facts(), "namespace-uid")
    assert space_policy(space_facts(egressCidrs=CIDRS), "namespace-uid", PHASE.UNLIMITED, Settings()) == plain
    assert phase_of(plain.obj) is PHASE.UNLIMITED


def test_the_order_of_cidrs_causes_no_write() -> None:
    first, second = (
        space_policy(space_facts(egressCidrs=listed), None, PHASE.DECLARED, Settings())
        for listed in (CIDRS, CIDRS[::-1])
    )
    assert first == second


def test_no_rule_of_a_space_is_open_by_accident() -> None:
    """Without DNS in the settings there is no rule for it: an empty ``to`` or ``ports`` means all."""
    settings = Settings.model_validate({"egress": {"dnsPods": [], "dnsAddresses": []}})
    made = space_policy(space_facts(), None, PHASE.DECLARED, settings).obj
    assert made["spec"]["egress"] == [{"to": [{"podSelector": {}}]}]


@pytest.mark.parametrize(
    ("policy", "live", "limited", "ready", "phase"),
    [
        ("Open", None, False, True, PHASE.UNLIMITED),
        ("Open", PHASE.UNLIMITED, False, False, PHASE.UNLIMITED),
        ("Open", PHASE.DECLARED, True, True, PHASE.PASSING),
        ("Open", PHASE.PASSING, True, True, PHASE.PASSING),
        ("Open", PHASE.PASSING, False, True, PHASE.UNLIMITED),
        ("Open", PHASE.DECLARED, False, True, PHASE.UNLIMITED),
        ("Declared", None, False, False, PHASE.DECLARED),
        ("Declared", PHASE.UNLIMITED, False, False, PHASE.PASSING),
        ("Declared", PHASE.UNLIMITED, False, True, PHASE.DECLARED),
        ("Declared", PHASE.PASSING, True, False, PHASE.PASSING),
        ("Declared", PHASE.PASSING, True, True, PHASE.DECLARED),
        ("Declared", PHASE.DECLARED, True, False, PHASE.DECLARED),
    ],
)
def test_the_phases_of_a_switch(
    policy: str, live: EgressPhase | None, limited: bool, ready: bool, phase: EgressPhase
) -> None:
    assert space_phase(EgressPolicy(policy), live, apps_limited=limited, apps_ready=ready) is phase


def test_the_namespace_states_the_policy_and_an_old_one_is_not_written_again() -> None:
    def note(**facts: Any) -> object:
        made = space_inputs(egressPolicy=facts.pop("policy", "Open"))
        return annotations_of(namespace_child(replace(made, **facts)).obj).get(ANNOTATION_EGRESS_POLICY, "absent")

    assert note(policy="Declared") == "Declared"
    assert note() == "absent"
    assert note(noted=frozenset({"decco.platform9.com/egress-policy"})) is None  # to be removed


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "service", "possible"),
    [
        ("api.example.com", None, None),
        ("db.acme.svc", ("db", "acme"), ("db", "acme")),
        ("db.acme.svc.cluster.local", ("db", "acme"), ("db", "acme")),
        ("db.acme.svc.example.com", None, ("db", "acme")),
        ("pod-0.db.acme.svc.cluster.local", ("", ""), None),
        ("x.y.z.svc", ("", ""), None),
        ("acme.svc", ("", ""), None),
        ("10-0-0-1.acme.pod.cluster.local", ("", ""), None),
        ("cluster.local", ("", ""), None),
        ("notcluster.local", None, None),
        ("kubernetes.default.svc", ("kubernetes", "default"), ("kubernetes", "default")),
    ],
)
def test_names_inside_the_cluster(name: str, service: object, possible: object) -> None:
    assert service_of(name, Settings()) == service
    assert possible_service(name) == possible


def test_only_names_outside_are_resolved() -> None:
    aliases = {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["alias.example.com"]}]}
    targets = map(fqdn, ("api.example.com", "db", "db.acme.svc", "alias.example.com", "localhost", "a.cluster.local"))
    made = inputs(*targets, {"endpoint": "db"}, pod={**POD, **aliases})
    assert names_of(made.spec, made.settings) == {"api.example.com"}


def test_the_record_survives_and_nonsense_in_it_does_not() -> None:
    known = {"b.example.com": ("1.1.1.1",), "a.example.com": ("8.8.8.8", "2606:4700::1111"), "none.example.com": ()}
    text = record_text(known)
    assert text == "a.example.com=8.8.8.8 2606:4700::1111;b.example.com=1.1.1.1"
    assert parse_record(text) == {name: addresses for name, addresses in known.items() if addresses}
    assert parse_record("EVIL=1.1.1.1;a b=1.1.1.1;x.example=;y.example=nonsense 1.1.1.1;;=") == {
        "y.example": ("1.1.1.1",)
    }


# -- the App ----------------------------------------------------------------------------------------------------------


def test_the_policy_of_an_app() -> None:
    made = inputs(
        fqdn("api.example.com"),
        fqdn("other.example.com", 8443),
        fqdn("other.example.com"),
        {"endpoint": "consul", "spaceName": "global"},
        fqdn("own-tls.global.svc"),
        {"endpoint": "db"},
        {"endpoint": "silent", "spaceName": "global"},
        fqdn("db"),
        endpoints=[{"name": "web", "port": 8080, "httpPath": "/"}],
    )
    found = policy_of(made)
    assert found is not None
    check_golden("space-network/app-egress", [found])
    assert phase_of(found) is PHASE.DECLARED
    assert problems(made) == []


def test_an_app_without_endpoints_has_egress_alone() -> None:
    found = policy_of(inputs({"endpoint": "consul", "spaceName": "global"}))
    assert found is not None
    assert found["spec"]["policyTypes"] == ["Egress"]
    assert "ingress" not in found["spec"]


def test_targets_in_the_own_space_need_no_rule_and_open_nothing() -> None:
    """The type alone closes: an empty list of rules, which the API server drops, permits nothing."""
    found = policy_of(inputs({"endpoint": "db"}, fqdn("db.beta.svc")))
    assert found is not None
    assert found["spec"]["policyTypes"] == ["Egress"]
    assert "egress" not in found["spec"]


def test_an_app_without_egresses_has_the_policy_that_it_always_had() -> None:
    web = [{"name": "web", "port": 8080, "httpPath": "/"}]
    declared = inputs(endpoints=web)
    assert policy_of(declared) == policy_of(inputs(endpoints=web, phase=PHASE.UNLIMITED, policy="Open"))
    assert problems(declared) is None


def test_what_is_not_permitted_is_reported_with_its_cause() -> None:
    addresses = {
        "inside.example.com": NamedAddresses(("10.0.0.1", "169.254.169.254", "1.1.1.1")),
        "gone.example.com": NamedAddresses(error="the name does not exist"),
        "failing.example.com": NamedAddresses(("8.8.8.8",), error="no DNS server answered in time"),
        "new.example.com": NamedAddresses(pending=True),
    }
    made = inputs(
        *map(fqdn, addresses),
        fqdn("mysql.databases.svc"),
        fqdn("consul.global.svc", 8500),
        fqdn("kubernetes.default.svc.cluster.local"),
        addresses=addresses,
    )
    found = app_children(made).problems[ConditionType.NETWORK_READY]
    assert [(problem.reason, problem.message.split(" ")[0]) for problem in found] == [
        ("EgressRefused", "inside.example.com"),
        ("EgressUnresolved", "gone.example.com"),
        ("EgressUnresolved", "failing.example.com"),
        ("EgressPending", "the"),
        ("EgressRefused", "mysql.databases.svc:443"),
        ("EgressRefused", "consul.global.svc:8500"),
        ("EgressRefused", "kubernetes.default.svc.cluster.local:443"),
    ]
    assert "10.0.0.1 is not a global address" in found[0].message
    assert "169.254.169.254 is an instance metadata service" in found[0].message
    policy = policy_of(made)
    assert policy is not None
    blocks = [peer["ipBlock"]["cidr"] for rule in policy["spec"]["egress"] for peer in rule["to"]]
    assert blocks == ["1.1.1.1/32", "8.8.8.8/32"]
    assert (
        annotations_of(policy)[ANNOTATION_EGRESS_ADDRESSES] == "failing.example.com=8.8.8.8;inside.example.com=1.1.1.1"
    )


def test_aliases_of_the_pod_count_instead_of_dns_and_are_judged_as_well() -> None:
    aliases = {
        "hostAliases": [
            {"ip": "1.1.1.1", "hostnames": ["api.example.com"]},
            {"ip": "169.254.169.254", "hostnames": ["meta.example.com"]},
            {"ip": "nonsense", "hostnames": ["x.example.com"]},
            {"hostnames": "none"},
        ]
    }
    made = inputs(fqdn("api.example.com"), fqdn("meta.example.com"), pod={**POD, **aliases})
    policy = policy_of(made)
    assert policy is not None
    assert policy["spec"]["egress"] == [
        {"to": [{"ipBlock": {"cidr": "1.1.1.1/32"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]
    assert problems(made) == ["EgressRefused"]


def test_a_name_that_leads_to_the_edge_permits_the_edge_behind_it() -> None:
    settings = {"edge": {"namespace": "edge", "cidrs": ["10.1.0.0/28"]}, "egress": {"edgePorts": [10443]}}
    made = inputs(
        fqdn("api.example.com"), addresses={"api.example.com": NamedAddresses(("10.7.0.1",))}, settings=settings
    )
    assert problems(made) == ["EgressRefused"]
    known = replace(made, edge_addresses=frozenset({"10.7.0.1"}))
    assert problems(known) == []
    policy = policy_of(known)
    assert policy is not None
    assert policy["spec"]["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.7.0.1/32"}}], "ports": [{"protocol": "TCP", "port": 443}]},
        {
            "to": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}},
                {"ipBlock": {"cidr": "10.1.0.0/28"}},
            ],
            "ports": [{"protocol": "TCP", "port": 10443}],
        },
    ]


PENDING = {"api.example.com": NamedAddresses(pending=True)}
KEPT = {"api.example.com": NamedAddresses(("1.1.1.1",), pending=True)}


@pytest.mark.parametrize(
    ("phase", "policy", "addresses", "has_rules"),
    [
        (PHASE.UNLIMITED, "Open", FOUND, False),
        (PHASE.UNLIMITED, "Declared", FOUND, False),  # would close the pods before the Space's policy opens them
        (PHASE.PASSING, "Declared", FOUND, True),
        (PHASE.PASSING, "Declared", PENDING, False),  # the Space waits, and nothing is interrupted
        (PHASE.PASSING, "Declared", KEPT, False),
        (PHASE.PASSING, "Open", FOUND, False),
        (PHASE.DECLARED, "Declared", FOUND, True),
        (PHASE.DECLARED, "Declared", PENDING, True),
        (PHASE.DECLARED, "Declared", KEPT, True),
        (PHASE.DECLARED, "Open", FOUND, True),  # until the Space's policy passes everything
    ],
)
def test_when_an_app_writes_its_rules(
    phase: EgressPhase, policy: str, addresses: dict[str, NamedAddresses], has_rules: bool
) -> None:
    made = inputs(fqdn("api.example.com"), phase=phase, policy=policy, addresses=addresses)
    found = outgoing(made, {7000})
    assert (found.rules is not None) is has_rules
    assert (found.problems is not None) is (policy == "Declared")


@pytest.mark.parametrize("phase", EgressPhase)
@pytest.mark.parametrize("addresses", [FOUND, PENDING, KEPT])
def test_rules_that_exist_stay_while_the_egress_is_declared(
    phase: EgressPhase, addresses: dict[str, NamedAddresses]
) -> None:
    """Another writer may have opened the policy of the Space, which is about to be repaired."""
    made = inputs(fqdn("api.example.com"), phase=phase, addresses=addresses)
    assert outgoing(replace(made, egress_limited=True), {7000}).rules is not None


def test_an_egress_that_the_sidecar_leaves_out_opens_nothing() -> None:
    found = outgoing(inputs(fqdn("api.example.com"), fqdn("other.example.com")), {7001})
    assert found.record == "other.example.com=1.1.1.1 8.8.8.8"


def test_the_order_of_egresses_and_addresses_causes_no_write() -> None:
    forward = inputs(fqdn("api.example.com"), fqdn("other.example.com"), {"endpoint": "consul", "spaceName": "global"})
    backward = inputs({"endpoint": "consul", "spaceName": "global"}, fqdn("other.example.com"), fqdn("api.example.com"))
    assert policy_of(forward) == policy_of(backward)


def test_the_record_is_removed_with_the_last_name() -> None:
    made = inputs({"endpoint": "consul", "spaceName": "global"})
    for recorded, expected in ((False, {}), (True, {ANNOTATION_EGRESS_ADDRESSES: None})):
        policy = policy_of(replace(made, egress_recorded=recorded))
        assert policy is not None
        assert annotations_of(policy) == expected
