"""Findings about names, certificates and records; with a real controller see tests/integration/test_cli.py."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from decco.desired.issued import CertificateView
from decco.desired.secret_content import inspect
from decco.dns.registry import Owner
from decco.messages import Category, Severity, messages
from decco.objects import CERTIFICATES, NETWORK_POLICIES, SERVICES, SPACES, Key, Obj
from decco.views.dry_run_client import WRITTEN_NOW
from decco.views.explanation.explain import explain
from decco.views.explanation.parts import World, _issuance, validity
from decco.views.findings import Finding
from decco.views.lookup import Answer
from decco.views.targets import ExplainTarget
from tests.unit.desired.test_revocation import NOW as LISTED
from tests.unit.desired.test_revocation import ROOT, lists
from tests.unit.desired.test_revocation import secret as with_lists
from tests.unit.views.stories import NOW, app, secret, simulated, space

ZONES = {"dns": {"providers": [{"type": "memory", "zones": ["example.net"]}]}, "edge": {"addresses": ["192.0.2.1"]}}


def world(*objects: Obj, now: datetime = NOW, answers: dict[str, Answer] | None = None, **settings: Any) -> World:
    snapshot, result = simulated(*objects, **settings)
    snapshot.offline = False
    return World(snapshot, result, now, {}, answers or {})


def said(found: World, target: ExplainTarget, about: str) -> list[tuple[Severity, str]]:
    return [(each.severity, each.text) for each in explain(found, target) if each.about == about]


def test_the_owner_of_a_name_and_who_lost_it() -> None:
    found = world(
        space("acme"), space("beta", domainName="acme.example.net"), space("zeta", hostnames=["x.acme.example.net"])
    )
    target = ExplainTarget(hostname="x.acme.example.net")
    assert said(found, target, "owner")[0][1].startswith("Space acme, since ")
    assert [text.partition(" claims ")[0] for _, text in said(found, target, "claim")] == ["Space zeta"]
    assert said(found, target, "endpoint")[0][0] is Severity.FAILURE
    assert said(found, ExplainTarget(hostname="a.beta.acme.example.net"), "claim") == [
        (
            Severity.WARNING,
            (
                "Space beta claims beta.acme.example.net too, and it is granted to Space acme: it gets no "
                "route and no record for it"
            ),
        )
    ]


def test_a_name_of_nobody() -> None:
    found = world(space("acme"))
    assert said(found, ExplainTarget(hostname="acmee.example.net"), "owner") == [
        (
            Severity.FAILURE,
            (
                "no Space has this name: it would be under <space>.<domainName>, or in the hostnames of a Space; "
                "did you mean acme.example.net?"
            ),
        )
    ]
    found.snapshot.unreadable.add((SPACES, ""))
    assert "no Space that you may see has this name" in said(found, ExplainTarget(hostname="x.org"), "owner")[0][1]


@pytest.mark.parametrize(
    ("host", "days", "state", "words"),
    [
        ("acme.example.net", 0, Severity.OK, "for acme.example.net; until "),
        ("*.example.net", 0, Severity.OK, "for *.example.net; until "),
        ("*.acme.example.net", 0, Severity.FAILURE, "acme.example.net is not among its names"),
        ("acme.example.net", 20, Severity.WARNING, "9 days: renew it"),
        ("acme.example.net", 60, Severity.FAILURE, "CertificateExpired: Secret http: the certificate expired on "),
    ],
)
def test_certificates(host: str, days: int, state: Severity, words: str) -> None:
    now = datetime.now(NOW.tzinfo) + timedelta(days=days)
    found = world(space(httpCertSecretName="http"), secret("http", host), now=now)
    ((shown, text),) = said(found, ExplainTarget(space="acme"), "certificate http")
    assert shown is state
    assert words in text


@pytest.mark.parametrize(
    ("hours", "state", "words"),
    [(48, Severity.OK, "; with lists of revoked certificates, until "), (5, Severity.WARNING, "issue new ones")],
)
def test_lists_of_revoked_certificates(hours: int, state: Severity, words: str) -> None:
    facts = inspect("Opaque", with_lists(lists(ROOT, until=LISTED + timedelta(hours=hours))))
    found = validity(world(space(), now=LISTED), "certificate tcp", "TCP endpoints", facts, None)
    assert found.severity is state, found.text
    assert words in found.text


def test_a_secret_that_may_not_be_seen_is_no_failure() -> None:
    found = world(space(httpCertSecretName="http"))
    found.snapshot.unreadable.add((found.snapshot.caches.sources.resource, "decco"))
    ((state, text),) = said(found, ExplainTarget(space="acme"), "certificate http")
    assert state is Severity.UNKNOWN
    assert text.startswith("you may not read the Secrets of decco: ")


FQDN = "acme.example.net"
OURS = Owner("default", "<uid of Space acme>")


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (Answer(("192.0.2.1",), None, OURS), Severity.OK, "192.0.2.1; marked as decco's"),
        (Answer(("192.0.2.9",), None, OURS), Severity.WARNING, "192.0.2.9, which is not 192.0.2.1"),
        (Answer(("192.0.2.1",)), Severity.WARNING, "it has no ownership record of decco"),
        (Answer(("192.0.2.1",), None, Owner("west", "1")), Severity.OK, "marked by cluster west"),
        (
            Answer(("192.0.2.1",), None, Owner("default", "1")),
            Severity.FAILURE,
            "marked for another object of this cluster",
        ),
        (Answer(), Severity.FAILURE, "nothing is published"),
        (Answer(trouble="timed out"), Severity.UNKNOWN, "no answer, ask another DNS server with --resolver: timed out"),
    ],
)
def test_what_dns_says(answer: Answer, state: Severity, words: str) -> None:
    found = world(space(), answers={FQDN: answer}, **ZONES)
    assert said(found, ExplainTarget(space="acme"), "record")[0][0] is Severity.OK
    ((shown, text),) = said(found, ExplainTarget(space="acme"), "DNS")
    assert shown is state
    assert words in text


@pytest.mark.parametrize(
    ("settings", "state", "words"),
    [
        ({}, Severity.WARNING, "no DNS provider is set; publish the name yourself"),
        ({"edge": {"addresses": ["192.0.2.1"]}}, Severity.WARNING, "publish the name to 192.0.2.1 yourself"),
        (
            {"dns": {"providers": [{"type": "memory", "zones": ["a.org"]}]}},
            Severity.FAILURE,
            "no zone of dns.providers holds it",
        ),
        ({"dns": ZONES["dns"]}, Severity.FAILURE, "the edge has no address"),
        (ZONES, Severity.OK, "wanted in zone example.net, leading to 192.0.2.1"),
    ],
)
def test_records(settings: dict[str, Any], state: Severity, words: str) -> None:
    ((shown, text),) = said(world(space(), **settings), ExplainTarget(space="acme"), "record")
    assert shown is state
    assert words in text


def test_backends_and_what_may_not_be_read() -> None:
    found = world(space(tcpCertAndCaSecretName="tcp"), secret("tcp"), app("db", "acme", {"name": "db"}))
    target = ExplainTarget(app=Key("acme", "db"))
    assert (Severity.FAILURE, "Service acme/db: no pod is ready (0 known); see `kubectl -n acme get pods`") in said(
        found, target, "endpoint db"
    )
    found.ready_backends = {Key("acme", "db"): (1, 2)}
    assert (Severity.OK, "Service acme/db: 1 of 2 pods ready") in said(found, target, "endpoint db")
    found.snapshot.unreadable.add((SERVICES, "acme"))
    assert (Severity.UNKNOWN, "you may not read Services and EndpointSlices in acme") in said(
        found, target, "endpoint db"
    )


def test_codes() -> None:
    found = world(space(httpCertSecretName="http"), secret("http", "other.example.net"), **ZONES)
    codes = {each.about: each.code for each in explain(found, ExplainTarget(space="acme"))}
    assert codes["host name"] == ""
    assert codes["certificate http"] == messages(Category.FINDING)["certificate-for-other-names"].code
    found = world(space(httpCertSecretName="http"), secret("http", share="other"))
    codes = {each.about: each.code for each in explain(found, ExplainTarget(space="acme"))}
    missing = messages(Category.CONDITION)["SecretMissing"].code
    assert (codes["certificate http"], codes["CertificatesReady"]) == (missing, missing)


def test_the_reason_of_another_version_is_a_failure_without_a_code() -> None:
    finding = Finding("Ready", "Frobnicated: out of order", "Frobnicated")
    assert (finding.severity, finding.code) == (Severity.FAILURE, "")


def _with_condition(obj: Obj, kind: str, status: str, reason: str) -> Obj:
    condition = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": f"what is behind {reason}",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    return {**obj, "status": {"observedGeneration": 1, "conditions": [condition]}}


def test_what_the_probes_of_the_controller_have_seen() -> None:
    db = app("db", "acme", {"name": "db", "certAndCaSecretName": "tls"})
    good = secret("tls", "db.acme.example.net")
    routes = {"routing": {"backend": "none"}}
    broken = world(space("acme"), good, _with_condition(db, "RoutesReady", "False", "PortClosed"), **routes)
    assert said(broken, ExplainTarget(app=Key("acme", "db")), "RoutesReady") == [
        (Severity.FAILURE, "PortClosed: what is behind PortClosed")
    ]
    [(severity, text)] = said(broken, ExplainTarget(space="acme"), "app db")
    assert severity is not Severity.OK
    assert "PortClosed" in text
    away = world(_with_condition(space("acme"), "RoutesReady", "True", "NotProbed"), **routes)
    assert said(away, ExplainTarget(space="acme"), "RoutesReady") == [
        (Severity.OK, "NotProbed: what is behind NotProbed")
    ]


def test_connections_out_of_a_space() -> None:
    found = world(space(), space("b", egressPolicy="Declared", egressCidrs=[{"cidr": "192.0.2.0/24"}]))
    assert said(found, ExplainTarget(space="acme"), "egress") == [
        (Severity.OK, "open: its pods may connect to everything")
    ]
    ((_, text),) = said(found, ExplainTarget(space="b"), "egress")
    assert text.startswith("declared: DNS, the Space itself, 192.0.2.0/24, and for each App its tlsEgresses")


def test_the_mesh_of_a_space() -> None:
    found = world(space(), space("b", mesh="Istio"))
    assert said(found, ExplainTarget(space="acme"), "mesh") == []
    ((severity, text),) = said(found, ExplainTarget(space="b"), "mesh")
    assert severity is Severity.OK
    assert text.startswith("Istio, Strict since 2026-06-01T00:00:00Z: its pods are inside; declared ports also take")


def test_plain_text_in_a_mesh() -> None:
    def endpoint(name: str, port: int, **more: object) -> Obj:
        return {"name": name, "port": port, "createClearTextService": True, **more}

    clients = ["batch.b.example.net", "x.example.org"]
    found = world(
        space(mesh="Istio", project="p"),
        space("b", mesh="Istio", project="p"),
        space("open", mesh="Istio"),
        space("plain"),
        app("web", "acme", endpoint("cache", 6379), endpoint("db", 5432, verifyTcpClientCert=True)),
        app("named", "acme", endpoint("ledger", 6380, allowedClients=clients)),
        app("web", "open", endpoint("cache", 6379)),
        app("web", "plain", endpoint("cache", 6379)),
    )

    def text(namespace: str, name: str = "web") -> list[str]:
        return [each for _, each in said(found, ExplainTarget(app=Key(namespace, name)), "mesh")]

    cache, db = text("acme")
    assert cache == "cache-cleartext.acme:6379 in plain text by the mesh: Spaces of project p"
    assert "nobody of other Spaces" in db
    (ledger,) = text("acme", "named")
    assert "service account batch of Space b; not x.example.org" in ledger
    assert "everybody in the mesh" in text("open")[0]
    assert text("plain") == []


def test_limits_of_a_space() -> None:
    limits = {"clientCidrs": ["192.0.2.0/24"], "requestRate": {"requests": 5}, "timeouts": {"idle": "1m"}}
    found = world(space(), space("b", limits=limits))
    assert said(found, ExplainTarget(space="acme"), "limits") == []
    want = "clientCidrs 192.0.2.0/24; requestRate 5 for each client and second; timeouts.idle 1m"
    assert said(found, ExplainTarget(space="b"), "limits") == [(Severity.OK, want)]


def test_names_in_egresses_with_the_addresses_that_are_permitted() -> None:
    egresses = [{"localPort": 7000, "fqdn": "api.example.com"}, {"localPort": 7001, "fqdn": "kubernetes.default.svc"}]
    found = world(space(egressPolicy="Declared"), app(tlsEgresses=egresses))
    key = Key("acme", "web")
    assert said(found, ExplainTarget(app=key), "egress 7000") == []
    ((state, text),) = said(found, ExplainTarget(app=key), "NetworkReady")
    assert state is Severity.FAILURE
    assert "kubernetes.default.svc:443 is inside the cluster" in text
    store = found.snapshot.caches.children[NETWORK_POLICIES]
    policy = store.get(Key("acme", "app-web"))
    assert policy is not None
    live = policy.obj()
    live["metadata"]["annotations"] = {"decco.platform9.com/egress-addresses": "api.example.com=8.8.8.8 1.1.1.1"}
    live["metadata"]["resourceVersion"] = str(WRITTEN_NOW + 1)
    store.put(live, own=False)
    expected = "api.example.com:443 is permitted at 1.1.1.1, 8.8.8.8"
    assert said(found, ExplainTarget(app=key), "egress 7000") == [(Severity.OK, expected)]


def http(path: str, name: str) -> Obj:
    return {"name": name, "httpPath": path}


MAIN = app("main", "acme", http("/shop", "main"))
NEXT = app("next", "acme", http("/shop", "next"), canaryOf="main", weight=5)


def test_shares_of_canaries() -> None:
    """Without a cluster no pod is ready; tests/integration/test_views.py has those that are."""
    found = world(space(), MAIN, NEXT, app("paused", "acme", http("/shop", "paused"), canaryOf="main", weight=0))
    waits = "none of the requests to /shop{} before a pod of it is ready, then 5 of 100"
    assert said(found, ExplainTarget(app=Key("acme", "main")), "canary next") == [(Severity.WARNING, waits.format(""))]
    paused = [(Severity.OK, "0 of 100 requests to /shop: paused by weight 0")]
    assert said(found, ExplainTarget(app=Key("acme", "main")), "canary paused") == paused
    next_ = ExplainTarget(app=Key("acme", "next"))
    assert said(found, next_, "canary") == [(Severity.WARNING, waits.format(" of App main"))]
    assert said(found, next_, "route next") == [], "the route is that of the other App"
    assert said(found, ExplainTarget(space="acme"), "app next")[0][1].endswith(", a canary of App main with weight 5")


def test_a_canary_that_gets_nothing() -> None:
    other = app("next", "acme", {**http("/shop", "next"), "appProtocol": "grpc"}, canaryOf="main", weight=5)
    ((state, text),) = said(world(space(), MAIN, other), ExplainTarget(app=Key("acme", "next")), "canary")
    assert state is Severity.FAILURE
    assert text.startswith("none of the requests to /shop of App main: its appProtocol is h2c")


def test_a_cluster_that_is_not_placed_has_no_pods_and_that_is_no_failure() -> None:
    elsewhere = {"clusters": [{"id": "west"}, {"id": "north", "role": "Standby"}]}
    found = world(space(placement=elsewhere), app("web", "acme", http("/", "web")))
    ((severity, text),) = said(found, ExplainTarget(space="acme"), "placement")
    assert severity is Severity.OK
    assert "west, north (Standby); this cluster is default: no pods run" in text
    assert "not placed in this cluster" in said(found, ExplainTarget(space="acme"), "app web")[0][1]
    assert "none here" in said(found, ExplainTarget(space="acme"), "record")[0][1]
    severity, text = said(found, ExplainTarget(app=Key("acme", "web")), "endpoint web")[1]
    assert (severity, text[:26]) == (Severity.OK, "not placed in this cluster")
    passive = {"clusters": [{"id": "west"}, {"id": "default", "role": "Standby"}]}
    ((severity, text),) = said(world(space(placement=passive)), ExplainTarget(space="acme"), "placement")
    assert (severity, "set dns.federation.id" in text) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    ("routing", "words"),
    [({}, "the edge answers 503 with Retry-After: 60"), ({"backend": "ingress"}, "the edge answers 503")],
)
def test_a_suspended_app_has_no_pods_and_that_is_no_failure(routing: dict[str, str], words: str) -> None:
    endpoints = (http("/", "web"), {"name": "db", "certAndCaSecretName": "s"})
    found = world(space(), app("web", "acme", *endpoints, suspend=True), routing=routing)
    of_web, of_db = (
        said(found, ExplainTarget(app=Key("acme", "web")), f"endpoint {name}")[1] for name in ("web", "db")
    )
    assert of_web == (Severity.OK, f"suspended by spec.suspend, no pods: {words}")
    assert of_db == (Severity.OK, "suspended by spec.suspend, no pods: connections are closed")
    assert said(found, ExplainTarget(space="acme"), "app web")[0][1].startswith("https://acme.example.net/, ")
    assert ", suspended" in said(found, ExplainTarget(space="acme"), "app web")[0][1]


@pytest.mark.parametrize(
    ("limits", "state", "words"),
    [
        ({"requestBody": "8Mi"}, Severity.OK, "requestBody 8Mi"),
        ({"requestBody": "8Mi", "connections": 5}, Severity.FAILURE, "the edge does not keep connections: remove"),
    ],
)
def test_limits_that_the_edge_does_not_keep(limits: Obj, state: Severity, words: str) -> None:
    routing = {"backend": "ingress", "ingressDialect": "nginx"}
    ((shown, text),) = said(world(space(limits=limits), routing=routing), ExplainTarget(space="acme"), "limits")
    assert shown is state
    assert words in text


def test_a_space_that_is_served_to_nobody_has_one_cause() -> None:
    routing = {"backend": "ingress", "ingressDialect": "traefik"}
    found = world(space(limits={"clientCidrs": ["192.0.2.0/24"]}), routing=routing)
    for target in (ExplainTarget(space="acme"), ExplainTarget(hostname="acme.example.net")):
        ((state, text),) = said(found, target, "limits")
        assert state is Severity.FAILURE
        assert text.endswith("does not keep clientCidrs, so nothing is served: remove clientCidrs")
        assert said(found, target, "listener") == [], "its absence is no cause of its own"


@pytest.mark.parametrize(
    ("view", "state", "words"),
    [
        (CertificateView(3, ready=True), Severity.OK, "issued by Issuer le as Certificate acme/decco-issued-http, rev"),
        (CertificateView(3, ready=False, waits="order 5"), Severity.OK, "revision 3, which is being renewed: order 5"),
        (
            CertificateView(3, ready=True, failure="no CAA"),
            Severity.WARNING,
            "Issuer le has not renewed it: no CAA; see",
        ),
        (None, Severity.WARNING, "cert-manager reports nothing of Certificate acme/decco-issued-http of Issuer le"),
    ],
)
def test_what_the_issuer_reports_of_a_certificate_in_use(
    view: CertificateView | None, state: Severity, words: str
) -> None:
    found = world(space(certificates={"issuerRef": {"name": "le"}}))
    entry = found.snapshot.caches.space("acme")
    assert entry is not None
    store = found.snapshot.caches.children[CERTIFICATES]
    if view is not None:
        store.put(_certificate(view), own=False)
    finding = _issuance(found, entry[1], "decco-issued-http", "certificate decco-issued-http")
    assert finding.severity is state
    assert words in finding.text


def _certificate(view: CertificateView) -> Obj:
    """As cert-manager reports it."""
    ready = {"type": "Ready", "status": "True" if view.ready else "False", "message": view.waits}
    failed = {"type": "Issuing", "status": "False", "reason": "Failed", "message": view.failure}
    meta = {"name": "decco-issued-http", "namespace": "acme", "uid": "u", "resourceVersion": str(WRITTEN_NOW + 1)}
    conditions = [ready, failed] if view.failure else [ready]
    status = {"revision": view.revision, "conditions": conditions}
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": meta, "spec": {}, "status": status}
