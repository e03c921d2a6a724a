"""Each of manifests/examples: accepted by the API server with its policies, and rendered by ``decco render``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.controlplane import ControlPlane
from testbed.manifests import MANIFESTS
from tests.policies import picture

EXAMPLES = MANIFESTS / "examples"
FOLDERS = ["broker", "control-plane", "picture", "preview", "wordpress"]
CUSTOMERS = ("north", "south")
"""Of the control plane, whose Apps name no namespace: its file is applied once for each."""
STRICT = ("--dry-run=server", "--validate=strict")


def _objects(folder: str) -> list[dict[str, Any]]:
    files = sorted((EXAMPLES / folder).glob("*.yaml"))
    return [each for file in files for each in yaml.safe_load_all(file.read_text())]


@pytest.fixture(scope="module")
def installed() -> Iterator[ControlPlane]:
    with ControlPlane() as cp:
        cp.install_decco()
        cp.restart_manager()
        yield cp


def test_every_folder_is_tested() -> None:
    assert sorted(each.name for each in EXAMPLES.iterdir() if each.is_dir()) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_api_server_accepts_it(installed: ControlPlane, folder: str) -> None:
    """Spaces and Apps by the CRDs and policies, and the PodSpecs by the Pod Security level of their Space."""
    files = sorted((EXAMPLES / folder).glob("*.yaml"))
    spaces = [each for each in _objects(folder) if each["kind"] == "Space"]
    apps = [each for each in _objects(folder) if each["kind"] == "App"]
    assert spaces
    assert apps
    installed.kubectl("apply", *STRICT, "-f", str(files[0]))
    for space in spaces:
        level = space["spec"].get("podSecurity", "baseline")
        labels = {"pod-security.kubernetes.io/enforce": level}
        installed.create("/api/v1/namespaces", {"metadata": {"name": space["metadata"]["name"], "labels": labels}})
    try:
        for namespace in CUSTOMERS if folder == "control-plane" else [""]:
            chosen = ["--namespace", namespace] if namespace else []
            installed.kubectl("apply", *STRICT, *chosen, "-f", str(files[1]))
        for app in apps:
            namespace = app["metadata"].get("namespace", CUSTOMERS[0])
            claims = app["spec"].get("statefulSet", {}).get("volumeClaimTemplates", [])
            volumes = [{"name": each["metadata"]["name"], "emptyDir": {}} for each in claims]
            pod = {"metadata": {"name": app["metadata"]["name"]}, "spec": {**app["spec"]["pod"], "volumes": volumes}}
            path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict"
            answer = installed.request("POST", path, pod)
            assert answer.status == 201, (folder, app["metadata"]["name"], answer.json())
    finally:
        for space in spaces:
            installed.request("DELETE", f"/api/v1/namespaces/{space['metadata']['name']}")


@pytest.mark.parametrize("folder", FOLDERS)
def test_decco_renders_it(folder: str, tmp_path: Path) -> None:
    settings = tmp_path / "decco.yaml"
    settings.write_text("edge: {namespace: edge}\n")
    files = [str(each) for each in sorted((EXAMPLES / folder).glob("*.yaml"))]
    argv = [sys.executable, "-m", "decco.cli.main", "render", "--config", str(settings), "-n", CUSTOMERS[0], *files]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Besides Secrets that are assumed, and what holds for all that is rendered, there is nothing to remark.
    remarks = [line for line in done.stderr.splitlines() if "DECCO-0241" not in line and "DECCO-0243" not in line]
    assert remarks == []
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    workloads = {each["metadata"]["name"] for each in made if each["kind"] in {"Deployment", "StatefulSet"}}
    assert workloads == {each["metadata"]["name"] for each in _objects(folder) if each["kind"] == "App"}


def test_the_picture_is_the_one_of_the_tests() -> None:
    """Which is evaluated, enforced, and tried on real pods: tests/policies and tests/e2e."""
    spaces = {each["metadata"]["name"]: each["spec"] for each in _objects("picture") if each["kind"] == "Space"}
    projects = {name: {"project": spec["project"]} if "project" in spec else {} for name, spec in spaces.items()}
    assert projects == picture.SPACES
    apps = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]["endpoints"]
        for each in _objects("picture")
        if each["kind"] == "App"
    }
    assert apps == {
        (space, name): spec["endpoints"] for space, found in picture.APPS.items() for name, spec in found.items()
    }
