"""DNS-01: certificates for an FQDN, its wildcard and further names from Pebble, which reads records that cert-manager
writes to BIND by RFC 2136. All Spaces are made at the start, so that their minutes of waiting pass side by side.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.certmanager import CertManager
from testbed.dns.bind import Bind
from testbed.dns.server import HOST
from testbed.pebble import BLOCKED, Pebble
from tests.integration.by_hand import GATEWAY
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, space, tls_secret
from tests.issuers.world import (
    FURTHER,
    SECONDS,
    ZONE,
    apply,
    certificates,
    cluster_issuer,
    issued,
    leaf,
    names_of,
    renew,
    secret,
    shown,
    state,
    tsig_secret,
    verified,
)

HTTP, TCP = "decco-issued-http", "decco-issued-tcp"
ISSUER: Obj = {"certificates": {"issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}}}
WWW, DB = f"www.{FURTHER}", f"db.{FURTHER}"


def by(name: str) -> Obj:
    found = copy.deepcopy(ISSUER)
    found["certificates"]["issuerRef"]["name"] = name
    return found


@pytest.fixture(scope="module", autouse=True)
def spaces(cluster: Cluster, decco: Decco, bind: Bind, pebble: Pebble) -> None:
    """``dns`` has every kind of name; ``moved`` had Secrets of its own; the others fail, each in its own way."""
    server = f"{HOST}:{bind.port}"
    [wrong] = cluster_issuer(pebble, "letsencrypt", "wrong-key", server)
    wrong["spec"]["acme"]["solvers"][0]["dns01"]["rfc2136"]["tsigSecretSecretRef"]["name"] = "wrong-tsig"
    apply(cluster, wrong, tsig_secret("wrong-tsig", "bm90IHRoZSByaWdodCBrZXkgYXQgYWxs"))
    [silent] = cluster_issuer(pebble, "letsencrypt", "silent", server)
    silent["spec"]["acme"]["server"] = "https://127.0.0.1:9/dir"  # nobody listens there
    apply(cluster, silent)

    cluster.make_space("dns", domain=ZONE, httpHostnames=[{"name": WWW}], hostnames=[DB], **ISSUER)
    cluster.create(app("dns", "db", endpoints=[{"name": "db", "port": 8080}]))
    for name in ("supplied", "moved"):
        cluster.create(tls_secret(f"{name}-own", f"{name}.{ZONE}"))
    cluster.make_space("supplied", domain=ZONE, httpCertSecretName="supplied-own", **ISSUER)
    cluster.make_space("moved", domain=ZONE, httpCertSecretName="moved-own")
    eventually(lambda: shown(cluster, "moved") == {f"moved.{ZONE}": "moved-own"})
    edit(cluster, "moved", httpCertSecretName=None, **ISSUER)
    eventually(lambda: "until then Secret moved-own stays in use" in state(cluster, "moved")[1])
    cluster.create(space("refused", BLOCKED, **ISSUER))
    cluster.create(space("nobody", ZONE, **by("nobody")))
    cluster.create(space("silent", ZONE, **by("silent")))
    cluster.create(space("wrongkey", ZONE, **by("wrong-key")))


def edit(cluster: Cluster, name: str, **spec: object) -> None:
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": spec})


@pytest.fixture(autouse=True)
def explained(request: pytest.FixtureRequest, cluster: Cluster, cert_manager: CertManager) -> Iterator[None]:
    """After a failure, what cert-manager reports."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(cert_manager.log[-4000:])


def test_what_was_used_stays_until_the_issued_one_exists(cluster: Cluster) -> None:
    """That it is in use while the other is ordered, ``spaces`` has seen in the condition."""
    fqdn = f"moved.{ZONE}"

    def moved() -> bool:
        now = shown(cluster, "moved")[fqdn]  # at no time there is none
        assert now == "moved-own" or secret(cluster, "moved", HTTP)
        return now == HTTP

    eventually(moved, SECONDS)
    eventually(lambda: state(cluster, "moved")[0] == "Reconciled")


def test_every_name_is_issued_and_used(
    cluster: Cluster, decco: Decco, bind: Bind, pebble: Pebble, tmp_path: Path
) -> None:
    fqdn = f"dns.{ZONE}"
    [further] = eventually(lambda: [each for each in certificates(cluster, "dns") if each not in (HTTP, TCP)])
    issued(cluster, "dns", HTTP, TCP, further)
    for name, names in ((HTTP, {fqdn}), (further, {WWW}), (TCP, {f"*.{fqdn}", DB})):
        content = secret(cluster, "dns", name)
        assert names_of(leaf(content)) == names
        verified(content, pebble.root(), tmp_path)
    eventually(lambda: shown(cluster, "dns") == {fqdn: HTTP, WWW: further})
    eventually(lambda: state(cluster, "dns")[0] == "Reconciled")
    deployment = eventually(lambda: cluster.deployment("dns", "db"))
    assert TCP in str(deployment["spec"]["template"]["spec"]["volumes"])
    eventually(lambda: (cluster.app_condition("dns", "db", "CertificatesReady") or {}).get("status") == "True")
    # cert-manager has withdrawn its records.
    for zone in (ZONE, FURTHER):
        assert not [name for name, _ in bind.read(zone) if name.startswith("_acme-challenge.dns")]


def test_a_supplied_secret_takes_precedence(cluster: Cluster) -> None:
    fqdn = f"supplied.{ZONE}"
    assert certificates(cluster, "supplied") == {}
    eventually(lambda: shown(cluster, "supplied") == {fqdn: "supplied-own"})


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("refused", "rejectedIdentifier"),
        ("nobody", "nobody"),
        ("silent", "connection refused"),
        ("wrongkey", "bad authentication"),
    ],
)
def test_a_failing_issuer_is_reported_with_its_cause(cluster: Cluster, name: str, cause: str) -> None:
    eventually(lambda: cause in state(cluster, name)[1], 60, name)
    assert shown(cluster, name) == {}


def is_being_issued(cluster: Cluster) -> bool:
    live = cluster.condition(certificates(cluster, "dns")[HTTP], "Issuing")
    return (live or {}).get("status") == "True"


def test_a_renewal_shows_the_old_certificate_until_the_new_one_exists(
    cluster: Cluster, decco: Decco, pebble: Pebble
) -> None:
    issued(cluster, "dns", HTTP, TCP)
    old = leaf(secret(cluster, "dns", HTTP)).serial_number
    gateway = cluster.get(f"{GATEWAY}/namespaces/dns/gateways/decco")
    pebble.pause()
    try:
        renew(cluster, "dns", HTTP)
        eventually(
            lambda: (cluster.condition(certificates(cluster, "dns")[HTTP], "Issuing") or {}).get("status") == "True"
        )
        decco.settle()
        assert state(cluster, "dns")[0] == "Reconciled"
        assert shown(cluster, "dns")[f"dns.{ZONE}"] == HTTP
        assert leaf(secret(cluster, "dns", HTTP)).serial_number == old
    finally:
        pebble.resume()
    eventually(lambda: leaf(secret(cluster, "dns", HTTP)).serial_number != old, SECONDS, "renewed")
    decco.settle()
    assert shown(cluster, "dns")[f"dns.{ZONE}"] == HTTP
    assert gateway is not None
    assert (cluster.get(f"{GATEWAY}/namespaces/dns/gateways/decco") or {})["spec"] == gateway["spec"]
