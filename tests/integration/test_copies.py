"""Copies of Secrets without permission in all namespaces: the controller's service account, its binding in each Space,
and what is found by the hourly read, which takes place every two seconds here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import Cluster, Decco, Obj, app, eventually, pod, tls_secret
from tests.integration.logs import assert_no_secrets, assert_sound
from tests.integration.test_daemon import ACCOUNT, ACCOUNT_GROUPS
from tests.integration.test_policies import as_user
from tests.integration.test_secret_changes import path
from tests.sample import full

SECONDS = 15.0
KEEP = "example.com/keep"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings/decco-controller-secrets"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ControlPlane() as cp:
        cp.install_gateway_api()
        cp.install_decco()
        yield Cluster(cp)


@pytest.fixture(scope="module")
def decco(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    account = cluster.cp.kubeconfig_for(ACCOUNT, ACCOUNT_GROUPS)
    decco = Decco(cluster.cp, tmp_path_factory.mktemp("decco"), kubeconfig=account)
    decco.start(module="tests.integration.quick_read")
    yield decco
    assert decco.stop() == 0, decco.tail()
    assert_sound(decco)
    assert_no_secrets(decco, cluster)


@pytest.fixture
def name(decco: Decco) -> str:
    return f"copies{next(NUMBERS)}"


@pytest.fixture
def tenant(cluster: Cluster, name: str) -> Iterator[str]:
    """A Space with a copy."""
    cluster.create(tls_secret(name))
    cluster.make_space(name, httpCertSecretName=name)
    eventually(lambda: cluster.get(path(name, name)), SECONDS)
    yield name
    cluster.delete(f"/apis/decco.platform9.com/v1beta2/spaces/{name}")


def certificates(cluster: Cluster, name: str) -> tuple[str, str]:
    found = cluster.space_condition(name, "CertificatesReady") or {}
    return found.get("reason", ""), found.get("message", "")


# -- permissions ------------------------------------------------------------------------------------------------------


def test_its_token_reads_secrets_of_spaces_and_of_no_other_namespace(cluster: Cluster, tenant: str) -> None:
    api = as_user(cluster.cp, ACCOUNT, *ACCOUNT_GROUPS)
    assert api.request("GET", "/api/v1/secrets").status == 403
    for namespace in ("kube-system", "default"):
        assert api.request("GET", f"/api/v1/namespaces/{namespace}/secrets").status == 403
        assert api.request("GET", path(namespace, "x")).status == 403
    assert api.request("GET", path(tenant, tenant)).status == 200
    binding = cluster.get(BINDINGS.format(tenant)) or {}
    assert binding["roleRef"]["name"] == "decco-controller-secrets"
    assert [(each["kind"], each["name"]) for each in binding["subjects"]] == [("ServiceAccount", "decco-controller")]


def test_a_new_space_costs_no_refused_request(cluster: Cluster, decco: Decco, tenant: str) -> None:
    assert cluster.get(BINDINGS.format(tenant))
    assert decco.metric('decco_api_requests_total{code="403"') == 0


def test_a_space_without_secrets_gets_no_binding_until_one_is_named(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    eventually(lambda: (cluster.space_condition(name, "Ready") or {}).get("reason"), SECONDS)
    assert cluster.get(BINDINGS.format(name)) is None
    cluster.create(tls_secret(name))
    endpoints = [{"name": "db", "port": 5432, "certAndCaSecretName": name}]
    cluster.create(app(name, "web", pod=pod(5432), endpoints=endpoints))
    eventually(lambda: cluster.get(path(name, name)), SECONDS)
    assert cluster.get(BINDINGS.format(name))


@full
def test_a_deleted_binding_comes_back(cluster: Cluster, tenant: str) -> None:
    before = (cluster.get(BINDINGS.format(tenant)) or {})["metadata"]["uid"]
    cluster.delete(BINDINGS.format(tenant))
    eventually(lambda: (cluster.get(BINDINGS.format(tenant)) or {}).get("metadata", {}).get("uid") != before, SECONDS)
    fresh = tls_secret(tenant)["data"]
    cluster.patch(path("decco", tenant), {"data": fresh})
    eventually(lambda: (cluster.get(path(tenant, tenant)) or {}).get("data") == fresh, SECONDS)


# -- what others do to a copy -----------------------------------------------------------------------------------------

ALTERATIONS: dict[str, Any] = {
    "content": {"data": {"tls.crt": "c3RvbGVu"}},
    "label": {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
    "owner": {"metadata": {"ownerReferences": None}},
    "immutable": {"immutable": True},
}


def _body(secret: Obj | None) -> Obj | None:
    if secret is None:
        return None
    meta = secret["metadata"]
    parts = {part: meta.get(part) for part in ("labels", "annotations", "ownerReferences")}
    return {**parts, "data": secret.get("data"), "type": secret["type"], "immutable": secret.get("immutable")}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_an_altered_copy_is_repaired(cluster: Cluster, tenant: str, what: str) -> None:
    before = _body(cluster.get(path(tenant, tenant)))
    cluster.patch(path(tenant, tenant), ALTERATIONS[what])
    eventually(lambda: _body(cluster.get(path(tenant, tenant))) == before, SECONDS)


def test_a_deleted_copy_comes_back(cluster: Cluster, tenant: str) -> None:
    before = _body(cluster.get(path(tenant, tenant)))
    cluster.delete(path(tenant, tenant))
    eventually(lambda: _body(cluster.get(path(tenant, tenant))) == before, SECONDS)


def test_a_renewal_meets_an_immutable_copy(cluster: Cluster, tenant: str) -> None:
    cluster.patch(path(tenant, tenant), {"immutable": True})
    fresh = tls_secret(tenant)["data"]
    cluster.patch(path("decco", tenant), {"metadata": {"annotations": {"decco.platform9.com/replace-at-once": "true"}}})
    cluster.patch(path("decco", tenant), {"data": fresh})
    eventually(lambda: (cluster.get(path(tenant, tenant)) or {}).get("data") == fresh, SECONDS)


def test_a_copy_that_a_finalizer_keeps_is_reported_and_comes_back(cluster: Cluster, tenant: str) -> None:
    cluster.patch(path(tenant, tenant), {"metadata": {"finalizers": [KEEP]}})
    uid = (cluster.get(path(tenant, tenant)) or {})["metadata"]["uid"]
    cluster.delete(path(tenant, tenant))
    eventually(lambda: KEEP in certificates(cluster, tenant)[1], SECONDS)
    cluster.patch(path(tenant, tenant), {"metadata": {"finalizers": None}})
    eventually(
        lambda: (cluster.get(path(tenant, tenant)) or {}).get("metadata", {}).get("uid") not in (None, uid), 2 * SECONDS
    )
    eventually(lambda: certificates(cluster, tenant)[0] != "BeingDeleted", 2 * SECONDS)


def test_a_copy_that_nothing_names_after_a_restart_is_removed(cluster: Cluster, decco: Decco, tenant: str) -> None:
    assert decco.stop() == 0
    cluster.patch(f"/apis/decco.platform9.com/v1beta2/spaces/{tenant}", {"spec": {"httpCertSecretName": None}})
    decco.start(module="tests.integration.quick_read")
    eventually(lambda: cluster.get(path(tenant, tenant)) is None, SECONDS)


# -- what tenants may not learn ---------------------------------------------------------------------------------------


def test_hidden_and_missing_secrets_give_the_same_answer(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(tls_secret(f"{name}-hidden", share="somebody-else"))
    cluster.create(tls_secret(f"{name}-unshared", share=None))
    cluster.make_space(name)
    answers = set()
    for each in ("hidden", "unshared", "nowhere"):
        endpoints = [{"name": each, "port": 5432, "certAndCaSecretName": f"{name}-{each}"}]
        cluster.create(app(name, each, pod=pod(5432), endpoints=endpoints))
        eventually(lambda each=each: cluster.app_condition(name, each, "CertificatesReady"), SECONDS)  # type: ignore[misc]
        found = cluster.app_condition(name, each, "CertificatesReady") or {}
        answers.add((found["reason"], found["message"].replace(each, "x")))
    assert len(answers) == 1, answers
    patch = {"spec": {"httpCertSecretName": f"{name}-hidden", "tcpCertAndCaSecretName": f"{name}-nowhere"}}
    cluster.patch(f"/apis/decco.platform9.com/v1beta2/spaces/{name}", patch)
    eventually(lambda: "nowhere" in certificates(cluster, name)[1], SECONDS)
    first, second = certificates(cluster, name)[1].split("; no Secret")
    assert first.removeprefix("no Secret").replace("hidden", "x") == second.replace("nowhere", "x")


def test_an_endpoint_of_another_project_looks_like_a_missing_one(cluster: Cluster, decco: Decco, name: str) -> None:
    bank = f"{name}-bank"
    cluster.create(tls_secret(name))
    cluster.make_space(bank, project="bank", tcpCertAndCaSecretName=name)
    cluster.make_space(name, project="evil", tcpCertAndCaSecretName=name)
    hosts = {"hostnames": ["ledger.example.org"]}
    cluster.patch(f"/apis/decco.platform9.com/v1beta2/spaces/{bank}", {"spec": hosts})
    endpoints = [{"name": "db", "port": 5432, "hostname": "ledger.example.org", "tlsListenPort": 7777}]
    cluster.create(app(bank, "db", pod=pod(5432), endpoints=endpoints))
    eventually(lambda: cluster.service(bank, "db"), SECONDS)
    egresses = [
        {"localPort": 9001, "endpoint": "db", "spaceName": bank},
        {"localPort": 9002, "endpoint": "xx", "spaceName": bank},
    ]
    cluster.create(app(name, "probe", endpoints=[], tlsEgresses=egresses))
    eventually(lambda: cluster.app_condition(name, "probe", "WorkloadReady"), SECONDS)
    config = str((cluster.get(f"/api/v1/namespaces/{name}/configmaps/probe-stunnel") or {})["data"]["stunnel.conf"])
    assert "7777" not in config
    assert "ledger" not in config
    sections = [section.partition("]")[2] for section in config.split("[localhost:")[1:]]
    assert sections[0].strip().replace("9001", "x") == sections[1].strip().replace("9002", "x")
    status = str((cluster.app(name, "probe") or {})["status"])
    assert "7777" not in status
    assert "ledger" not in status
    # The same project: open.
    cluster.patch(f"/apis/decco.platform9.com/v1beta2/spaces/{name}", {"spec": {"project": "bank"}})
    eventually(lambda: "7777" in str(cluster.get(f"/api/v1/namespaces/{name}/configmaps/probe-stunnel")), SECONDS)
