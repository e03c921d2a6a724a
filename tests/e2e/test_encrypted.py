"""encryptHttp: from the edge to the pod by TLS, and only to a pod that shows the Space's name under its authority."""

from __future__ import annotations

import pytest

from tests.e2e.world import Obj, Tenant, World, local_secret
from tests.images.pki import Authority

PORT = 8443
FILES = "/tls"
PROVES_NOTHING = ("misnamed", "stranger")


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """One App behind the sidecar, and three that speak TLS themselves, with the right certificate or a wrong one."""
    tenant = world.tenant("sealed", encryptHttp=True)
    shown = {
        "own": tenant.authority.leaf(tenant.fqdn),
        "misnamed": tenant.authority.leaf("other.decco.test"),
        "stranger": Authority(f"authority of {tenant.name}").leaf(tenant.fqdn),
    }
    world.apply(*(local_secret(name, tenant.name, leaf) for name, leaf in shown.items()))
    tenant.run(tenant.app("sidecar", httpUrlPath="/sidecar"), *(speaks_tls(tenant, name) for name in shown))
    tenant.settled("/sidecar", "/own")
    return tenant


def speaks_tls(tenant: Tenant, name: str) -> Obj:
    """An App of that name and path whose container ends TLS with the certificate in the Secret of that name."""
    listen = f"tls+http:{PORT}"
    container = {
        "args": ["serve", f"--listen={listen}", f"--cert={FILES}/tls.crt", f"--key={FILES}/tls.key"],
        "volumeMounts": [{"name": "tls", "mountPath": FILES}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    pod = {"container": container, "volumes": [{"name": "tls", "secret": {"secretName": name}}]}
    endpoint = {"name": name, "port": PORT, "httpPath": f"/{name}", "disableTlsTermination": True}
    return tenant.app(name, [listen], endpoints=[endpoint], pod=pod)


def test_the_certificate_of_the_sidecar_is_trusted(tenant: Tenant) -> None:
    assert tenant.https("/sidecar").json()["name"] == "sealed/sidecar"


def test_the_edge_asks_the_pod_for_the_spaces_name(tenant: Tenant) -> None:
    assert tenant.https("/own").json()["sni"] == tenant.fqdn


@pytest.mark.parametrize("name", PROVES_NOTHING)
def test_no_request_reaches_a_pod_that_proves_nothing(tenant: Tenant, name: str) -> None:
    """Its pod is ready, as those are whose requests arrive; only the certificate differs."""
    answer = tenant.https(f"/{name}")
    assert answer.status in {500, 502, 503}, answer
    assert b"sealed" not in answer.body
