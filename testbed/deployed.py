"""decco as an operator has it: pods of manifests/, by an overlay with settings and image of one's own.

``controller.py`` is the same program as a process outside; this is for what only a pod can show. The overlay is the one
of docs/install.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from testbed.api import RequestFailed
from testbed.cluster import Cluster
from testbed.manifests import MANIFESTS
from testbed.processes import ProcessFailed
from testbed.progress import step

NAMESPACE = "decco"
NAME = "decco-controller"
COMPONENT = "app.kubernetes.io/component=controller"
IMAGE = "ghcr.io/decco-project/controller"
"""As the base names it, without the tag."""
SETTINGS = "decco-settings"
READY_SECONDS = 120
"""Two starts beside other work; a probe each 5 s."""
LOG_LINES = 50


@contextlib.contextmanager
def deployed(cluster: Cluster, settings: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Both replicas of decco are Ready in the cluster; at the end they are gone.

    Args:
        cluster: with decco's CRDs, roles and policies or without.
        settings: further ones, as in the file.

    Raises:
        AssetsMissing: the image cannot be made here.
        ProcessFailed: it did not come up; the message has the pods' last lines.
    """
    reference = cluster.controller()
    # Not below a folder of the checkout: the overlay is somebody's own.
    with tempfile.TemporaryDirectory(prefix="decco-overlay-") as folder:
        overlay(Path(folder), reference, {**cluster.settings_file, **(settings or {})})
        with step("starting decco as a pod"):
            cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", folder)
            try:
                _wait(cluster)
            except RequestFailed as error:
                raise ProcessFailed(f"decco did not come up: {error}\n{said(cluster)}") from error
        try:
            yield
        finally:
            kinds = "deployment,poddisruptionbudget,networkpolicy,service,configmap"
            cluster.kubectl("delete", kinds, "-n", NAMESPACE, "-l", COMPONENT, "--wait=true")


def overlay(folder: Path, reference: str, settings: Mapping[str, Any]) -> None:
    """Writes what a user would: the base, another image, settings under a name that changes with them."""
    name, _, tag = reference.rpartition(":")
    volumes = [{"name": "settings", "configMap": {"name": SETTINGS}}]
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"volumes": volumes}}},
    }
    label, _, value = COMPONENT.partition("=")
    generated = {
        "name": SETTINGS,
        "namespace": NAMESPACE,
        "files": ["decco.yaml"],
        "options": {"labels": {label: value}},
    }
    kustomization = {
        # A base is named relative to its overlay; an absolute path is refused.
        "resources": [os.path.relpath(MANIFESTS, folder.resolve())],
        "images": [{"name": IMAGE, "newName": name, "newTag": tag}],
        "configMapGenerator": [generated],
        "patches": [{"patch": json.dumps(patch)}],
    }
    (folder / "decco.yaml").write_text(json.dumps(settings))
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization))


def pods(cluster: Cluster) -> list[dict[str, Any]]:
    """The controller's pods that are not ending."""
    found = json.loads(cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", COMPONENT, "-o", "json"))["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def metrics(cluster: Cluster) -> dict[str, str]:
    """What each of the pods exposes, by its name."""
    names = [pod["metadata"]["name"] for pod in pods(cluster)]
    where = f"/api/v1/namespaces/{NAMESPACE}/pods"
    return {name: cluster.kubectl("get", "--raw", f"{where}/{name}:8080/proxy/metrics") for name in names}


def said(cluster: Cluster) -> str:
    """The state of the pods and their last lines, for messages."""
    where = ["-n", NAMESPACE, "-l", COMPONENT]
    asked = [
        ["get", "pods", "-o", "wide", *where],
        ["logs", f"--tail={LOG_LINES}", "--prefix", "--ignore-errors", *where],
        ["get", "events", "-n", NAMESPACE, "--field-selector=type=Warning"],
    ]
    parts = []
    for arguments in asked:
        try:
            parts.append(cluster.kubectl(*arguments))
        except RequestFailed as error:
            parts.append(str(error))
    return "\n".join(parts)


def _wait(cluster: Cluster) -> None:
    cluster.kubectl(
        "rollout",
        "status",
        f"deployment/{NAME}",
        "-n",
        NAMESPACE,
        f"--timeout={READY_SECONDS}s",
        seconds=READY_SECONDS + 10,
    )
