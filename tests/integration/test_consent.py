"""A Secret that is shared by a Space's bare name does not go to a Space of the same name in another domain."""

from __future__ import annotations

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, GROUP, Cluster, Decco, eventually, tls_secret
from tests.integration.test_delete import GONE_SECONDS, is_gone
from tests.sample import full

SHARE = f"{GROUP}/share-with"


def copy_of(cluster: Cluster, name: str) -> object:
    return cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}")


def reason(cluster: Cluster, name: str) -> str:
    return str((cluster.space_condition(name, "CertificatesReady") or {}).get("reason"))


@full
def test_before_the_right_space_exists_and_after_it_was_deleted(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str
) -> None:
    cluster.create(tls_secret(name, f"{name}.victim.test", f"*.{name}.victim.test", share=name))

    def attack() -> None:
        cluster.make_space(name, domain="evil.test", httpCertSecretName=name)
        eventually(lambda: reason(cluster, name) == "SecretMissing", 10)
        decco.settle(quiet=0.5)
        assert copy_of(cluster, name) is None
        message = (cluster.space_condition(name, "CertificatesReady") or {})["message"]
        assert f"{name}.evil.test in the annotation" in message
        cluster.delete(f"{APIS}/spaces/{name}")
        eventually(lambda: is_gone(cluster, name), GONE_SECONDS)

    attack()
    cluster.make_space(name, domain="victim.test", httpCertSecretName=name)
    eventually(lambda: copy_of(cluster, name), 10)
    eventually(lambda: reason(cluster, name) == "Reconciled", 10)
    message = (cluster.space_condition(name, "CertificatesReady") or {})["message"]
    assert f"should write {name}.victim.test in {SHARE}" in message
    source = f"/api/v1/namespaces/decco/secrets/{name}"
    cluster.patch(source, {"metadata": {"annotations": {SHARE: f"{name}.victim.test"}}})
    eventually(lambda: "should write" not in (cluster.space_condition(name, "CertificatesReady") or {})["message"], 10)
    assert copy_of(cluster, name)
    cluster.patch(source, {"metadata": {"annotations": {SHARE: name}}})
    cluster.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: is_gone(cluster, name), GONE_SECONDS)
    attack()


def test_domain_and_project(cluster: Cluster, decco: Decco, name: str) -> None:
    for kind, entry in (("d", f"*.{name}.test"), ("p", f"project:{name}")):
        each = f"{name}-{kind}"
        cluster.create(tls_secret(each, share=entry))
        cluster.make_space(each, domain=f"{name}.test", project=name, httpCertSecretName=each)
        eventually(lambda each=each: copy_of(cluster, each), 10)
        cluster.patch(f"/api/v1/namespaces/decco/secrets/{each}", {"metadata": {"annotations": {SHARE: "project:x"}}})
        eventually(lambda each=each: copy_of(cluster, each) is None, 10)
