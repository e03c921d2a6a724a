"""What GitOps tools make of Spaces and Apps: kstatus itself, Argo CD's Lua, kubectl's categories and diffs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from decco.desired import reasons
from testbed import kstatus
from testbed.controlplane import ControlPlane
from testbed.found import AssetsMissing
from testbed.manifests import MANIFESTS
from testbed.prerequisites import LUA, SKIP
from tests.packaging.objects import Obj

GROUP = "decco.platform9.com"
SPACES = f"/apis/{GROUP}/v1beta2/spaces"
APPS = f"/apis/{GROUP}/v1beta2/namespaces/default/apps"
APP: Obj = {
    "apiVersion": f"{GROUP}/v1beta2",
    "kind": "App",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "pod": {"containers": [{"name": "web", "image": "i"}]},
        "endpoints": [{"name": "web", "port": 80, "httpPath": "/"}],
        "tlsEgresses": [{"localPort": 1, "fqdn": "a.example"}],
    },
}
SPACE: Obj = {
    "apiVersion": f"{GROUP}/v1beta2",
    "kind": "Space",
    "metadata": {"name": "gitops"},
    "spec": {"domainName": "example.com"},
}


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    control_plane.install_decco()
    return control_plane


@pytest.fixture
def made(cluster: ControlPlane) -> Iterator[tuple[Obj, Obj]]:
    """An App and a Space that no controller has seen, as the API server shows them."""
    try:
        yield cluster.create(APPS, APP), cluster.create(SPACES, SPACE)
    finally:
        cluster.request("DELETE", f"{APPS}/web")
        cluster.request("DELETE", f"{SPACES}/gitops")


# -- kstatus ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def judge() -> Path:
    try:
        return kstatus.provide()
    except AssetsMissing as error:
        pytest.skip(f"{SKIP}{error}")


def with_ready(obj: Obj, generation: int, status: str, reason: str = "Ready") -> Obj:
    ready = {"type": "Ready", "status": status, "reason": reason, "message": "m", "observedGeneration": generation}
    return {**obj, "status": {"observedGeneration": generation, "conditions": [ready]}}


def test_kstatus_is_in_progress_from_the_first_moment(made: tuple[Obj, Obj], judge: Path) -> None:
    for obj in made:
        assert obj["status"] == {"observedGeneration": -1}
        assert kstatus.status(judge, obj)[0] == "InProgress"
        assert kstatus.status(judge, with_ready(obj, 1, "False"))[0] == "InProgress"
        assert kstatus.status(judge, with_ready(obj, 1, "True"))[0] == "Current"
        assert kstatus.status(judge, with_ready(obj, 1, "True", "Suspended"))[0] == "Current"
        edited = with_ready({**obj, "metadata": {**obj["metadata"], "generation": 2}}, 1, "True")
        assert kstatus.status(judge, edited)[0] == "InProgress"
        deleted = {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        assert kstatus.status(judge, deleted)[0] == "Terminating"


# -- kubectl ----------------------------------------------------------------------------------------------------------


def test_all_is_without_apps_and_spaces(cluster: ControlPlane, made: tuple[Obj, Obj]) -> None:
    assert GROUP not in cluster.kubectl("get", "all")
    assert "default/web" in cluster.kubectl(
        "get", "decco", "-A", "-o", "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}"
    )
    cluster.kubectl("delete", "all", "--all")
    assert cluster.request("GET", f"{APPS}/web").status == 200


FOREIGN: Obj = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "apps.aaa.example.com"},
    "spec": {
        "group": "aaa.example.com",
        "scope": "Namespaced",
        "names": {"plural": "apps", "singular": "app", "kind": "App", "shortNames": ["sp"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def test_the_short_names_are_decco_s_alone(cluster: ControlPlane, made: tuple[Obj, Obj], tmp_path: Path) -> None:
    """Another product may have a kind of the same name, and its group may come first."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    cluster.create(crds, FOREIGN)
    try:
        cluster.kubectl("wait", "--for=condition=Established", "crd/apps.aaa.example.com", "--timeout=30s", seconds=40)
        assert cluster.kubectl("get", "dapp", "web", "-o", "name").strip() == f"app.{GROUP}/web"
        assert cluster.kubectl("get", "dspace", "gitops", "-o", "name").strip() == f"space.{GROUP}/gitops"
        # Envoy Gateway's SecurityPolicy and Linkerd's ServiceProfile have this one.
        served = cluster.request("GET", f"/apis/{GROUP}/v1beta2").json()["resources"]
        assert {short for each in served for short in each.get("shortNames") or ()} == {"dapp", "dspace"}
    finally:
        cluster.request("DELETE", f"{crds}/apps.aaa.example.com")


def _applied(cluster: ControlPlane, *flags: str) -> Obj:
    cluster.kubectl("apply", *flags, "-f", "-", input=json.dumps(APP))
    found: Obj = cluster.request("GET", f"{APPS}/web").json()
    return found


@pytest.mark.parametrize("flags", [(), ("--server-side",)], ids=["client", "server"])
def test_the_same_file_again_is_no_change(cluster: ControlPlane, flags: tuple[str, ...]) -> None:
    """The server stores no default in an item of a list: tools replace such lists as a whole."""
    try:
        _applied(cluster, *flags)
        # An update of an object that no controller has seen stores the status that was only shown before.
        first = _applied(cluster, *flags)
        assert first["spec"]["endpoints"] == APP["spec"]["endpoints"]
        assert first["spec"]["tlsEgresses"] == APP["spec"]["tlsEgresses"]
        assert cluster.kubectl("diff", *flags, "-f", "-", input=json.dumps(APP)) == ""
        said = cluster.kubectl("apply", *flags, "-f", "-", input=json.dumps(APP))
        assert ("unchanged" in said) or flags
        assert _applied(cluster, *flags)["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    finally:
        cluster.request("DELETE", f"{APPS}/web")


# -- Argo CD ----------------------------------------------------------------------------------------------------------


def lua(value: Any) -> str:
    """``value`` as a Lua expression, as Argo CD hands an object to a script."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{json.dumps(key)}] = {lua(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(lua, value)) + "}"
    return json.dumps(value)


def health(kind: str, obj: Obj) -> tuple[str, str]:
    program = shutil.which(LUA.proof)
    if program is None:
        pytest.skip(f"{SKIP}{LUA.package}")
    data = yaml.safe_load((MANIFESTS / "gitops" / "argocd-cm.yaml").read_text())["data"]
    script = data[f"resource.customizations.health.{GROUP}_{kind}"]
    text = f"local function health(obj)\n{script}\nend\nlocal found = health({lua(obj)})\n"
    text += "print(found.status)\nprint(found.message)\n"
    done = subprocess.run([program, "-"], input=text, capture_output=True, text=True, timeout=30, check=True)
    status, message = done.stdout.splitlines()
    return status, message


def observed(ready: Obj | None, generation: int = 1, **status: Any) -> Obj:
    conditions = [] if ready is None else [{"type": "Ready", "message": "m", **ready}]
    return {
        "metadata": {"generation": 1},
        "status": {"observedGeneration": generation, "conditions": conditions, **status},
    }


PAUSED = {"type": "Paused", "status": "True", "reason": "Paused", "message": "paused"}
DELETED = {"metadata": {"generation": 1, "deletionTimestamp": "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize("kind", ["App", "Space"])
@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        ({"metadata": {"generation": 1}}, "Progressing"),
        ({"metadata": {"generation": 1}, "status": {"observedGeneration": -1}}, "Progressing"),
        (observed({"status": "True", "reason": "Ready"}), "Healthy"),
        (observed({"status": "True", "reason": "Ready"}, 0), "Progressing"),
        (observed({"status": "True", "reason": "Suspended"}), "Suspended"),
        (observed({"status": "False", "reason": "JobSuspended"}), "Suspended"),
        (observed({"status": "False", "reason": "Progressing"}), "Progressing"),
        (observed({"status": "False", "reason": "SecretMissing"}), "Degraded"),
        (observed({"status": "Unknown", "reason": "Paused"}), "Progressing"),
        (observed(None, conditions=[PAUSED]), "Suspended"),
        (DELETED, "Progressing"),
    ],
)
def test_health_in_argo_cd(kind: str, obj: Obj, expected: str) -> None:
    assert health(kind, obj)[0] == expected


def test_argo_cd_waits_for_what_ends_by_itself() -> None:
    """The script has the reasons of ``reasons.WAITING``, and no others."""
    known = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    progressing = {
        reason for reason in known if health("App", observed({"status": "False", "reason": reason}))[0] == "Progressing"
    }
    assert progressing == reasons.WAITING - {reasons.JOB_SUSPENDED}
