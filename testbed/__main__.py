"""``python -m testbed up [--node | --kind]``: a cluster to play with.
``python -m testbed assets [--node]``: only its programs. ``python -m testbed images``: the images of its node.

Options are environment variables: ``KUBE_VERSION``, ``DECCO_CACHE``, ``KUBEBUILDER_ASSETS``.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager

from testbed import assets, cluster, gotool, helm, netpol
from testbed.api import RequestFailed
from testbed.cluster import Cluster
from testbed.controlplane import ControlPlane
from testbed.dns import coredns
from testbed.found import AssetsMissing
from testbed.images import catalog
from testbed.kind import kind
from testbed.node import edge, traefik
from testbed.node import programs as node
from testbed.processes import ProcessFailed
from testbed.progress import elapsed
from testbed.versions import KUBERNETES, kubernetes_version


def provide_assets() -> None:
    """Gets or makes all programs and CRDs, and prints where they are."""
    version = kubernetes_version()
    binaries = assets.provide(version)
    for path in [binaries.etcd, *binaries.kubernetes.values()]:
        print(path)
    print(assets.gateway_api_crds()[0].parent)


def provide_node(*, full: bool) -> None:
    """Gets or makes what ``cluster.own`` needs beyond those; ``full`` adds the other edge and decco's own image."""
    node.provide(kubernetes_version())
    coredns.build()
    helm.provide()
    netpol.provide("enforcer")
    tools = (edge.PROGRAM, traefik.PROGRAM) if full else (edge.PROGRAM,)
    images = [catalog.go_program(tool.name, gotool.provide(tool)) for tool in tools]
    for name, provide in catalog.IMAGES.items():
        if full or name != "controller":
            images.append(provide())
    for image in images:
        print(image.archive)


def provide_images() -> None:
    """Makes the images of the node that are not cached, and prints their names, archives and sizes."""
    for provide in catalog.IMAGES.values():
        image = provide()
        print(f"{image.reference}  {image.archive}  {image.size / 1e6:.1f} MB")


def up() -> None:
    """Starts a control plane with the CRDs of the Gateway API and of decco, and keeps it until a signal comes."""
    ending = _ending()
    started = time.monotonic()
    with ControlPlane() as cp:
        crds = [*cp.install_gateway_api(), *cp.install_decco()]
        cp.restart_manager()
        print(f"Kubernetes {cp.version} at {cp.url}, {len(crds)} CRDs, ready in {elapsed(time.monotonic() - started)}.")
        print(f"What its programs say: {cp.folder}/*.log. It ends with Ctrl-C and leaves nothing behind.\n")
        print(f"export KUBECONFIG={cp.kubeconfig}")
        print(f"export PATH={cp.binaries.kubernetes['kubectl'].parent}:$PATH", flush=True)
        ending.wait()
        print("\nending")


def up_with_node(context: AbstractContextManager[Cluster]) -> None:
    """As ``up``, with pods that run and an edge in front of them."""
    ending = _ending()
    started = time.monotonic()
    with context as found:
        print(f"A cluster with a node and an edge at {found.edge}, ready in {elapsed(time.monotonic() - started)}.")
        print("It ends with Ctrl-C and leaves nothing behind. For decco-controller and for pods of your own:\n")
        kubectl = assets.provide(kubernetes_version(), ["kubectl"]).kubernetes["kubectl"]
        for name, value in found.settings.items():
            print(f"export {name}={value}")
        print(f"export E2E_ECHO_IMAGE={found.echo} E2E_SIDECAR_IMAGE={found.sidecar}")
        print(f"export KUBECONFIG={found.kubeconfig}")
        print(f"export PATH={kubectl.parent}:$PATH", flush=True)
        ending.wait()
        print("\nending")


def _ending() -> threading.Event:
    """Is set by the signals that ask a program to end."""
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ending.set())
    return ending


def main() -> int:
    """Runs a subcommand; an error that the user can correct is one message and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m testbed", description="Real parts to run decco against.")
    commands = parser.add_subparsers(dest="command", required=True)
    versions = " or ".join(KUBERNETES)
    starting = commands.add_parser("up", help=f"start a control plane, keep it until Ctrl-C (KUBE_VERSION={versions})")
    kinds = starting.add_mutually_exclusive_group()
    kinds.add_argument("--node", action="store_true", help="with a node that runs pods, and an edge (Linux, root)")
    kinds.add_argument("--kind", action="store_true", help="the same by kind, on a machine with Docker")
    providing = commands.add_parser("assets", help="find, download or build the programs, and print their paths")
    providing.add_argument("--node", action="store_true", help="those of a node and its edge, with their images")
    providing.add_argument("--full", action="store_true", help="with --node: also Traefik, and the controller's image")
    commands.add_parser("images", help="make the images of the node, and print their names, archives and sizes")
    chosen = parser.parse_args()
    try:
        if chosen.command == "up" and (chosen.node or chosen.kind):
            up_with_node(kind() if chosen.kind else cluster.own())
        elif chosen.command == "assets" and chosen.node:
            provide_node(full=chosen.full)
        else:
            {"up": up, "assets": provide_assets, "images": provide_images}[chosen.command]()
    except (AssetsMissing, ProcessFailed, RequestFailed, ValueError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
