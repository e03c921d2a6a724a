"""The controller's image as its Dockerfile is built: what is in it, that it is the same twice, and that it runs as in a
pod: its entry point with the Deployment's arguments, variables, user and token.

Minutes, and package sources: `make test-packaging`. Needs root.
"""

from __future__ import annotations

import re
import shutil
import socket
import stat
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from decco import __version__
from testbed import bareroot
from testbed.controlplane import ControlPlane
from testbed.found import AssetsMissing
from testbed.images import archive, built, engine
from testbed.manifests import MANIFESTS
from tests.integration.harness import Cluster, eventually, space
from tests.packaging.conftest import Tool
from tests.packaging.objects import objects, one

pytestmark = pytest.mark.long

USER = "65532:65532"
ACCOUNT = "/api/v1/namespaces/decco/serviceaccounts/decco-controller/token"
MOUNT = "var/run/secrets/kubernetes.io/serviceaccount"
SIZE_LIMIT = 160_000_000
"""Bytes, unpacked; 131 MB when this was written. More needs a reason."""
EVERY_MODULE = """
import importlib, pkgutil, ssl, sys
import decco
for module in pkgutil.walk_packages(decco.__path__, "decco."):
    importlib.import_module(module.name)
import google.auth.transport.urllib3, google.oauth2.service_account
import botocore.session
session = botocore.session.Session()
for name in ("route53", "sts", "sso", "sso-oidc"):
    session.create_client(name, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
assert len(ssl.create_default_context().get_ca_certs()) > 100
assert not sys.flags.dont_write_bytecode
print("all there")
"""


@dataclass(frozen=True)
class Unpacked:
    """The image's files, and how its containers start, in the words of a Dockerfile."""

    root: Path
    config: dict[str, Any]

    def run(self, *argv: str) -> str:
        """Runs a command in the image as its user; /proc is there, as in a container. Raises StepFailed."""
        (self.root / "proc").mkdir(exist_ok=True)
        enter = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={self.root / 'proc'}"]
        environment = {"PATH": bareroot.PATH, "HOME": "/"}
        return bareroot.run([*enter, "chroot", f"--userspec={USER}", str(self.root), *argv], environment)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    root = tmp_path_factory.mktemp("image") / "root"
    try:
        return Unpacked(root, archive.unpack(built.controller().archive, root))
    except AssetsMissing as error:
        pytest.skip(str(error))


def test_it_is_small_and_has_nothing_to_break_in_with(image: Unpacked) -> None:
    files = [path for path in image.root.rglob("*") if path.is_file()]
    print(f"\nimage: {sum(path.stat().st_size for path in files) / 1e6:.0f} MB in {len(files)} files")
    assert sum(path.stat().st_size for path in files) < SIZE_LIMIT
    programs = {path.name for path in files if path.parent.name in {"bin", "sbin"}}
    assert programs == {"python3.11", "decco", "decco-controller"}
    forbidden = {
        "pip",
        "setuptools",
        "ensurepip",
        "hatchling",
        "pytest",
        "cc",
        "gcc",
        "ld",
        "apt",
        "dpkg",
        "sh",
        "bash",
    }
    assert not forbidden & {path.name for path in image.root.rglob("*")} - {"dpkg"}
    assert not list((image.root / "usr/local/lib/python3.11/dist-packages").glob("*.pth"))


def test_everything_belongs_to_root_and_is_writable_only_by_root(image: Unpacked) -> None:
    for path in image.root.rglob("*"):
        info = path.lstat()
        assert stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode), path
        assert (info.st_uid, info.st_gid) == (0, 0), path
        assert stat.S_IMODE(info.st_mode) in {0o755, 0o644}, path


def test_byte_code_carries_no_time(image: Unpacked) -> None:
    """So a layer with other times has no stale one. PEP 552: 1 is "by hash", and nothing beside it "not checked"."""
    compiled = list(image.root.rglob("*.pyc"))
    assert len(compiled) > 500
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\x01\0\0\0"}
    assert {path.stat().st_mtime for path in image.root.rglob("*")} == {engine.EPOCH}


@pytest.mark.parametrize("name", ["controller", "stunnel"])
def test_it_is_the_same_twice(name: str, tmp_path: Path) -> None:
    """From the first package on: the whole archive, so its layers, their times, its configuration and its digest."""
    first = {"controller": built.controller, "stunnel": built.stunnel}[name]()
    context = {"controller": built.CHECKOUT, "stunnel": built.SIDECAR}[name]
    engine.build(context, first.reference, tmp_path / "again.tar")
    assert archive.digest(tmp_path / "again.tar") == archive.digest(first.archive)


def test_every_module_and_every_service_of_the_providers_is_in_it(image: Unpacked) -> None:
    assert image.run("/usr/bin/python3.11", "-I", "-c", EVERY_MODULE) == "all there\n"


def test_the_manifests_name_the_version_that_is_in_it(image: Unpacked, kubectl: Tool) -> None:
    assert image.run(*image.config["Entrypoint"], "--version").startswith(f"decco-controller {__version__} ")
    container = one(objects(kubectl("kustomize", MANIFESTS)), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].endswith(f":{__version__}")
    assert "command" not in container


class Pod:
    """The image's entry point as the kubelet would start it, but for the namespaces of the kernel."""

    def __init__(self, cp: ControlPlane, image: Unpacked, kubectl: Tool, folder: Path) -> None:
        rendered = objects(kubectl("kustomize", MANIFESTS))
        template = one(rendered, "Deployment")["spec"]["template"]["spec"]
        [container] = template["containers"]
        [settings] = one(rendered, "ConfigMap")["data"].items()
        (image.root / "etc/decco/controller" / settings[0]).write_text(settings[1])
        account = image.root / MOUNT
        account.mkdir(parents=True, exist_ok=True)
        token = cp.create(ACCOUNT, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        (account / "token").write_text(token["status"]["token"])
        (account / "ca.crt").write_bytes(cp.ca_file.read_bytes())
        (account / "namespace").write_text("decco")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        fields = {"metadata.name": "decco-controller-0", "metadata.namespace": "decco"}
        variables = {each["name"]: fields[each["valueFrom"]["fieldRef"]["fieldPath"]] for each in container["env"]}
        host, _, port = cp.url.removeprefix("https://").partition(":")
        variables |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "TMPDIR": "/tmp"}
        variables["DECCO_METRICS_BIND_ADDRESS"] = f"127.0.0.1:{self.port}"  # the node's ports are everybody's here
        (image.root / "tmp").mkdir(mode=0o1777, exist_ok=True)
        user = f"{template['securityContext']['runAsUser']}:{template['securityContext']['runAsGroup']}"
        self.log = folder / "pod.log"
        chroot = shutil.which("chroot", path=bareroot.PATH)
        assert chroot is not None
        argv = [chroot, f"--userspec={user}", str(image.root), *image.config["Entrypoint"], *container["args"]]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, env=variables, stdout=log, stderr=log)

    def get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError as error:
            assert self.process.poll() is None, self.log.read_text()
            return str(error)


@pytest.fixture(scope="module")
def pod(
    control_plane: ControlPlane,
    image: Unpacked,
    kubectl: Tool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pod]:
    control_plane.install_gateway_api()
    text = kubectl("kustomize", MANIFESTS)
    kubectl("--kubeconfig", control_plane.kubeconfig, "apply", "--server-side", "-f", "-", text=text.encode())
    pod = Pod(control_plane, image, kubectl, tmp_path_factory.mktemp("pod"))
    yield pod
    pod.process.kill()
    pod.process.wait()


def test_it_works_with_the_service_account_and_what_the_deployment_gives_it(
    pod: Pod, control_plane: ControlPlane, image: Unpacked
) -> None:
    started = time.monotonic()
    eventually(lambda: pod.get("/readyz").startswith("ok"), 60, "ready")
    [memory] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pod.process.pid}/status").read_text())
    print(f"\nready {time.monotonic() - started:.1f} s after its start, {int(memory) / 1000:.0f} MB")
    cluster = Cluster(control_plane)
    cluster.create(space("packed", "example.net"))
    eventually(lambda: (cluster.space_condition("packed", "NetworkReady") or {}).get("status") == "True", 30)
    refused = [
        line for line in pod.get("/metrics").splitlines() if "decco_api_requests_total" in line and '="403"' in line
    ]
    assert refused == [], f"its roles lack something:\n{pod.log.read_text()}"
    check = [word.replace("8080", str(pod.port)) for word in image.config["Healthcheck"]["Test"][1:]]
    image.run(*check)
    # Nothing was written into the image: its root is read-only in a pod.
    written = [path for path in image.root.rglob("*") if path.is_file() and path.stat().st_uid != 0]
    assert written == []
    pod.process.terminate()
    assert pod.process.wait(15) == 0
    with pytest.raises(bareroot.StepFailed):
        image.run(*check)


def test_wrong_settings_are_refused_in_its_log(image: Unpacked, tmp_path: Path) -> None:
    (image.root / "etc/decco/controller/wrong.yaml").write_text(yaml.safe_dump({"routing": {"backend": "gatway"}}))
    argv = [*image.config["Entrypoint"], "--config=/etc/decco/controller/wrong.yaml"]
    with pytest.raises(bareroot.StepFailed, match=r"status 2:\n.*did you mean gateway"):
        image.run(*argv)
    (image.root / "etc/decco/controller/wrong.yaml").unlink()
