"""Secrets of all kinds in Spaces, and what Apps that need them wait for and report."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.images.pki import Authority
from tests.integration.harness import GROUP, Cluster, Decco, Obj, app, eventually, own_control_plane, pod, tls_secret
from tests.integration.loop import assert_no_defects
from tests.integration.test_secret_changes import path
from tests.sample import full

SECONDS = 15.0
NUMBERS = itertools.count()
DOCKER_CONFIG = '{"auths": {"registry.example": {"auth": "dXNlcjpwYXNz"}}}'
KINDS: dict[str, dict[str, str]] = {
    "Opaque": {"token": "secret"},
    "kubernetes.io/dockerconfigjson": {".dockerconfigjson": DOCKER_CONFIG},
    "kubernetes.io/dockercfg": {".dockercfg": "{}"},
    "kubernetes.io/basic-auth": {"username": "a", "password": "b"},
    "kubernetes.io/ssh-auth": {"ssh-privatekey": "a"},
    "kubernetes.io/tls": {"tls.crt": "no certificate", "tls.key": "no key"},
}
PULL = "kubernetes.io/dockerconfigjson"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_control_plane() as cp:
        yield Cluster(cp)


@pytest.fixture(scope="module")
def decco(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    """The sidecar's image needs the pull Secret ``mirror``."""
    folder = tmp_path_factory.mktemp("decco")
    with Decco(cluster.cp, folder, sidecar__image_pull_secrets='["mirror"]') as decco:
        yield decco
        assert decco.stop() == 0, decco.tail()
        assert_no_defects(decco)


@pytest.fixture
def name(decco: Decco) -> str:
    return f"kinds{next(NUMBERS)}"


def secret(name: str, kind: str = "Opaque", share: str | None = "*", **data: str) -> Obj:
    labels = {} if share is None else {f"{GROUP}/share": "true"}
    annotations = {} if share is None else {f"{GROUP}/share-with": share}
    content = data or KINDS[kind]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "decco", "labels": labels, "annotations": annotations},
        "type": kind,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in content.items()},
    }


def reason(cluster: Cluster, name: str, kind: str = "SecretsReady") -> str:
    return str((cluster.space_condition(name, kind) or {}).get("reason"))


def workload(cluster: Cluster, space: str, name: str = "web") -> tuple[str, str]:
    found = cluster.app_condition(space, name, "WorkloadReady") or {}
    return str(found.get("reason")), str(found.get("message"))


def plain(space: str, **pod_fields: Any) -> Obj:
    return app(space, "web", pod=pod(8080, **pod_fields), endpoints=[])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_copied_followed_and_revoked(cluster: Cluster, decco: Decco, name: str, kind: str) -> None:
    cluster.create(secret(name, kind, share=f"{name}.example.net"))
    cluster.make_space(name, secrets=[name])
    copy = eventually(lambda: cluster.get(path(name, name)), SECONDS)
    assert (copy["type"], copy["data"]) == (kind, secret(name, kind)["data"])
    eventually(lambda: reason(cluster, name) == "Reconciled", SECONDS)
    assert cluster.space_condition(name, "CertificatesReady") is None
    fresh = {key: base64.b64encode(b'{"auths":{}}').decode() for key in copy["data"]}
    cluster.patch(path("decco", name), {"data": fresh})
    eventually(lambda: (cluster.get(path(name, name)) or {}).get("data") == fresh, SECONDS)
    assert (cluster.get(path(name, name)) or {})["metadata"]["uid"] == copy["metadata"]["uid"]
    began = time.monotonic()
    cluster.patch(path("decco", name), {"metadata": {"annotations": {f"{GROUP}/share-with": "other.example.net"}}})
    eventually(lambda: cluster.get(path(name, name)) is None, SECONDS)
    print(f"{kind}: revoked after {time.monotonic() - began:.2f} s")
    eventually(lambda: reason(cluster, name) == "SecretMissing", SECONDS)


def test_a_space_without_the_field_has_no_such_condition(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    cluster.create(plain(name))
    decco.settle()
    assert cluster.space_condition(name, "SecretsReady") is None
    assert cluster.get(path(name, "mirror")) is None, "nobody there has a sidecar"


def test_a_name_that_goes_takes_its_copy_along(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(secret(name))
    cluster.make_space(name, secrets=[name])
    eventually(lambda: cluster.get(path(name, name)), SECONDS)
    cluster.patch(f"/apis/{GROUP}/v1beta2/spaces/{name}", {"spec": {"secrets": []}})
    eventually(lambda: cluster.get(path(name, name)) is None, SECONDS)
    eventually(lambda: cluster.space_condition(name, "SecretsReady") is None, SECONDS)


def test_an_immutable_source_that_is_made_again_replaces_the_copy(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create({**secret(name), "immutable": True})
    cluster.make_space(name, secrets=[name])
    first = eventually(lambda: cluster.get(path(name, name)), SECONDS)
    cluster.delete(path("decco", name))
    eventually(lambda: reason(cluster, name) == "SecretDeleted", SECONDS)
    assert cluster.get(path(name, name)) == first, "it may be created again"
    cluster.create({**secret(name, PULL), "immutable": True})
    eventually(lambda: (cluster.get(path(name, name)) or {}).get("type") == PULL, SECONDS)
    eventually(lambda: reason(cluster, name) == "Reconciled", SECONDS)


def test_a_copy_that_was_made_immutable_is_replaced(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(secret(name))
    cluster.make_space(name, secrets=[name])
    eventually(lambda: cluster.get(path(name, name)), SECONDS)
    cluster.patch(path(name, name), {"immutable": True})
    cluster.patch(path("decco", name), {"data": {"token": "bmV3"}})
    eventually(lambda: (cluster.get(path(name, name)) or {}).get("data") == {"token": "bmV3"}, SECONDS)


def test_a_token_of_a_service_account_is_refused(cluster: Cluster, decco: Decco, name: str) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "decco"}}
    cluster.cp.create("/api/v1/namespaces/decco/serviceaccounts", account)
    token = secret(name, "kubernetes.io/service-account-token", note="x")
    token["metadata"]["annotations"]["kubernetes.io/service-account.name"] = name
    cluster.create(token)
    cluster.create(secret(f"{name}-helm", "helm.sh/release.v1", release="x"))
    cluster.make_space(name, secrets=[name, f"{name}-helm"], httpCertSecretName=name)
    eventually(lambda: reason(cluster, name) == "SecretRefused", SECONDS)
    eventually(lambda: reason(cluster, name, "CertificatesReady") == "SecretRefused", SECONDS)
    message = (cluster.space_condition(name, "SecretsReady") or {})["message"]
    assert "a token of one service account" in message
    assert "the record of a Helm release" in message
    decco.settle()
    assert cluster.get(path(name, name)) is None
    assert cluster.get(path(name, f"{name}-helm")) is None


def test_hidden_and_missing_look_the_same(cluster: Cluster, decco: Decco, name: str) -> None:
    messages = []
    cluster.create(secret(f"{name}-a", share=None))
    cluster.create(secret(f"{name}-b", "helm.sh/release.v1", share="other.example.net", release="x"))
    for each in ("a", "b", "c"):
        cluster.make_space(f"{name}-{each}", secrets=[f"{name}-{each}"])
        eventually(lambda each=each: reason(cluster, f"{name}-{each}") == "SecretMissing", SECONDS)  # type: ignore[misc]
        found = (cluster.space_condition(f"{name}-{each}", "SecretsReady") or {})["message"]
        messages.append(found.replace(f"{name}-{each}", "x"))
    assert messages[0] == messages[1] == messages[2]


@full
def test_a_tenants_own_secret_is_never_overwritten(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    own = {**secret(name, share=None, token="own"), "metadata": {"name": name, "namespace": name}}
    made = cluster.create(own)
    cluster.create(secret(name))
    cluster.patch(f"/apis/{GROUP}/v1beta2/spaces/{name}", {"spec": {"secrets": [name]}})
    cluster.create(plain(name, imagePullSecrets=[{"name": name}]))
    eventually(lambda: reason(cluster, name) == "Conflict", SECONDS)
    eventually(lambda: workload(cluster, name)[0] == "Conflict", SECONDS)
    assert cluster.get(path(name, name)) == made
    cluster.delete(path(name, name))
    eventually(lambda: reason(cluster, name) == "Reconciled", 60.0)


def test_the_copy_is_there_before_the_workload(cluster: Cluster, decco: Decco, name: str) -> None:
    """The Space and its App come in one file; the Space lists the Secret."""
    cluster.create(secret(name, PULL))
    cluster.make_space(name, secrets=[name])
    cluster.create(plain(name, imagePullSecrets=[{"name": name}]))
    deployment = eventually(lambda: cluster.deployment(name, "web"), SECONDS)
    copy = cluster.get(path(name, name)) or {}
    assert int(copy["metadata"]["resourceVersion"]) < int(deployment["metadata"]["resourceVersion"])
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": name}]


def test_a_missing_one_is_reported_and_what_runs_goes_on(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(secret(name, PULL))
    cluster.make_space(name, secrets=[name, f"{name}-x"])
    cluster.create(plain(name, imagePullSecrets=[{"name": name}]))
    before = eventually(lambda: cluster.deployment(name, "web"), SECONDS)
    assert workload(cluster, name)[0] != "SecretMissing"
    cluster.patch(path("decco", name), {"metadata": {"labels": {f"{GROUP}/share": None}}})
    eventually(lambda: workload(cluster, name)[0] == "SecretMissing", SECONDS)
    assert workload(cluster, name)[1].startswith(f"for the pods: no Secret decco/{name} is shared with this Space")
    after = cluster.deployment(name, "web") or {}
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    cluster.patch(path("decco", name), {"metadata": {"labels": {f"{GROUP}/share": "true"}}})
    eventually(lambda: workload(cluster, name)[0] != "SecretMissing", SECONDS)
    # Its content changes without any effect on the pods.
    cluster.patch(path("decco", name), {"data": {".dockerconfigjson": base64.b64encode(b"{}").decode()}})
    eventually(lambda: (cluster.get(path(name, name)) or {})["data"][".dockerconfigjson"] == "e30=", SECONDS)
    decco.settle()
    after = cluster.deployment(name, "web") or {}
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_the_sidecars_pull_secret_is_where_sidecars_are(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(secret("mirror", PULL, share=f"{name}.example.net"))
    cluster.make_space(name)
    cluster.make_space(f"{name}-other")
    cluster.create(app(name, "web", endpoints=[], tlsEgresses=[{"localPort": 9999, "fqdn": "x.test"}]))
    deployment = eventually(lambda: cluster.deployment(name, "web"), SECONDS)
    copy = eventually(lambda: cluster.get(path(name, "mirror")), SECONDS)
    assert (copy["type"], copy["data"]) == (PULL, secret("m", PULL)["data"])
    assert int(copy["metadata"]["resourceVersion"]) < int(deployment["metadata"]["resourceVersion"])
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "mirror"}]
    assert cluster.get(path(f"{name}-other", "mirror")) is None
    eventually(lambda: reason(cluster, name) == "Reconciled", SECONDS)
    cluster.patch(path("decco", "mirror"), {"metadata": {"annotations": {f"{GROUP}/share-with": "other.example.net"}}})
    eventually(lambda: cluster.get(path(name, "mirror")) is None, SECONDS)
    eventually(lambda: workload(cluster, name)[0] == "SecretMissing", SECONDS)
    cluster.patch(path("decco", "mirror"), {"metadata": {"annotations": {f"{GROUP}/share-with": "*"}}})
    eventually(lambda: cluster.get(path(name, "mirror")), SECONDS)
    cluster.patch(f"/apis/{GROUP}/v1beta2/namespaces/{name}/apps/web", {"spec": {"tlsEgresses": []}})
    eventually(lambda: cluster.get(path(name, "mirror")) is None, SECONDS, "the last sidecar is gone")


def test_a_settled_space_costs_nothing(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(secret(name, PULL))
    cluster.make_space(name, secrets=[name])
    cluster.create(plain(name, imagePullSecrets=[{"name": name}]))
    eventually(lambda: reason(cluster, name) == "Reconciled", SECONDS)
    decco.settle()
    verbs = ("create", "update", "patch", "delete")
    before = [decco.metric(f'decco_api_requests_total{{verb="{verb}"') for verb in verbs]
    cluster.patch(f"/apis/{GROUP}/v1beta2/spaces/{name}", {"metadata": {"annotations": {"note": "x"}}})
    cluster.patch(f"/apis/{GROUP}/v1beta2/namespaces/{name}/apps/web", {"metadata": {"annotations": {"note": "x"}}})
    decco.settle()
    assert [decco.metric(f'decco_api_requests_total{{verb="{verb}"') for verb in verbs] == before


# -- lists of revoked certificates ------------------------------------------------------------------------------------


def test_lists_of_revoked_certificates(cluster: Cluster, decco: Decco, name: str) -> None:
    """Copied, checked, and reported when they expire; no object of the App changes."""
    authority = Authority("lists")
    leaf = authority.leaf(f"{name}.example.net", f"*.{name}.example.net")

    def content(revoked: bytes | None) -> Obj:
        files = {**leaf.secret, **({"ca.crl": revoked} if revoked is not None else {})}
        return {key: base64.b64encode(value).decode() for key, value in files.items()}

    def lists() -> str | None:
        return (cluster.get(path(name, name)) or {})["data"].get("ca.crl")

    def reasons() -> tuple[str, str]:
        of_app = cluster.app_condition(name, "web", "CertificatesReady") or {}
        return reason(cluster, name, "CertificatesReady"), str(of_app.get("reason"))

    cluster.create({**tls_secret(name), "data": content(None)})
    cluster.make_space(name, tcpCertAndCaSecretName=name)
    cluster.create(app(name, "web", endpoints=[{"name": "db", "port": 8080, "verifyTcpClientCert": True}]))
    eventually(lambda: reasons() == ("Reconciled", "Reconciled"), SECONDS)
    decco.settle()
    children = [
        f"/apis/apps/v1/namespaces/{name}/deployments/web",
        f"/api/v1/namespaces/{name}/configmaps/web-stunnel",
    ]
    before = [(cluster.get(child) or {})["metadata"].get("generation") for child in children]
    texts = (cluster.get(children[1]) or {})["data"]

    good = content(authority.revocations(5))
    cluster.patch(path("decco", name), {"data": good})
    eventually(lambda: lists() == good["ca.crl"], SECONDS)
    expiry = f'decco_crl_expiry_timestamp_seconds{{secret="{name}",space="{name}"}}'
    eventually(lambda: decco.metric(expiry) > 1.7e9, SECONDS)
    for bad in (b"garbage", Authority("stranger").revocations(5)):
        cluster.patch(path("decco", name), {"data": content(bad)})
        eventually(lambda: reasons() == ("SecretInvalid", "SecretInvalid"), SECONDS)
        message = (cluster.space_condition(name, "CertificatesReady") or {})["message"]
        assert "ca.crl" in message
        assert message.endswith("; its last good copy stays in use")
        assert lists() == good["ca.crl"]

    # One that has expired replaces none that is in force.
    cluster.patch(path("decco", name), {"data": content(authority.revocations(expired=True))})
    eventually(lambda: reasons() == ("CRLExpired", "CRLExpired"), SECONDS)
    assert lists() == good["ca.crl"]
    soon = content(authority.revocations(5, seconds=8))
    cluster.patch(path("decco", name), {"data": soon})
    eventually(lambda: lists() == soon["ca.crl"], SECONDS)
    eventually(lambda: reasons() == ("CRLExpired", "CRLExpired"), 30.0, "by the clock alone")
    fresh = content(authority.revocations(7))
    cluster.patch(path("decco", name), {"data": fresh})
    eventually(lambda: lists() == fresh["ca.crl"], SECONDS)
    eventually(lambda: reasons() == ("Reconciled", "Reconciled"), SECONDS)
    cluster.patch(path("decco", name), {"data": {"ca.crl": None}})
    eventually(lambda: lists() is None, SECONDS)
    eventually(lambda: decco.metric(expiry) == 0, SECONDS, "no series of a list that is gone")
    decco.settle()
    assert [(cluster.get(child) or {})["metadata"].get("generation") for child in children] == before
    assert (cluster.get(children[1]) or {})["data"] == texts
