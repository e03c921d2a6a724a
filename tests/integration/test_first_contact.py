"""The first commands on a cluster: ``decco init`` and ``decco doctor`` before anything of decco is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from decco.settings.load import ConfigText, load
from testbed.controlplane import ControlPlane
from tests.integration.by_hand import CONTROLLER_NAME, GATEWAY, condition


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """Kubernetes, and nothing else."""
    with ControlPlane() as cp:
        yield cp


def decco(cp: ControlPlane, *words: str, kubeconfig: Path | None = None) -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
    environment["KUBECONFIG"] = str(kubeconfig or cp.kubeconfig)
    argv = [sys.executable, "-m", "decco.cli.main", *words]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_bare_cluster(bare: ControlPlane) -> None:
    """Each part that lacks is reported once, with the command that installs it; no part is reported for another's."""
    status, out, _ = decco(bare, "doctor")
    assert status == 2
    for command in (
        "`decco crds | kubectl apply --server-side -f -`",
        "`kubectl apply --server-side -f manifests/policies`",
        "`kubectl apply --server-side -f manifests/rbac`",
        "`kubectl apply -k manifests`",
        "standard-install.yaml`",
    ):
        assert command in out, command
    assert "404" not in out
    failures = [line.split()[1] for line in out.splitlines() if line.startswith("failure")]
    assert failures == ["DECCO-0311", "DECCO-0311", "DECCO-0316", "DECCO-0334"]
    status, out, err = decco(bare, "init")
    assert status == 1
    assert "Install one" in out
    assert "DECCO-0335" in err
    for words in (("ui",), ("explain", "acme"), ("graph",)):
        status, _, err = decco(bare, *words)
        assert status == 2
        assert "decco crds | kubectl apply" in err


def test_somebody_without_rights(bare: ControlPlane) -> None:
    nobody = bare.kubeconfig_for("first-nobody")
    status, out, err = decco(bare, "init", kubeconfig=nobody)
    assert status == 1
    assert "Not readable with your rights" in out
    assert "ingressclasses" in err
    load({}, {}, ConfigText(out, "init"))
    status, out, _ = decco(bare, "doctor", kubeconfig=nobody)
    assert "you may not get customresourcedefinitions" in out
    assert status == 2  # that the Gateway API lacks is seen without any right


def test_what_is_found_becomes_a_setting(bare: ControlPlane) -> None:
    bare.install_gateway_api()
    bare.create("/api/v1/namespaces", {"metadata": {"name": "edge"}})
    classes = f"{GATEWAY}/gatewayclasses"
    of = {"apiVersion": "gateway.networking.k8s.io/v1"}
    spec = {"controllerName": CONTROLLER_NAME}
    bare.create(classes, {**of, "kind": "GatewayClass", "metadata": {"name": "eg"}, "spec": spec})
    gateways = f"{GATEWAY}/namespaces/edge/gateways"
    labels = {"gateway.networking.k8s.io/gateway-name": "shared"}
    service = {"metadata": {"name": "proxy", "labels": labels}, "spec": {"ports": [{"port": 443}]}}
    bare.create("/api/v1/namespaces/edge/services", service)
    status, out, _ = decco(bare, "init")
    assert (status, load({}, {}, ConfigText(out, "init")).routing.parent_gateway) == (1, None)

    shared = {
        "gatewayClassName": "eg",
        "listeners": [{"name": "none", "port": 8443, "protocol": "HTTP"}],
        "allowedListeners": {"namespaces": {"from": "All"}},
    }
    bare.create(gateways, {**of, "kind": "Gateway", "metadata": {"name": "shared"}, "spec": shared})
    headers = {"Content-Type": "application/merge-patch+json"}
    accepted = {"status": {"conditions": [condition("Accepted")]}}
    assert bare.request("PATCH", f"{classes}/eg/status", accepted, headers=headers).status == 200
    status, out, err = decco(bare, "init")
    assert (status, err) == (0, "")
    read = load({}, {}, ConfigText(out, "init"))
    assert (read.routing.parent_gateway, read.edge.namespace) == ("edge/shared", "edge")

    bare.install_decco_crds()
    status, out, _ = decco(bare, "doctor")
    assert "there is no such GatewayClass" in out
    assert "there is eg" in out
    assert "`decco init` proposes settings" in out
