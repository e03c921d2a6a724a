"""cert-manager's own controllers, with the permissions that its chart gives them.

Its main packages are modules of their own that are not served; ``certmanager_module/`` has a ``main`` of ours around
its packages: all of its controllers for issuers of the kinds ACME, CA and SelfSigned, and its HTTP-01 solver. Its
webhook, which sets no defaults and refuses invalid objects, and its cainjector are not run.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from testbed import golang, gotool, helm
from testbed.controlplane import ControlPlane
from testbed.found import AssetsMissing
from testbed.images import catalog
from testbed.images.catalog import Image
from testbed.manifests import install_cert_manager_crds
from testbed.processes import Process
from testbed.versions import CERT_MANAGER

MODULE = "certmanager_module"
NAMESPACE = "cert-manager"
USER = f"system:serviceaccount:{NAMESPACE}:cert-manager"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated")
START_SECONDS = 60.0
STARTED = "started "


def program(name: str = "controller") -> Path:
    """Gives ``controller`` or ``acmesolver``; built again when anything in the module's folder changes.

    Raises:
        AssetsMissing: it is not cached and cannot be built; the message says what to install.
    """
    return gotool.provide(_tool(name))


def solver() -> Image:
    """The image of the pods that answer HTTP-01; raises as ``program``."""
    return catalog.go_program("acmesolver", program("acmesolver"))


class CertManager:
    """``with CertManager(cp, nameserver):`` installs CRDs and roles, and runs the controllers until the end.

    Its service account has the roles of the chart; what decco's policies ask for is given by the caller.
    """

    def __init__(self, cp: ControlPlane, nameserver: str, *, solver_image: str = "none", gateways: bool = True) -> None:
        """``nameserver`` is host:port of the DNS server that its own checks ask."""
        self._cp = cp
        self._flags = [f"-nameservers={nameserver}", f"-solver={solver_image}", f"-gateways={gateways}", "-retry=1s"]

    def __enter__(self) -> CertManager:
        binary = program()
        install_cert_manager_crds(self._cp.api)
        self._cp.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self._cp.kubectl("apply", "--server-side", "-f", "-", input=roles())
        kubeconfig = self._cp.kubeconfig_for(USER, GROUPS)
        argv: list[str | Path] = [binary, f"-kubeconfig={kubeconfig}", *self._flags]
        self._process: Process = self._cp.processes.start("cert-manager", argv)
        self._process.wait_until(lambda: STARTED in self.log, START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._cp.processes.stop(self._process)

    @property
    def log(self) -> str:
        return self._process.log.read_text(errors="replace")


def roles() -> str:
    """The chart's ServiceAccount, roles and bindings, as YAML.

    Raises:
        AssetsMissing: there is no Helm, or no chart.
    """
    templates = ("serviceaccount", "rbac")
    argv = [str(helm.provide()), "template", "cert-manager", str(_chart()), f"--namespace={NAMESPACE}"]
    argv += [f"--show-only=templates/{each}.yaml" for each in templates]
    argv += ["--set=global.leaderElection.namespace=cert-manager"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssetsMissing(f"cert-manager's chart cannot be rendered: {done.stderr.strip()[-1000:]}")
    return done.stdout


def _chart() -> Path:
    try:
        return golang.module_folder(CERT_MANAGER, gotool.HERE) / "deploy" / "charts" / "cert-manager"
    except golang.GoFailed as error:
        raise AssetsMissing(f"cert-manager's chart is not to be had: {error}") from error


def _tool(name: str) -> gotool.Tool:
    return gotool.Tool(f"certmanager-{name}", gotool.digest(MODULE), MODULE, f"./{name}", minutes=4)


def main() -> int:
    """``python -m testbed.certmanager``: builds what is missing and prints the paths."""
    from testbed import pebble

    programs: list[Callable[[], Path]] = [
        program,
        lambda: program("acmesolver"),
        lambda: gotool.provide(pebble.PROGRAM),
    ]
    try:
        for each in programs:
            print(each())
    except AssetsMissing as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
