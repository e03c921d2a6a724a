"""Certificates from an issuer, on a real API server with cert-manager's own CRDs: a Certificate, its Secret, the
listener, and what stays in use until then."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from testbed import manifests
from tests.integration.by_hand import GATEWAY
from tests.integration.by_hand import condition as reported
from tests.integration.harness import (
    APIS,
    Cluster,
    Decco,
    Obj,
    app,
    eventually,
    http_app,
    own_control_plane,
    space,
    tls_secret,
)
from tests.integration.issuing import (
    CERT_MANAGER,
    HTTP,
    TCP,
    certificate,
    cluster_issuer,
    issue,
    issuer_reports,
    path,
    refuse,
)
from tests.integration.loop import assert_no_defects
from tests.sample import full

NUMBERS = itertools.count()
REF = {"name": "letsencrypt", "kind": "ClusterIssuer"}
ISSUER: Obj = {"certificates": {"issuerRef": REF}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_control_plane() as cp:
        manifests.install_cert_manager_crds(cp.api)
        made = Cluster(cp)
        cluster_issuer(made, REF["name"])
        yield made


@pytest.fixture(scope="module")
def decco(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    with Decco(cluster.cp, tmp_path_factory.mktemp("decco")) as decco:
        yield decco
        assert decco.stop() == 0, decco.tail()
        assert_no_defects(decco)


@pytest.fixture
def name(decco: Decco) -> str:
    return f"issued{next(NUMBERS)}"


def shown(cluster: Cluster, name: str) -> dict[str, str]:
    """Host name -> Secret of the HTTPS listeners."""
    gateway = cluster.get(f"{GATEWAY}/namespaces/{name}/gateways/decco") or {"spec": {"listeners": []}}
    listeners: list[Obj] = gateway["spec"]["listeners"]
    return {
        each["hostname"]: each["tls"]["certificateRefs"][0]["name"] for each in listeners if each["protocol"] == "HTTPS"
    }


def condition(cluster: Cluster, name: str) -> tuple[str, str]:
    found = cluster.space_condition(name, "CertificatesReady") or {}
    return str(found.get("reason")), str(found.get("message"))


def reason(cluster: Cluster, name: str) -> str:
    return condition(cluster, name)[0]


def copies(cluster: Cluster, name: str) -> set[str]:
    return {each["metadata"]["name"] for each in cluster.items(f"/api/v1/namespaces/{name}/secrets")}


def edit(cluster: Cluster, name: str, **spec: object) -> None:
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": spec})


def test_a_certificate_becomes_a_secret_and_a_listener(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name, **ISSUER)
    cluster.create(http_app(name, "web"))
    spec = certificate(cluster, name)["spec"]
    assert spec["dnsNames"] == [f"{name}.example.net"]
    assert spec["issuerRef"] == {**REF, "group": "cert-manager.io"}
    assert spec["privateKey"]["algorithm"] == "ECDSA"
    eventually(lambda: reason(cluster, name) == "CertificateIssuing")
    assert shown(cluster, name) == {}
    assert cluster.get(path(name, TCP)) is None  # no App needs it
    issue(cluster, name)
    eventually(lambda: reason(cluster, name) == "Reconciled")
    assert shown(cluster, name) == {f"{name}.example.net": HTTP}
    eventually(lambda: (cluster.app_condition(name, "web", "CertificatesReady") or {}).get("status") == "True")
    decco.settle()
    mark = cluster.cp.audit_mark()
    issue(cluster, name)  # a renewal changes nothing but the content of the Secret
    decco.settle()
    assert writes(cluster, mark) == []


def test_the_supplied_certificate_stays_in_use_until_the_issued_one_is_there(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    cluster.create(tls_secret(name, f"{name}.example.net", f"*.{name}.example.net"))
    cluster.make_space(name, httpCertSecretName=name, tcpCertAndCaSecretName=name)
    cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 8080}]))
    eventually(lambda: shown(cluster, name) == {f"{name}.example.net": name})
    former = eventually(lambda: cluster.deployment(name, "db"))
    edit(cluster, name, httpCertSecretName=None, tcpCertAndCaSecretName=None, **ISSUER)
    assert certificate(cluster, name, TCP)["spec"]["dnsNames"] == [f"*.{name}.example.net"]
    assert certificate(cluster, name, TCP)["spec"]["usages"][-1] == "client auth"
    eventually(lambda: reason(cluster, name) == "CertificateIssuing")
    assert f"until then Secret {name} stays in use" in condition(cluster, name)[1]
    decco.settle()
    assert shown(cluster, name) == {f"{name}.example.net": name}
    assert name in copies(cluster, name)
    assert (cluster.deployment(name, "db") or {}).get("spec") == former["spec"]

    decco.kill()  # what is in use is known after a restart, too
    decco.start()
    decco.settle()
    assert shown(cluster, name) == {f"{name}.example.net": name}

    issue(cluster, name)
    eventually(lambda: shown(cluster, name) == {f"{name}.example.net": HTTP})
    decco.settle()
    assert name in copies(cluster, name)  # the pods use it
    issue(cluster, name, TCP)
    eventually(lambda: reason(cluster, name) == "Reconciled")
    eventually(lambda: volumes(cluster, name, "db") == {TCP})
    eventually(lambda: name not in copies(cluster, name))

    # A supplied Secret takes precedence again, and its Certificate goes.
    edit(cluster, name, httpCertSecretName=name)
    eventually(lambda: shown(cluster, name) == {f"{name}.example.net": name})
    eventually(lambda: cluster.get(path(name)) is None)


def writes(cluster: Cluster, mark: int) -> list[str]:
    """decco's writes since the mark, but for Events."""
    made = ("create", "update", "patch", "delete")
    events = cluster.cp.audit(since=mark)
    return [f"{each.verb} {each.uri}" for each in events if each.verb in made and each.resource != "events"]


def volumes(cluster: Cluster, space: str, name: str) -> set[str]:
    """The Secrets that a Deployment's pods mount."""
    deployment: Obj = cluster.deployment(space, name) or {}
    spec = deployment["spec"]["template"]["spec"]
    found: set[str] = set()
    for volume in spec.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for each in sources:
            secret: Obj = each.get("secret") or {}
            found |= {value for key in ("secretName", "name") if (value := secret.get(key))}
    return found


def test_further_names_have_certificates_of_their_own(cluster: Cluster, decco: Decco, name: str) -> None:
    www = f"www.{name}.test"
    cluster.make_space(name, httpHostnames=[{"name": www}], **ISSUER)

    def further() -> list[Obj]:
        found = cluster.items(f"/apis/cert-manager.io/v1/namespaces/{name}/certificates")
        return [each for each in found if each["spec"]["dnsNames"] == [www]]

    own = eventually(further)[0]["metadata"]["name"]
    issue(cluster, name, own)
    eventually(lambda: shown(cluster, name) == {www: own})
    issue(cluster, name)
    eventually(lambda: reason(cluster, name) == "Reconciled")
    edit(cluster, name, httpHostnames=[])
    eventually(lambda: not further())
    eventually(lambda: shown(cluster, name) == {f"{name}.example.net": HTTP})


def test_a_failed_attempt_is_reported_with_its_cause(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(space(name, **ISSUER))
    certificate(cluster, name)
    refuse(cluster, name, 'Referenced "ClusterIssuer" not found')
    eventually(lambda: reason(cluster, name) == "CertificateNotIssued")
    assert '"ClusterIssuer" not found' in condition(cluster, name)[1]
    issue(cluster, name)
    eventually(lambda: reason(cluster, name) == "Reconciled")


@full
def test_the_cause_is_read_where_cert_manager_reports_it(cluster: Cluster, decco: Decco, name: str) -> None:
    """Nothing of it is at the Certificate: it is at the issuer, the challenge and the request."""
    cluster.create(space(name, certificates={"issuerRef": {"name": name, "kind": "ClusterIssuer"}}))
    certificate(cluster, name)
    eventually(lambda: condition(cluster, name)[1].count(f"ClusterIssuer {name} does not exist") == 1)
    assert reason(cluster, name) == "CertificateNotIssued"
    cluster_issuer(cluster, name, ready=reported("Ready", "False", "ErrRegister", message="no such directory"))
    eventually(lambda: f"ClusterIssuer {name} is not ready: no such directory" in condition(cluster, name)[1], 40)
    assert reason(cluster, name) == "CertificateNotIssued"
    issuer_reports(cluster, name, reported("Ready"))
    fqdn = f"{name}.example.net"
    challenge = {
        "apiVersion": "acme.cert-manager.io/v1",
        "kind": "Challenge",
        "metadata": {"name": "c"},
        "spec": {
            "authorizationURL": "https://ca.test/a",
            "dnsName": fqdn,
            "issuerRef": {"name": name, "kind": "ClusterIssuer"},
            "key": "k",
            "solver": {"http01": {"ingress": {}}},
            "token": "t",
            "type": "HTTP-01",
            "url": "https://ca.test/c",
        },
    }
    challenges = f"/apis/acme.cert-manager.io/v1/namespaces/{name}/challenges"
    cluster.cp.create(challenges, challenge)
    cluster.patch(f"{challenges}/c/status", {"status": {"state": "pending", "reason": "no such host"}})
    eventually(lambda: f"HTTP-01 challenge for {fqdn}: no such host" in condition(cluster, name)[1], 60)
    assert reason(cluster, name) == "CertificateIssuing"
    cluster.delete(f"{challenges}/c")
    request = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "CertificateRequest",
        "metadata": {"name": f"{HTTP}-1", "annotations": {"cert-manager.io/certificate-name": HTTP}},
        "spec": {"issuerRef": {"name": name, "kind": "ClusterIssuer"}, "request": "YQ=="},
    }
    requests = f"{CERT_MANAGER}/namespaces/{name}/certificaterequests"
    cluster.cp.create(requests, request)
    pending = reported("Ready", "False", "Pending", message="waits for approval")
    cluster.patch(f"{requests}/{HTTP}-1/status", {"status": {"conditions": [pending]}})
    eventually(lambda: f"ClusterIssuer {name}: waits for approval" in condition(cluster, name)[1], 90)
    issue(cluster, name)
    eventually(lambda: reason(cluster, name) == "Reconciled")


def test_an_issued_secret_that_no_edge_would_take_is_not_shown(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(space(name, **ISSUER))
    certificate(cluster, name)
    issue(cluster, name, content={"tls.crt": b"no certificate"})
    decco.settle()
    assert shown(cluster, name) == {}
    issue(cluster, name)
    eventually(lambda: shown(cluster, name) == {f"{name}.example.net": HTTP})


@pytest.mark.parametrize(
    ("served", "removed"),
    [
        (ISSUER, {"certificates": None}),
        ({"httpCertSecretName": "not-there-yet"}, {"httpCertSecretName": None}),
        ({"httpHostnames": [{"name": "www.acme.example", "certSecretName": "not-there-yet"}]}, {"httpHostnames": None}),
    ],
    ids=["issuer", "secret", "further name"],
)
def test_solvers_are_open_to_the_edge(
    cluster: Cluster, decco: Decco, name: str, served: dict[str, Any], removed: dict[str, Any]
) -> None:
    """Before there is a certificate: it is what the solver is for."""

    def policy() -> Obj:
        return cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco.acme") or {}

    cluster.make_space(name, project="red")
    decco.settle()
    assert policy() == {}
    edit(cluster, name, **served)
    rule = eventually(policy)["spec"]["ingress"][0]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8089}]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}]
    edit(cluster, name, **removed)
    eventually(lambda: policy() == {})
    eventually(lambda: cluster.get(path(name)) is None)


def test_a_secret_of_the_name_in_deccos_namespace_is_not_copied(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(tls_secret(HTTP, f"{name}.example.net"))
    cluster.make_space(name, **ISSUER)
    eventually(lambda: reason(cluster, name) == "CertificateIssuing")
    decco.settle()
    assert HTTP not in copies(cluster, name)


@full
def test_cert_manager_may_be_installed_later(tmp_path_factory: pytest.TempPathFactory) -> None:
    with own_control_plane() as cp:
        cluster = Cluster(cp)
        folder = tmp_path_factory.mktemp("later")
        with Decco(cp, folder, certificates__issuer_name="internal") as decco:
            cluster.make_space("plain", httpCertSecretName="own", tcpCertAndCaSecretName="own")
            decco.settle()
            cluster.create(space("late"))
            eventually(lambda: reason(cluster, "late") == "CertManagerMissing")
            assert "install cert-manager" in condition(cluster, "late")[1]
            manifests.install_cert_manager_crds(cp.api)
            found = eventually(lambda: cluster.get(path("late")), 60, "the Certificate")
            assert found["spec"]["issuerRef"]["kind"] == "ClusterIssuer"
            issue(cluster, "late")
            eventually(lambda: reason(cluster, "late") == "Reconciled")
            assert shown(cluster, "late") == {"late.example.net": HTTP}
            assert decco.stop() == 0
        assert_no_defects(decco)
