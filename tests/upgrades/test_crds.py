"""New CRDs over old ones: stored objects stay, and whoever applies an old file is informed of removed fields."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import yaml

from decco.api.crd import crds
from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, GROUP, Cluster, Decco, Obj, eventually


def _older(crd: Obj) -> Obj:
    """The CRD as a former version might have had it: a field more, a field less, a rule less."""
    old = copy.deepcopy(crd)
    schema: dict[str, Any] = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]["properties"]
    spec["legacy"] = {"type": "string"}
    spec.pop("topology", None)
    spec.pop("jobBackoffLimit", None)
    schema.pop("x-kubernetes-validations", None)
    schema["properties"]["spec"].pop("x-kubernetes-validations", None)
    return old


def test_new_crds_over_old_ones_with_stored_objects(tmp_path: Path) -> None:
    with ControlPlane() as cp:
        cluster = Cluster(cp)
        for crd in crds():
            cp.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump(_older(crd)))
        cp.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        space = f"""
apiVersion: {GROUP}/v1beta2
kind: Space
metadata: {{name: stored}}
spec: {{domainName: example.net, legacy: text}}
"""
        eventually(lambda: cp.request("GET", f"{APIS}/spaces").status == 200, 10)
        cp.kubectl("apply", "--validate=strict", "-f", "-", input=space)
        kept = cluster.space("stored")
        assert kept is not None
        assert kept["spec"]["legacy"] == "text"

        said = cp.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(crds()))
        assert said.count("serverside-applied") == 2

        def pruned() -> bool:
            now = cluster.space("stored") or {"spec": {}}
            return "legacy" not in now["spec"] and now["metadata"]["uid"] == kept["metadata"]["uid"]

        eventually(pruned, 10, "the stored object is served by the new schema")
        answer = eventually(lambda: _refusal(cp, space), 10, "the answer to the old file names the field")
        assert 'unknown field "spec.legacy"' in answer
        cp.create("/api/v1/namespaces", {"metadata": {"name": "decco"}})
        with Decco(cp, tmp_path):
            eventually(lambda: (cluster.space_condition("stored", "NetworkReady") or {}).get("status") == "True", 15)


def _refusal(cp: ControlPlane, text: str) -> str:
    """What a strict dry run reports for a file with a field that the schema no longer has."""
    kubectl = cp.binaries.kubernetes["kubectl"]
    argv = [kubectl, f"--kubeconfig={cp.kubeconfig}", "apply", "--dry-run=server", "--validate=strict", "-f", "-"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""
