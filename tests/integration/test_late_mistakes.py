"""A configuration that stops working while the controller runs: on a real API server, as a process.

What a moment cures ends nothing; what it does not cure ends the process as at the start: one line and status 2.
"""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.controlplane import ControlPlane
from tests.integration.harness import Decco, eventually
from tests.sample import full

KEY = "c2l4dGVlbiBieXRlcyBvZiB0ZXN0IHNlY3JldCBoZXJl"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/decco/leases/decco-controller"
ELECTION = {"leader_election__enabled": "true", "routing__backend": "none"}
START_SECONDS = 60.0
END_SECONDS = 60.0


@pytest.fixture(autouse=True)
def free_lease(control_plane: ControlPlane) -> Iterator[None]:
    control_plane.request("DELETE", LEASE)
    yield
    control_plane.request("DELETE", LEASE)


def assert_ends_with_one_line(decco: Decco, words: str) -> None:
    assert decco.process is not None
    assert decco.process.wait(END_SECONDS) == 2, decco.tail()
    text = decco.log.read_text()
    [line] = [line for line in text.splitlines() if not line.startswith("{")]
    assert line.startswith("decco-controller: ")
    assert words in line
    assert "Traceback" not in text


def credentials(kubeconfig: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cluster and user of a kubeconfig of the testbed."""
    document = yaml.safe_load(kubeconfig.read_text())
    return document["clusters"][0]["cluster"], document["users"][0]["user"]


def plugin_kubeconfig(control_plane: ControlPlane, folder: Path, name: str, *, fails: str) -> Path:
    """A kubeconfig with a plugin that gives a client certificate, if it learns the cluster; ``fails`` is a shell
    condition on the number ``$n`` of its run.
    """
    cluster, user = credentials(control_plane.kubeconfig_for(name, ("system:masters",)))
    cluster["extensions"] = [{"name": "client.authentication.k8s.io/exec", "extension": {"shoot": "blue"}}]
    status = {
        "clientCertificateData": pem(user, "client-certificate"),
        "clientKeyData": pem(user, "client-key"),
    }
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    (folder / "answer").write_text(json.dumps(answer))
    plugin = folder / "plugin"
    plugin.write_text(
        f"""#!/bin/sh
cd {shlex.quote(str(folder))}
echo run >> runs
n=$(wc -l < runs)
if [ {fails} ]; then echo "no ticket" >&2; exit 1; fi
{shlex.quote(sys.executable)} -c '
import base64, json, os
cluster = json.loads(os.environ["KUBERNETES_EXEC_INFO"])["spec"]["cluster"]
assert cluster["server"] == {json.dumps(cluster["server"])}, cluster
assert cluster["config"] == {{"shoot": "blue"}}, cluster
assert b"BEGIN CERTIFICATE" in base64.b64decode(cluster["certificate-authority-data"]), cluster
' && cat answer
"""
    )
    plugin.chmod(0o755)
    run = {"command": "./plugin", "apiVersion": answer["apiVersion"], "env": None}
    run |= {"provideClusterInfo": True, "interactiveMode": "IfAvailable"}
    path = folder / "plugin.kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": cluster}],
                "users": [{"name": "u", "user": {"exec": run}}],
            }
        )
    )
    return path


def pem(user: dict[str, Any], field: str) -> str:
    data = user.get(f"{field}-data")
    return base64.b64decode(data).decode() if data else Path(user[field]).read_text()


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def test_a_plugin_that_fails_at_the_second_connection(control_plane: ControlPlane, tmp_path: Path) -> None:
    kubeconfig = plugin_kubeconfig(control_plane, tmp_path, "late-plugin", fails="$n -gt 1")
    decco = Decco(control_plane, tmp_path, kubeconfig=kubeconfig, **ELECTION).start(wait=False)
    try:
        assert_ends_with_one_line(decco, "failed: it ended with status 1: no ticket")
        assert runs(tmp_path) > 2, "it was given some seconds"
    finally:
        decco.kill()


def test_a_plugin_that_fails_for_a_moment_ends_nothing(control_plane: ControlPlane, tmp_path: Path) -> None:
    kubeconfig = plugin_kubeconfig(control_plane, tmp_path, "late-moment", fails="$n -gt 1 -a $n -lt 4")
    decco = Decco(control_plane, tmp_path, kubeconfig=kubeconfig, **ELECTION).start()
    try:
        eventually(lambda: decco.metric("decco_leader") == 1, START_SECONDS, "it leads")
        assert runs(tmp_path) == 4
        assert decco.stop() == 0
    finally:
        decco.kill()


@full
def test_a_key_file_that_is_gone_when_leading_begins(control_plane: ControlPlane, tmp_path: Path) -> None:
    """A standby that has started well; and it goes on where the file comes back."""
    key = tmp_path / "tsig"
    key.write_text(KEY)
    provider = {"type": "rfc2136", "host": "127.0.0.1", "port": 9, "zones": ["z.test"]}
    provider |= {"tsigKeyName": "k", "tsigSecretFile": str(key)}
    settings = {**ELECTION, "dns__providers": json.dumps([provider])}
    kubeconfig = control_plane.kubeconfig_for("late-key", ("system:masters",))
    three = [Decco(control_plane, tmp_path, kubeconfig=kubeconfig, **settings) for _ in range(3)]
    first, second, third = three
    try:
        first.start()
        eventually(lambda: first.metric("decco_leader") == 1, START_SECONDS, "the first leads")
        second.start()
        key.unlink()
        assert first.stop() == 0
        assert_ends_with_one_line(second, "the tsigSecretFile of rfc2136 cannot be read (No such file or directory)")

        key.write_text(KEY)
        third.start()
        eventually(lambda: third.metric("decco_leader") == 1, START_SECONDS, "the third leads")
        assert third.stop() == 0
    finally:
        for each in three:
            if each.process is not None:
                each.kill()
