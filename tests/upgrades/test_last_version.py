"""An upgrade from the last released version: its manifests and its controller, then those of this checkout over them.

The last version is the newest tag before this commit. While there is none, it is the commit that recorded what version
0.1.0 leaves in a cluster (tests/skew), the oldest of which the desired state is promised to be kept.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed import prerequisites
from testbed.controlplane import ControlPlane
from tests.integration.harness import Cluster, Decco, eventually
from tests.skew.world import FIXTURES

ROOT = Path(__file__).parents[2]
EXAMPLES = ("1-space.yaml", "2-http-app.yaml", "3-tcp-app.yaml")
pytestmark = pytest.mark.timeout(900)
SETTINGS = {"routing__backend": "gateway", "routing__gateway_class_name": "edge"}
CHILDREN = ("deployments", "services", "configmaps", "networkpolicies", "httproutes", "tlsroutes", "gateways")


def git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def last_version() -> str:
    """Its tag or commit; empty in a checkout without history."""
    if tag := git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^").decode().strip():
        return tag
    recorded = min(path.name for path in FIXTURES.iterdir() if path.is_dir() and any(path.glob("*.yaml")))
    return git("log", "-1", "--format=%H", "--", f"tests/skew/{recorded}").decode().strip()


class Former(Decco):
    """The controller of another checkout, with the packages of this one."""

    source: Path

    def _program(self, module: str) -> list[str]:
        code = f"import sys; sys.path.insert(0, {str(self.source)!r}); from {module} import main; sys.exit(main())"
        return ["-c", code]


@pytest.fixture
def former(tmp_path: Path) -> Path:
    version = last_version()
    if not version:
        pytest.skip(f"{prerequisites.SKIP}history: git fetch --unshallow --tags")
    print(f"\nfrom {version}")
    with tarfile.open(fileobj=io.BytesIO(git("archive", version, "src", "manifests"))) as archive:
        # As an attribute: Python before 3.11.4 has no argument "filter".
        archive.extraction_filter = lambda member, _: member
        archive.extractall(tmp_path / "former")
    return tmp_path / "former"


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as cp:
        cp.install_gateway_api()
        yield cp


def generations(cluster: Cluster) -> dict[str, tuple[str, int]]:
    """UID and generation of the children of the examples."""
    said = cluster.cp.kubectl("get", ",".join(CHILDREN), "--namespace", "acme", "--output", "yaml")
    return {
        f"{each['kind']}/{each['metadata']['name']}": (each["metadata"]["uid"], each["metadata"].get("generation", 0))
        for each in yaml.safe_load(said)["items"]
    }


def test_an_upgrade_from_the_last_version(former: Path, control_plane: ControlPlane, tmp_path: Path) -> None:
    cluster = Cluster(control_plane)
    control_plane.kubectl("apply", "--server-side", "-k", str(former / "manifests"), seconds=120)
    control_plane.restart_manager()
    old = Former(control_plane, tmp_path, **SETTINGS)
    old.source = former / "src"
    with old:
        for name in EXAMPLES:
            control_plane.kubectl("apply", "-f", str(former / "manifests" / "examples" / name))
            eventually(lambda: cluster.get("/api/v1/namespaces/acme"), 30, "the namespace of the Space")
        eventually(lambda: {f"Deployment/{each}" for each in ("web", "database")} <= generations(cluster).keys(), 30)
        old.settle()
        before = generations(cluster)
        # docs/operations/upgrading.md: the CRDs, then roles and policies, then the program, while the old one runs.
        crds = subprocess.run(
            [sys.executable, "-m", "decco.cli.main", "crds"], capture_output=True, text=True, check=True
        ).stdout
        control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=crds)
        control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests"), seconds=120)
        with Decco(control_plane, tmp_path, **SETTINGS) as new:
            new.settle()
            assert old.stop() == 0
            new.settle()
            after = generations(cluster)
            lost = before.keys() - after.keys()
            assert lost == set()
            changed = {name for name in before if after[name] != before[name]}
            allowed = {
                resource.partition(" ")[0].rstrip("s")
                for objects in (yaml.safe_load((FIXTURES / "changes.yaml").read_text()) or {}).values()
                for resource in objects
            }
            assert {name for name in changed if name.partition("/")[0].lower() not in allowed} == set()
            # It also works: a change of an App reaches its Deployment.
            control_plane.kubectl(
                "patch", "dapp", "web", "-n", "acme", "--type=merge", "-p", '{"spec": {"suspend": true}}'
            )
            eventually(lambda: (cluster.deployment("acme", "web") or {})["spec"]["replicas"] == 0, 30)
