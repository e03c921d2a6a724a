"""``decco verify`` without nodes: the groups that need none, and what is left of a run, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import Decco, eventually
from tests.sample import full

LABEL = "verify.decco.platform9.com/run"
SETTINGS = {"routing__backend": "none", "edge__namespace": "edge", "leader_election__enabled": "false"}
PATHS = {
    "/apis/decco.platform9.com/v1beta2/spaces",
    "/api/v1/namespaces",
    "/api/v1/namespaces/decco/secrets",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}
ADMISSION = ("--only", "admission")


@dataclass(frozen=True)
class Command:
    cp: ControlPlane
    folder: Path
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def _words(self, *more: str) -> tuple[list[str], dict[str, str]]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
        given = {f"DECCO_{name.upper()}": value for name, value in self.settings.items()}
        argv = [sys.executable, "-m", "decco.cli.main", "verify", f"--kubeconfig={self.cp.kubeconfig}", *more]
        return argv, {**kept, **given}

    def run(self, *more: str) -> tuple[int, Any, str]:
        """Exit status, report, progress."""
        argv, environ = self._words("-o", "json", *more)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=240, env=environ)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    @contextmanager
    def started(self, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        argv, environ = self._words(*more)
        with (self.folder / "verify.log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, env=environ)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def left(self) -> list[str]:
        found = [self.cp.request("GET", f"{path}?labelSelector={LABEL}").json()["items"] for path in sorted(PATHS)]
        return [each["metadata"]["name"] for items in found for each in items]

    def spaces_exist(self) -> bool:
        return any(name.endswith("-a") for name in self.left())


@pytest.fixture(scope="module")
def command(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("verify")
    with Decco(control_plane, folder, **SETTINGS):
        yield Command(control_plane, folder)


def outcomes(report: Any, group: str) -> dict[str, str]:
    return {each["name"]: each["outcome"] for each in report["probes"] if each["name"].startswith(f"{group}/")}


def test_admission_passes_and_nothing_is_left(command: Command) -> None:
    status, report, progress = command.run(*ADMISSION)
    assert set(outcomes(report, "admission").values()) == {"passed"}, progress
    assert set(outcomes(report, "routing").values()) == {"skipped"}
    assert (status, report["left"], command.left()) == (0, [], [])


@full
def test_a_broken_promise_is_an_exit_status_of_one(command: Command) -> None:
    """This control plane has no policies of decco: their groups must fail, and name the binding."""
    status, report, progress = command.run("--only", "tenancy", "--patience", "20")
    failed = {each["name"]: each for each in report["probes"] if each["outcome"] == "failed"}
    assert status == 1
    assert "tenancy/service-node-port" in failed, progress
    found = failed["tenancy/service-node-port"]
    assert found["code"] == "DECCO-0824"
    assert "no ValidatingAdmissionPolicyBinding tenant-services.decco.platform9.com" in found["text"]
    assert found["hint"]
    assert outcomes(report, "tenancy")["tenancy/service-own"] == "passed"
    assert command.left() == []


def test_crds_without_their_rules_are_found(command: Command) -> None:
    """As after an upgrade of decco without its CRDs: two endpoints of one path are stored."""
    name = "apps.decco.platform9.com"
    before = json.loads(command.cp.kubectl("get", "crd", name, "-o", "json"))
    weaker = json.loads(json.dumps(before["spec"]))
    for version in weaker["versions"]:
        without_rules(version["schema"]["openAPIV3Schema"])
    try:
        command.cp.kubectl("patch", "crd", name, "--type=merge", "-p", json.dumps({"spec": weaker}))
        status, report, progress = command.run(*ADMISSION)
    finally:
        command.cp.kubectl("patch", "crd", name, "--type=merge", "-p", json.dumps({"spec": before["spec"]}))
    failed = {each["name"]: each for each in report["probes"] if each["outcome"] == "failed"}
    assert status == 1
    assert failed["admission/endpoint-paths"]["code"] == "DECCO-0826", progress
    found = {each["about"]: each["code"] for each in report["doctor"]}
    assert found["crd App"] == "DECCO-0314", found
    assert command.left() == []


def without_rules(schema: Any) -> None:
    """Removes the CEL rules of a schema in place."""
    if isinstance(schema, dict):
        schema.pop("x-kubernetes-validations", None)
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        without_rules(each)


@full
def test_an_interrupted_run_removes_everything(command: Command) -> None:
    with command.started() as process:
        eventually(command.spaces_exist, what="Spaces of the run")
        process.send_signal(signal.SIGINT)
        assert process.wait(150) == 130
    assert command.left() == []


@full
def test_a_killed_run_is_removed_by_the_next(command: Command) -> None:
    with command.started() as process:
        eventually(command.spaces_exist, what="Spaces of the run")
        process.kill()
        process.wait()
    assert command.left()
    status, report, progress = command.run(*ADMISSION)
    assert "removing what an earlier run has left" in progress
    assert (status, report["left"], command.left()) == (0, [], [])


@full
def test_a_second_run_is_refused(command: Command) -> None:
    """The first holds its Lease; it runs long, since no pod ever starts here."""
    with command.started("--only", "mtls", "--patience", "60") as process:
        eventually(command.spaces_exist, what="Spaces of the run")
        status, report, progress = command.run(*ADMISSION)
        assert (status, report) == (2, None)
        assert "another run is under way" in progress
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(150) == 130
    assert command.left() == []
