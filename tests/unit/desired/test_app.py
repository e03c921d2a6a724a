from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from decco.api.conditions import ConditionType
from decco.api.types import AppSpec, Egress, Endpoint
from decco.desired.app import app_children
from decco.desired.model import AppInputs, EgressTarget, SecretState
from tests.unit.desired.app_cases import FQDN, GOOD_SECRETS, POD, addresses, app, by_address, objs, reasons_of, secret
from tests.unit.goldens import check_golden

TARGETS = {
    ("beta", "db"): EgressTarget("db.beta.svc", 443, f"db.{FQDN}"),
    ("gamma", "db"): EgressTarget("db.gamma.svc", 443, "db.gamma.decco.test"),
}

TALK_HTTP = app({"httpUrlPath": "/web"})
TALK_TCP = app({"verifyTcpClientCert": True, "createDnsRecord": True}, name="db")
SEVERAL = app(
    {
        "initialReplicas": 2,
        "endpoints": [
            {"name": "shop", "port": 8080, "httpPath": "/shop", "rewritePath": "/"},
            {
                "name": "orders",
                "port": 8081,
                "allowedClients": ["nova.acme.decco.test", "pay.acme.decco.test"],
                "certAndCaSecretName": "own",
                "tlsListenPort": 8443,
                "createClearTextService": True,
                "createDnsRecord": True,
                "hostname": "orders.example.com",
            },
            {"name": "raw", "port": 8082, "disableTlsTermination": True},
            {"name": "metrics", "port": 9090, "isMetricsEndpoint": True},
        ],
        "tlsEgresses": [
            {"localPort": 5432, "endpoint": "db", "spaceName": "gamma"},
            {"localPort": 8000, "fqdn": "api.example.net", "targetPort": 8443, "certAndCaSecretName": "client"},
        ],
    },
    name="store",
    space={
        "hostnames": ["orders.example.com"],
        "project": "acme",
        "runtimeClassName": "kata",
        "topology": {"zoneSpread": "Prefer"},
    },
    targets=TARGETS,
)
JOB = app(
    {
        "runAsJob": True,
        "jobBackoffLimit": 3,
        "endpoints": [{"name": "progress", "port": 8080}],
        "egresses": [{"localPort": 443, "endpoint": "db"}, {"localPort": 5433, "endpoint": "gone"}],
    },
    name="migrate",
    targets=TARGETS,
)
ENCRYPTED = app({"httpUrlPath": "/web"}, space={"encryptHttp": True})


@pytest.mark.parametrize(
    ("golden", "inputs"),
    [
        ("app/talk-http", TALK_HTTP),
        ("app/talk-tcp", TALK_TCP),
        ("app/several-endpoints", SEVERAL),
        ("app/job", JOB),
        ("app/encrypt-http", ENCRYPTED),
    ],
)
def test_goldens(golden: str, inputs: AppInputs) -> None:
    check_golden(golden, objs(app_children(inputs)))


def test_the_order_of_writing() -> None:
    """Isolation before what it isolates, what pods read before pods, and pods before the way to them."""
    assert addresses(SEVERAL) == [
        "NetworkPolicy/app-store",
        "ConfigMap/store-stunnel",
        "Service/shop",
        "Service/orders",
        "Service/orders-cleartext",
        "Service/raw",
        "Service/metrics",
        "Deployment/store",
        "HTTPRoute/shop",
        "TLSRoute/orders",
        "TLSRoute/raw",
    ]
    assert addresses(ENCRYPTED)[-2:] == ["BackendTLSPolicy/web", "HTTPRoute/web"]


def test_every_child_is_the_apps_own() -> None:
    for inputs in (TALK_HTTP, TALK_TCP, SEVERAL, JOB, ENCRYPTED):
        for obj in objs(app_children(inputs)):
            meta = obj["metadata"]
            assert meta["namespace"] == "beta"
            assert meta["labels"] == {
                "app.kubernetes.io/managed-by": "decco",
                "decco.platform9.com/space": "beta",
                "decco.platform9.com/app": inputs.name,
            }
            assert meta["ownerReferences"] == [
                {
                    "apiVersion": "decco.platform9.com/v1beta2",
                    "kind": "App",
                    "name": inputs.name,
                    "uid": inputs.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]


def test_equal_inputs_give_equal_objects() -> None:
    assert app_children(SEVERAL) == app_children(replace(SEVERAL))


def test_an_app_without_endpoints_and_egresses_is_its_workload() -> None:
    inputs = app({"endpoints": []})
    assert addresses(inputs) == ["Deployment/web"]
    assert {str(c) for c in app_children(inputs).problems} == {"WorkloadReady"}


# -- every field does what it says, and nothing else ------------------------------------------------------------------

TCP = {"name": "one", "port": 8080}
HTTP = {**TCP, "httpPath": "/a"}
DEPLOYMENT, CONFIG, SERVICE, POLICY = "Deployment/web", "ConfigMap/web-stunnel", "Service/one", "NetworkPolicy/app-web"
TLS_ROUTE, HTTP_ROUTE = "TLSRoute/one", "HTTPRoute/one"

ENDPOINT_FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "name": (
        TCP,
        {"name": "two"},
        {
            *(DEPLOYMENT, CONFIG, SERVICE, POLICY, TLS_ROUTE),
            *("Service/two", "TLSRoute/two"),
        },
    ),
    "port": (TCP, {"port": 8081}, {CONFIG}),
    "http_path": (HTTP, {"httpPath": "/b"}, {HTTP_ROUTE}),
    "rewrite_path": (HTTP, {"rewritePath": "/b"}, {HTTP_ROUTE}),
    "http_paths": (
        {**HTTP, "httpPath": None},
        {"httpPaths": [{"path": "/a"}, {"path": "/b"}]},
        {POLICY, CONFIG, DEPLOYMENT, SERVICE, TLS_ROUTE, HTTP_ROUTE},
    ),
    "http_hostnames": (HTTP, {"httpHostnames": ["not.of.the.space"]}, {HTTP_ROUTE}),
    "probe_path": (HTTP, {"probePath": "/healthz"}, set()),
    "verify_tcp_client_cert": (TCP, {"verifyTcpClientCert": True}, {CONFIG}),
    "allowed_clients": (TCP, {"allowedClients": ["x.test"]}, {CONFIG}),
    "cert_and_ca_secret_name": (TCP, {"certAndCaSecretName": "own"}, {CONFIG, DEPLOYMENT}),
    "create_dns_record": (TCP, {"createDnsRecord": True}, set()),
    "hostname": (TCP, {"hostname": f"other.{FQDN}"}, {TLS_ROUTE}),
    "disable_tls_termination": (TCP, {"disableTlsTermination": True}, {CONFIG, DEPLOYMENT, SERVICE, POLICY}),
    "tls_listen_port": (TCP, {"tlsListenPort": 8443}, {SERVICE, TLS_ROUTE}),
    "app_protocol": (HTTP, {"appProtocol": "grpc"}, {SERVICE, HTTP_ROUTE}),
    "timeouts": (HTTP, {"timeouts": {"request": "5s"}}, {HTTP_ROUTE}),
    "create_clear_text_service": (TCP, {"createClearTextService": True}, {"Service/one-cleartext"}),
    "is_metrics_endpoint": (
        TCP,
        {"isMetricsEndpoint": True},
        {CONFIG, DEPLOYMENT, SERVICE, POLICY, TLS_ROUTE},
    ),
}

EGRESS = {"localPort": 5432, "endpoint": "db"}
EGRESS_FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "local_port": (EGRESS, {"localPort": 5433}, {CONFIG}),
    "fqdn": (EGRESS, {"endpoint": None, "fqdn": "x.test"}, {CONFIG}),
    "endpoint": (EGRESS, {"endpoint": "gone"}, {CONFIG}),
    "space_name": (EGRESS, {"spaceName": "gamma"}, {CONFIG}),
    "target_port": ({"localPort": 5432, "fqdn": "x.test"}, {"targetPort": 1}, {CONFIG}),
    "cert_and_ca_secret_name": (EGRESS, {"certAndCaSecretName": "client"}, {CONFIG, DEPLOYMENT}),
    "disable_server_cert_verification": (EGRESS, {"disableServerCertVerification": True}, {CONFIG}),
}

APP = {"pod": POD, "endpoints": []}
APP_FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "pod": (APP, {"pod": {**POD, "hostname": "x"}}, {DEPLOYMENT}),
    "initial_replicas": (APP, {"initialReplicas": 2}, {DEPLOYMENT}),
    "replicas": (APP, {"replicas": 2}, {DEPLOYMENT}),
    "suspend": ({"pod": POD, "httpUrlPath": "/a"}, {"suspend": True}, {DEPLOYMENT, "HTTPRoute/web"}),
    "disruption_budget": ({**APP, "replicas": 2}, {"disruptionBudget": {}}, {"PodDisruptionBudget/web"}),
    "pod_metadata": (APP, {"podMetadata": {"labels": {"team": "a"}, "annotations": {"x.test/a": "b"}}}, {DEPLOYMENT}),
    "deployment": (APP, {"deployment": {"strategy": {"type": "Recreate"}}}, {DEPLOYMENT}),
    "stateful_set": (APP, {"statefulSet": {}}, {DEPLOYMENT, "StatefulSet/web", "Service/web-pods"}),
    "job": (APP, {"job": {"completions": 2}}, {DEPLOYMENT, "Job/web"}),
    "run_as_job": (APP, {"runAsJob": True}, {DEPLOYMENT, "Job/web"}),
    "job_backoff_limit": ({**APP, "runAsJob": True}, {"jobBackoffLimit": 2}, {"Job/web"}),
    "endpoints": (APP, {"endpoints": [TCP]}, {DEPLOYMENT, CONFIG, SERVICE, POLICY, TLS_ROUTE}),
    "http_url_path": (
        {"pod": POD},
        {"httpUrlPath": "/a"},
        {DEPLOYMENT, CONFIG, POLICY, "Service/web", "TLSRoute/web", "HTTPRoute/web"},
    ),
    "verify_tcp_client_cert": ({"pod": POD}, {"verifyTcpClientCert": True}, {CONFIG}),
    "create_dns_record": ({"pod": POD}, {"createDnsRecord": True}, set()),
    "tls_ca_and_cert_secret_name": ({"pod": POD}, {"tlsCaAndCertSecretName": "own"}, {CONFIG, DEPLOYMENT}),
    "tls_egresses": (APP, {"tlsEgresses": [EGRESS]}, {DEPLOYMENT, CONFIG}),
    "canary_of": (
        {"pod": POD, "httpUrlPath": "/a"},
        {"canaryOf": "main", "weight": 5},
        {"HTTPRoute/web"},
    ),
    # A reconciler makes a suspended App of it where it is not placed.
    "placement": (APP, {"placement": {"clusters": [{"id": "elsewhere"}]}}, set()),
    "weight": ({"pod": POD, "httpUrlPath": "/a", "canaryOf": "main", "weight": 5}, {"weight": 10}, set()),
}


def _differing(before: AppInputs, after: AppInputs) -> set[str]:
    old, new = by_address(before), by_address(after)
    return {
        f"{kind}/{name}" for kind, name in old.keys() | new.keys() if old.get((kind, name)) != new.get((kind, name))
    }


def _check(
    base: dict[str, Any], change: dict[str, Any], want: set[str], spec: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    before = app(spec({key: value for key, value in base.items() if value is not None}), targets=TARGETS)
    after = app(spec({key: value for key, value in {**base, **change}.items() if value is not None}), targets=TARGETS)
    assert _differing(before, after) == want


@pytest.mark.parametrize("field", ENDPOINT_FIELDS)
def test_each_field_of_an_endpoint(field: str) -> None:
    _check(*ENDPOINT_FIELDS[field], lambda endpoint: {"endpoints": [endpoint]})


@pytest.mark.parametrize("field", EGRESS_FIELDS)
def test_each_field_of_an_egress(field: str) -> None:
    _check(*EGRESS_FIELDS[field], lambda egress: {"endpoints": [], "tlsEgresses": [egress]})


@pytest.mark.parametrize("field", APP_FIELDS)
def test_each_field_of_an_app(field: str) -> None:
    _check(*APP_FIELDS[field], lambda spec: spec)


def test_no_field_was_forgotten() -> None:
    assert ENDPOINT_FIELDS.keys() == Endpoint.model_fields.keys()
    assert EGRESS_FIELDS.keys() == Egress.model_fields.keys()
    assert APP_FIELDS.keys() == AppSpec.model_fields.keys()


# -- what goes wrong, and what it touches -----------------------------------------------------------------------------

MISSING = {name: secret(name, SecretState.MISSING) for name in GOOD_SECRETS}


@pytest.mark.parametrize("inputs", [TALK_HTTP, TALK_TCP, SEVERAL, JOB], ids=["http", "tcp", "several", "job"])
@pytest.mark.parametrize("state", [SecretState.MISSING, SecretState.PENDING, SecretState.DELETED])
def test_a_lost_secret_changes_nothing(inputs: AppInputs, state: SecretState) -> None:
    lost = replace(inputs, secrets={name: secret(name, state) for name in GOOD_SECRETS})
    assert _differing(inputs, lost) == set()
    certificate_reasons = {reason for condition, reason in reasons_of(lost) if condition == "CertificatesReady"}
    assert certificate_reasons == {
        {
            SecretState.MISSING: "SecretMissing",
            SecretState.PENDING: "SecretPending",
            SecretState.DELETED: "SecretDeleted",
        }[state]
    }


def test_a_tcp_endpoint_without_certificate_is_never_served_in_plain_text() -> None:
    inputs = app(space={"tcpCertAndCaSecretName": None})
    children = by_address(inputs)
    (port,) = children["Service", "web"]["spec"]["ports"]
    assert isinstance(port["targetPort"], str)
    declared = children["Deployment", "web"]["spec"]["template"]["spec"]
    assert "initContainers" not in declared
    assert ("NetworkPolicy", "app-web") not in children
    assert reasons_of(inputs) == [("CertificatesReady", "CertificateMissing")]


def test_an_endpoint_of_another_app_is_left_out_and_the_rest_goes_on() -> None:
    spec = {"endpoints": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}
    got = addresses(app(spec, taken={"name:a": "elder"}))
    assert got == [
        "NetworkPolicy/app-web",
        "ConfigMap/web-stunnel",
        "Service/b",
        "Deployment/web",
        "TLSRoute/b",
    ]


def test_the_policy_opens_listeners_and_not_what_is_behind_them() -> None:
    policy = by_address(SEVERAL)["NetworkPolicy", "app-store"]
    open_ports = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    resolved = {endpoint.name: endpoint for endpoint in app_children(SEVERAL).resolved.endpoints}
    assert open_ports == {8080, resolved["orders"].pod_port, 8082, 9090}
    assert 8081 not in open_ports
    monitored = [rule for rule in policy["spec"]["ingress"] if [port["port"] for port in rule["ports"]] == [9090]]
    assert monitored[0]["from"] == [{"namespaceSelector": {"matchLabels": {"decco.platform9.com/monitoring": "true"}}}]


def test_without_a_routing_backend_there_are_no_routes() -> None:
    inputs = app({"httpUrlPath": "/web"}, routing={"backend": "none"})
    assert addresses(inputs) == ["NetworkPolicy/app-web", "Service/web", "Deployment/web"]
    assert "RoutesReady" not in app_children(inputs).problems


@pytest.mark.parametrize(
    ("spec", "space", "want"),
    [
        ({"httpUrlPath": "/"}, {}, {"WorkloadReady", "CertificatesReady", "RoutesReady"}),
        ({}, {}, {"WorkloadReady", "CertificatesReady", "RoutesReady"}),
        (
            {"endpoints": [{**TCP, "disableTlsTermination": True}]},
            {},
            {"WorkloadReady", "RoutesReady"},
        ),
        ({"endpoints": [{**TCP, "isMetricsEndpoint": True}]}, {}, {"WorkloadReady"}),
        ({"endpoints": [], "tlsEgresses": [EGRESS]}, {}, {"WorkloadReady", "CertificatesReady"}),
        ({"endpoints": [], "tlsEgresses": [EGRESS]}, {"tcpCertAndCaSecretName": None}, {"WorkloadReady"}),
    ],
    ids=["http", "tcp", "TLS in the container", "metrics", "egress", "egress without Secret"],
)
def test_which_conditions_apply(spec: dict[str, Any], space: dict[str, Any], want: set[str]) -> None:
    assert {str(c) for c in app_children(app(spec, space=space, targets=TARGETS)).problems} == want


HTTP_ONLY: dict[str, Any] = {"httpUrlPath": "/"}


@pytest.mark.parametrize(
    ("spec", "space", "view", "want"),
    [
        (HTTP_ONLY, {"httpCertSecretName": None}, None, ["CertificateMissing"]),
        (HTTP_ONLY, {}, secret("http", has_ca=False), []),
        ({}, {}, secret("tcp", has_ca=False), []),
        ({"verifyTcpClientCert": True}, {}, secret("tcp", has_ca=False), ["SecretInvalid"]),
        ({"verifyTcpClientCert": True}, {}, secret("tcp", facts=False), ["SecretPending"]),
        ({"tlsCaAndCertSecretName": "gone"}, {}, None, ["SecretMissing"]),
    ],
    ids=[
        "HTTP without a certificate",
        "HTTP without ca.crt",
        "TCP without ca.crt",
        "verified clients without ca.crt",
        "not read yet",
        "no such Secret",
    ],
)
def test_certificates(spec: dict[str, Any], space: dict[str, Any], view: Any, want: list[str]) -> None:
    secrets = GOOD_SECRETS if view is None else {**GOOD_SECRETS, view.name: view}
    assert [reason for _, reason in reasons_of(app(spec, space=space, secrets=secrets))] == want


def test_where_a_missing_secret_could_be_put() -> None:
    """A Secret that the App names may also be in its own namespace; one that the Space names comes from decco's."""
    own = app({"tlsCaAndCertSecretName": "own"}, secrets=MISSING)
    (problem,) = app_children(own).problems[ConditionType.CERTIFICATES_READY]
    assert "none in namespace beta" in problem.message
    (problem,) = app_children(app(secrets=MISSING)).problems[ConditionType.CERTIFICATES_READY]
    assert "namespace beta" not in problem.message
