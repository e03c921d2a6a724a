"""A cluster by `kind` on a machine with Docker, with the same edge and images as our own node.

Two differences: nodes are containers, so the edge's ports are opened on the node's own address (``hostPort``), not on
that of a Service; and kind's network enforces NetworkPolicies (since 0.24), which ours does not.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from testbed import assets
from testbed.cluster import Cluster, controller_loaded, install_decco, kubectl_of
from testbed.found import AssetsMissing
from testbed.images import catalog
from testbed.node.edge import NAMESPACE, PARENT, Edge
from testbed.progress import step

CREATE_SECONDS = 600
PROGRAMS = ("docker", "kind")


@contextlib.contextmanager
def kind() -> Iterator[Cluster]:
    """Creates a cluster of one node, with edge, images, CRDs, roles and policies; deletes it at the end.

    Raises:
        AssetsMissing: there is no Docker or no kind here, or the cluster does not come up.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise AssetsMissing(f"a cluster by kind needs {' and '.join(missing)} on PATH")
    name = f"decco-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory(prefix="decco-kind-") as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        try:
            with step("creating a cluster by kind"):
                _run("kind", "create", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}", "--wait=180s")

            def load(*archives: Path) -> None:
                for archive in archives:
                    _run("kind", "load", "image-archive", str(archive), f"--name={name}")

            kubectl = kubectl_of(kubeconfig)
            kubectl("apply", "--server-side", "-f", str(assets.gateway_api_crds()[0].parent))
            install_decco(kubectl)
            Edge(kubectl, load, host_ports=True).install()
            echo, sidecar = catalog.echo(), catalog.stunnel()
            load(echo.archive, sidecar.archive)
            where = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            yield Cluster(
                kubectl=kubectl,
                kubeconfig=kubeconfig,
                controller_kubeconfig=kubeconfig,
                edge=_run("docker", "inspect", "-f", where, f"{name}-control-plane").strip(),
                edge_namespace=NAMESPACE,
                gateway=PARENT,
                echo=echo.reference,
                sidecar=sidecar.reference,
                controller=lambda: controller_loaded(load),
            )
        finally:
            _run("kind", "delete", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}")


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=CREATE_SECONDS)
    if done.returncode != 0:
        raise AssetsMissing(f"`{' '.join(argv)}` failed: {done.stderr.strip()[-1000:]}")
    return done.stdout
