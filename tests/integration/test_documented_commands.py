"""Commands of the documentation as somebody types them who has followed README.md, on a real API server.

README.md comes first and makes the world: everything of ``manifests``, the Space acme and its App web. The other blocks
are typed into it as they stand, but for placeholders. There are no nodes, so who asks for logs of pods sees none.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import pki
from testbed.controlplane import ControlPlane
from tests.documented import ROOT, TRIED, Block, blocks
from tests.integration.harness import Cluster, Decco, app, eventually, space
from tests.sample import full

BLOCKS = [block for block in blocks() if TRIED & set(block.words)]
FIRST, SECOND = (block for block in BLOCKS if block.page == "README.md")
OTHERS = [block for block in BLOCKS if block.page != "README.md"]
pytestmark = full
SECONDS = 400
NAMES = {
    "<space>": "acme",
    "<space or app>": "acme",
    "<host name>": "acme.decco.test",
    "<secret>": "acme-http",
    "<resource>": "services",
    "<verb>": "create",
    "<dspace|dapp>": "dspace",
    "<name>": "acme",
    "shop.acme.example.com": "acme.decco.test",
    "acme.example.com": "acme.decco.test",
}
COMPLAINTS = re.compile(
    r"(?m)^(?:[Ee]rror|.*: command not found|.*unknown (?:command|flag|shorthand)|.*Traceback|usage:)"
)
EXPECTED = {
    "docs/runbooks/DeccoCertificateExpiry.md": r"(?m)^error: the server doesn't have a resource type \"certificate\"$",
    "docs/runbooks/DeccoDown.md": r"(?m)^error: the server doesn't have a resource type \"servicemonitor\"$",
}
"""What this world lacks: cert-manager and the Prometheus operator."""


def typed(text: str) -> str:
    for placeholder in sorted(NAMES, key=len, reverse=True):
        text = text.replace(placeholder, NAMES[placeholder])
    return text.replace("get services acme -o", "get services web -o")


class Shell:
    def __init__(self, cp: ControlPlane, folder: Path) -> None:
        programs = [str(cp.binaries.kubernetes["kubectl"].parent), str(Path(sys.executable).parent)]
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")} | {
            "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
            "KUBECONFIG": str(cp.kubeconfig),
            "HOME": str(folder),
        }
        (folder / "manifests").symlink_to(ROOT / "manifests")

    def type(self, block: Block) -> None:
        """Fails if a program complains; a command may say by its status that something is wrong in the cluster."""
        text = typed(block.text)
        assert "<" not in re.sub(r"<<", "", text), f"{block.where}: what is to be typed for the placeholder?"
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        complaints = COMPLAINTS.findall(done.stderr)
        if expected := EXPECTED.get(block.page):
            complaints = [line for line in complaints if not re.search(expected, done.stderr)]
        assert complaints == [], f"{block.where}:\n{text}\n{done.stdout}\n{done.stderr}"
        assert done.returncode not in {126, 127}, done.stderr


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("typed")
    pair = pki.Authority(folder).server("acme", ["acme.decco.test", "*.acme.decco.test"])
    (folder / "tls.crt").write_bytes(pair.cert.read_bytes())
    (folder / "tls.key").write_bytes(pair.key.read_bytes())
    with ControlPlane() as cp:
        cp.install_gateway_api()
        shell = Shell(cp, folder)
        shell.type(FIRST)
        cluster = Cluster(cp)
        cp.restart_manager()
        with Decco(cp, folder, routing__backend="none", leader_election__enabled="true"):
            shell.type(SECOND)
            eventually(lambda: cluster.deployment("acme", "web"), 30, "the App of README.md")
            cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}})
            cluster.create(space("shop"))
            cluster.create(app("acme", "migrate", runAsJob=True))
            cluster.create(app("acme", "shop"))
            secret = {"metadata": {"name": "acme-tcp", "namespace": "decco"}, "type": "kubernetes.io/tls"}
            files = {"tls.crt": pair.cert.read_text(), "tls.key": pair.key.read_text()}
            cluster.create({"apiVersion": "v1", "kind": "Secret", **secret, "stringData": files})
            yield shell


@pytest.mark.parametrize("block", OTHERS, ids=[block.where for block in OTHERS])
def test_it_can_be_typed(shell: Shell, block: Block) -> None:
    shell.type(block)
