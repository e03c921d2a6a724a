"""What cert-manager does with a Certificate, by hand: the Secret first, then the status, as its issuing controller."""

from __future__ import annotations

from typing import Any

from tests.integration.by_hand import condition
from tests.integration.harness import Cluster, Obj, eventually, tls_secret

CERT_MANAGER = "/apis/cert-manager.io/v1"
HTTP, TCP = "decco-issued-http", "decco-issued-tcp"


ISSUERS = f"{CERT_MANAGER}/clusterissuers"


def cluster_issuer(cluster: Cluster, name: str, *, ready: Obj | None = None) -> None:
    """A ClusterIssuer, and what cert-manager reports of it."""
    spec = {"selfSigned": {}}
    issuer = {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": spec}
    cluster.cp.create(ISSUERS, issuer)
    issuer_reports(cluster, name, ready or condition("Ready"))


def issuer_reports(cluster: Cluster, name: str, ready: Obj) -> None:
    cluster.patch(f"{ISSUERS}/{name}/status", {"status": {"conditions": [ready]}})


def path(space: str, name: str = HTTP) -> str:
    return f"{CERT_MANAGER}/namespaces/{space}/certificates/{name}"


def certificate(cluster: Cluster, space: str, name: str = HTTP) -> Obj:
    return eventually(lambda: cluster.get(path(space, name)), what=f"Certificate {name}")


def issue(cluster: Cluster, space: str, name: str = HTTP, content: dict[str, bytes] | None = None) -> Obj:
    """Issues the next certificate; returns its Secret."""
    live = certificate(cluster, space, name)
    secret = tls_secret(
        live["spec"]["secretName"], *live["spec"]["dnsNames"], share=None, namespace=space, **(content or {})
    )
    if cluster.get(f"/api/v1/namespaces/{space}/secrets/{name}") is None:
        cluster.create(secret)
    else:
        cluster.patch(f"/api/v1/namespaces/{space}/secrets/{name}", {"data": secret["data"]})
    revision = ((live.get("status") or {}).get("revision") or 0) + 1
    report(cluster, space, name, condition("Ready", generation=live["metadata"]["generation"]), revision=revision)
    return secret


def refuse(cluster: Cluster, space: str, message: str, name: str = HTTP) -> None:
    """The attempt fails."""
    failed = condition("Issuing", "False", "Failed", message=message)
    report(cluster, space, name, condition("Ready", "False", "DoesNotExist", message="no Secret"), failed)


def report(cluster: Cluster, space: str, name: str, *conditions: Obj, **more: Any) -> None:
    cluster.patch(f"{path(space, name)}/status", {"status": {"conditions": list(conditions), **more}})
