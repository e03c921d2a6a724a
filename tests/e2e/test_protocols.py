"""What containers speak besides HTTP/1.1: gRPC and HTTP/2 by path, also encrypted to the pod. gRPC's library judges."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import HTTPS
from tests.e2e.conftest import BACKEND, Backend
from tests.e2e.world import Obj, Tenant, World, eventually, local_secret
from tests.sample import full

CALLS = 50051
PATH = "/grpc.health.v1.Health"
"""A gRPC service has its name as the path, so clients need no setting for it."""
PROXY_DEFAULT = 15
"""Seconds after which Envoy ends a request unless the route says otherwise."""
FILES = "/tls"


def greeter(tenant: Tenant, listen: str = "grpc", pod: Obj | None = None, **endpoint: Any) -> Obj:
    """An App that serves gRPC's health service, found ready by the kubelet's own client of it."""
    container = {
        "readinessProbe": {"tcpSocket": {"port": CALLS}, "periodSeconds": 1},
        **(pod or {}).pop("container", {}),
    }
    declared = {"name": "greeter", "port": CALLS, "httpPath": PATH, "appProtocol": "grpc", **endpoint}
    return tenant.app(
        "greeter", [f"{listen}:{CALLS}"], endpoints=[declared], pod={**(pod or {}), "container": container}
    )


def call(program: Path, tenant: Tenant, *flags: str) -> str:
    """What a client outside of the cluster prints; ConnectionError if a call fails."""
    with tempfile.NamedTemporaryFile() as authority:
        authority.write(tenant.authority.cert)
        authority.flush()
        argv = [str(program), "ask", "--grpc", "--ca", authority.name, "--server-name", tenant.fqdn]
        done = subprocess.run(
            [*argv, "--deadline", "60s", *flags, f"{tenant.edge}:{HTTPS}"], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise ConnectionError(done.stderr)
    return done.stdout


def answers(program: Path, tenant: Tenant) -> None:
    said = eventually(lambda: call(program, tenant), what=f"gRPC of {tenant.name}")
    assert said == f"[{tenant.name}/greeter] SERVING\n"


@pytest.fixture(scope="module")
def plain(world: World) -> Tenant:
    tenant = world.tenant("calls")
    h2c = [{"name": "two", "port": 8082, "httpPath": "/two", "appProtocol": "h2c"}]
    ws = [{"name": "talk", "port": 8083, "httpPath": "/talk", "appProtocol": "websocket"}]
    ready = {"readinessProbe": {"tcpSocket": {"port": 8082}, "periodSeconds": 1}}
    tenant.run(
        greeter(tenant),
        tenant.app("two", ["h2c:8082"], endpoints=h2c, pod={"container": ready}),
        tenant.app("talk", ["http:8083"], endpoints=ws),
    )
    return tenant


def test_grpc_by_path(plain: Tenant, asker: Path) -> None:
    answers(asker, plain)


@full
def test_a_stream_outlasts_the_default_of_the_proxy(plain: Tenant, asker: Path) -> None:
    answers(asker, plain)
    assert "held 20s" in call(asker, plain, "--hold", f"{PROXY_DEFAULT + 5}s")


def test_http2_to_the_pod_for_any_client(plain: Tenant) -> None:
    plain.settled("/two")
    assert plain.https("/two").json()["protocol"] == "HTTP/2.0"


def test_a_websocket_endpoint_answers_requests_too(plain: Tenant) -> None:
    plain.settled("/talk")
    assert plain.https("/talk").json()["protocol"] == "HTTP/1.1"


@full
def test_the_protocol_follows_on_a_running_app(plain: Tenant, asker: Path) -> None:
    """Without it the edge speaks HTTP/1.1 to the pod, which gRPC refuses; no pod is started for it."""
    before = [pod["metadata"]["uid"] for pod in plain.pods("greeter")]
    plain.run(greeter(plain, appProtocol="http"))
    refused = eventually(lambda: _refusal(asker, plain), what="HTTP/1.1 to a gRPC server")
    assert "SERVING" not in refused
    plain.run(greeter(plain))
    answers(asker, plain)
    assert [pod["metadata"]["uid"] for pod in plain.pods("greeter")] == before


def _refusal(program: Path, tenant: Tenant) -> str:
    try:
        call(program, tenant)
    except ConnectionError as error:
        return str(error)
    return ""


@full
@pytest.mark.skipif(BACKEND is Backend.INGRESS, reason="Traefik negotiates HTTP/2 by ALPN, which the sidecar does not")
def test_grpc_through_the_sidecar(world: World, asker: Path) -> None:
    tenant = world.tenant("sealed-calls", encryptHttp=True)
    tenant.run(greeter(tenant))
    answers(asker, tenant)
    assert "held" in call(asker, tenant, "--hold", f"{PROXY_DEFAULT + 2}s")


def test_grpc_to_a_container_that_speaks_tls(world: World, asker: Path) -> None:
    tenant = world.tenant("own-calls", encryptHttp=True)
    world.apply(local_secret("own", tenant.name, tenant.web))
    args = ["serve", f"--listen=tls+grpc:{CALLS}", f"--cert={FILES}/tls.crt", f"--key={FILES}/tls.key"]
    container = {"args": args, "volumeMounts": [{"name": "tls", "mountPath": FILES}]}
    pod = {"container": container, "volumes": [{"name": "tls", "secret": {"secretName": "own"}}]}
    tenant.run(greeter(tenant, "tls+grpc", pod, disableTlsTermination=True))
    answers(asker, tenant)
