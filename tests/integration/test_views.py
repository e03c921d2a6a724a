"""What the commands show of fields that change how an App is reached, beside a running controller."""

from __future__ import annotations

import pytest

from tests.integration.by_hand import run_pods
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, tls_secret
from tests.integration.test_cli import Run, decco, run
from tests.sample import full

__all__ = ["decco", "run"]


def said(run: Run, *words: str) -> dict[str, list[tuple[str, str]]]:
    """ABOUT -> (severity, text)."""
    answer = run(*words, "-o", "json")
    statements = answer.data()["statements"]
    return {
        about: [(each["state"], each["text"]) for each in statements if each["about"] == about]
        for about in (each["about"] for each in statements)
    }


@pytest.fixture
def tenant(cluster: Cluster, decco: Decco, name: str) -> str:
    cluster.create(tls_secret(name, f"{name}.example.net", f"*.{name}.example.net"))
    cluster.make_space(name, httpCertSecretName=name, tcpCertAndCaSecretName=name)
    return name


LIMITS = {"clientCidrs": ["192.0.2.0/24"], "connections": 9, "requestRate": {"requests": 5, "unit": "Second"}}


def http(name: str, path: str, **more: object) -> dict[str, object]:
    return {"endpoints": [{"name": name, "port": 8080, "httpPath": path}], **more}


@full
def test_canaries_and_suspended_apps(cluster: Cluster, decco: Decco, tenant: str, run: Run) -> None:
    cluster.create(app(tenant, "main", **http("main", "/shop")))
    cluster.create(app(tenant, "next", **http("next", "/shop", canaryOf="main", weight=5)))
    cluster.create(app(tenant, "idle", **http("idle", "/idle", suspend=True)))
    for one in ("main", "next"):
        run_pods(cluster, tenant, one)
    eventually(lambda: (cluster.app_condition(tenant, "next", "RoutesReady") or {}).get("status") == "True", 15)
    decco.settle()
    main, next_, idle = (said(run, "explain", f"{tenant}/{one}", "--no-lookup") for one in ("main", "next", "idle"))
    assert main["canary next"] == [("ok", "5 of 100 requests to /shop")]
    assert next_["canary"] == [("ok", "5 of 100 requests to /shop of App main")]
    assert next_["Ready"] == [("ok", "everything is as the spec asks")]
    assert "route next" not in next_
    words = "suspended by spec.suspend, no pods: the edge answers 503 with Retry-After: 60"
    assert ("ok", words) in idle["endpoint idle"]
    assert tenant not in run("diff").out  # other tests leave Spaces in this cluster


def test_a_space_that_is_served_to_nobody(cluster: Cluster, decco: Decco, tenant: str, run: Run) -> None:
    """This cluster does not serve the policies of Envoy Gateway that the limits need."""
    cluster.patch(f"{APIS}/spaces/{tenant}", {"spec": {"limits": LIMITS}})
    cluster.create(app(tenant, "web", **http("web", "/")))
    decco.settle()
    shown = said(run, "explain", tenant, "--no-lookup")
    [(severity, text)] = shown["limits"]
    assert severity == "failure"
    assert text.endswith(
        "does not keep clientCidrs, requestRate, connections, so nothing is served: remove clientCidrs"
    )
    assert "listener" not in shown
    assert "the edge serves nobody, as it cannot keep clientCidrs" in run("graph", tenant).out
    found = {each["check"]: each for each in run("doctor", "-o", "json").data()["checks"]}
    assert found["limits"]["state"] == "failure"
    assert "need BackendTrafficPolicy, ClientTrafficPolicy, SecurityPolicy" in found["limits"]["text"]
