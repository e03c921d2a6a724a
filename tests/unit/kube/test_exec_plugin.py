"""What a credential plugin is given, by client-go's rules; clientauthentication/v1 has the fields."""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from decco.kube.config import connect
from decco.kube.exec_plugin import plugin, run

V1 = "client.authentication.k8s.io/v1"
V1BETA1 = "client.authentication.k8s.io/v1beta1"
CLUSTER = {
    "server": "https://api.example.com:6443",
    "tls-server-name": "kubernetes",
    "proxy-url": "http://proxy:3128",
    "disable-compression": True,
    "extensions": [
        {"name": "other", "extension": {"shoot": "red"}},
        {"name": "client.authentication.k8s.io/exec", "extension": {"apiVersion": "x/v1", "shoot": "blue", "n": [1]}},
    ],
}
WHOLE = {
    "server": "https://api.example.com:6443",
    "tls-server-name": "kubernetes",
    "proxy-url": "http://proxy:3128",
    "disable-compression": True,
    "certificate-authority-data": base64.b64encode(b"PEM").decode(),
    "config": {"apiVersion": "x/v1", "shoot": "blue", "n": [1]},
}
INFO = """
import json, os
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
status = {"token": json.dumps([info, os.environ.get("A"), os.environ.get("B"), os.isatty(0)])}
print(json.dumps({"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


async def seen(settings: dict[str, Any], cluster: dict[str, Any], ca: bytes | None = None) -> Any:
    """What the plugin finds: its info, its variables A and B, whether it has a terminal."""
    settings = {"command": sys.executable, "args": ["-c", INFO], **settings}
    return json.loads((await run(plugin(settings, cluster, ca))).token)


@pytest.mark.parametrize("version", [V1, V1BETA1])
@pytest.mark.parametrize("mode", [None, "Never", "IfAvailable"])
async def test_a_plugin_learns_the_cluster_if_it_asks(version: str, mode: str | None) -> None:
    settings = {"apiVersion": version, "interactiveMode": mode, "provideClusterInfo": True, "env": None}
    info, _, _, terminal = await seen(settings, CLUSTER, b"PEM")
    assert info == {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False, "cluster": WHOLE}}
    assert not terminal


@pytest.mark.parametrize(
    ("cluster", "ca", "given"),
    [
        ({"server": "http://c"}, None, {"server": "http://c"}),
        (
            {"server": "https://c", "insecure-skip-tls-verify": True, "extensions": None, "proxy-url": ""},
            None,
            {"server": "https://c", "insecure-skip-tls-verify": True},
        ),
    ],
)
async def test_what_the_cluster_does_not_have_is_left_out(
    cluster: dict[str, Any], ca: bytes | None, given: dict[str, Any]
) -> None:
    info, *_ = await seen({"apiVersion": V1, "provideClusterInfo": True}, cluster, ca)
    assert info["spec"] == {"interactive": False, "cluster": given}


@pytest.mark.parametrize("asks", [{}, {"provideClusterInfo": False}, {"provideClusterInfo": None}])
async def test_a_plugin_that_does_not_ask_learns_nothing(asks: dict[str, Any]) -> None:
    info, *_ = await seen({"apiVersion": V1, **asks}, CLUSTER, b"PEM")
    assert info["spec"] == {"interactive": False}


async def test_variables_are_added_to_decco_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "ours")
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", "somebody else's")
    env = [{"name": "B", "value": "given"}, {"name": "B", "value": "last"}]
    _, first, second, _ = await seen({"apiVersion": V1, "env": env}, CLUSTER)
    assert (first, second) == ("ours", "last")
    assert "PATH" in os.environ


async def test_the_authority_comes_from_its_file_and_a_new_one_runs_the_plugin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the kubeconfig, with a command relative to it."""
    monkeypatch.setattr("decco.kube.config.CERTIFICATE_SECONDS", 0.0)
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(b"first")
    script = folder / "plugin"
    script.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(INFO)}\n")
    script.chmod(0o755)
    user = {"exec": {"apiVersion": V1, "interactiveMode": "IfAvailable", "provideClusterInfo": True}}
    user["exec"] |= {"command": "./plugin", "env": None, "args": None, "installHint": "none"}
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://c", "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "config").write_text(yaml.safe_dump(kubeconfig))
    connection = await connect(str(folder / "config"))
    for content in (b"first", b"second"):
        (folder / "ca.crt").write_bytes(content)
        authorization = (await connection.headers())["Authorization"]
        info = json.loads(authorization.removeprefix("Bearer "))[0]
        assert base64.b64decode(info["spec"]["cluster"]["certificate-authority-data"]) == content
