"""A cluster that runs pods, with an edge in front: our own node, or one that somebody has given us.

For the end-to-end suite, the demo with ``NODE=1`` and ``python -m testbed up --node``, which need the same few words.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from decco.settings.load import load
from testbed import assets
from testbed.api import RequestFailed
from testbed.controlplane import ControlPlane
from testbed.found import AssetsMissing
from testbed.images import catalog
from testbed.manifests import MANIFESTS, decco_folders
from testbed.node import traefik
from testbed.node.edge import CLASS, NAMESPACE, PARENT, Edge
from testbed.node.node import Node
from testbed.node.sandbox import Sandbox
from testbed.versions import kubernetes_version

CONTROLLER = "system:serviceaccount:decco:decco-controller"
KUBECTL_SECONDS = 120.0


class Backend(StrEnum):
    """What decco's routes are, and whose edge serves them."""

    GATEWAY = "gateway"
    """Listeners that Spaces add to one shared Gateway, by Envoy Gateway."""
    GATEWAYS = "gateways"
    """A Gateway of its own for each Space, by Envoy Gateway."""
    INGRESS = "ingress"
    """Ingresses in the dialect of Traefik."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What its users need of it.

    ``kubectl`` runs kubectl as an administrator and returns what it printed, or raises RequestFailed.
    ``controller_kubeconfig`` has the permissions of manifests/rbac and no others where that can be had.
    ``edge`` is the address of the edge, on its ports 80 and 443; ``edge_namespace`` is where its pods run, and
    ``gateway`` the namespace/name of the Gateway that Spaces may add listeners to, unless ``routing`` has decco's
    settings for routes of another kind. Where each Space has an address of its own, ``edge`` is empty.
    ``echo`` and ``sidecar`` are references of images that pods can run; ``controller`` gives that of decco's own, which
    is made when it is asked for. ``node`` is our own, if it is.
    """

    kubectl: Callable[..., str]
    kubeconfig: Path
    controller_kubeconfig: Path
    edge: str
    edge_namespace: str
    gateway: str
    echo: str
    sidecar: str
    controller: Callable[[], str]
    node: Node | None = None
    routing: Mapping[str, str] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """Settings of decco-controller, as environment variables."""
        routing = {"DECCO_ROUTING__PARENT_GATEWAY": self.gateway} if self.routing is None else self.routing
        return {
            **routing,
            "DECCO_EDGE__NAMESPACE": self.edge_namespace,
            "DECCO_SIDECAR__IMAGE": self.sidecar,
        }

    @property
    def settings_file(self) -> dict[str, Any]:
        """The same as the content of its file."""
        return load({}, self.settings, None).model_dump(mode="json", by_alias=True, exclude_unset=True)


@contextlib.contextmanager
def own(zones: dict[str, str] | None = None, backend: Backend = Backend.GATEWAY) -> Iterator[Cluster]:
    """A control plane, a node and an edge of our own, with decco's CRDs, roles and policies; all gone at the end.

    Args:
        zones: DNS zones to the ``address:port`` of the server that pods are sent to for them.
        backend: which edge there is.

    Raises:
        AssetsMissing: this machine cannot run a node; the message says why.
    """
    with (
        Sandbox() as box,
        ControlPlane(network=box.addresses.network) as cp,
        Node(cp, box, zones) as node,
    ):
        cp.install_gateway_api()
        cp.install_decco()
        cp.restart_manager()
        match backend:
            case Backend.GATEWAY:
                address, namespace, routing = Edge(cp.kubectl, node.load).install(), NAMESPACE, None
            case Backend.GATEWAYS:
                Edge(cp.kubectl, node.load).install_controller()
                address, namespace, routing = "", NAMESPACE, {"DECCO_ROUTING__GATEWAY_CLASS_NAME": CLASS}
            case Backend.INGRESS:
                address, namespace = traefik.Traefik(cp.kubectl, node.load).install(), traefik.NAMESPACE
                routing = {**traefik.SETTINGS, "DECCO_EDGE__ADDRESSES": address}
        echo, sidecar = catalog.echo(), catalog.stunnel()
        node.load(echo.archive, sidecar.archive, catalog.of_examples().archive)
        yield Cluster(
            kubectl=cp.kubectl,
            kubeconfig=cp.kubeconfig,
            controller_kubeconfig=cp.kubeconfig_for(CONTROLLER),
            edge=address,
            edge_namespace=namespace,
            gateway=PARENT,
            echo=echo.reference,
            sidecar=sidecar.reference,
            controller=lambda: controller_loaded(node.load),
            node=node,
            routing=routing,
        )


@contextlib.contextmanager
def given(kubeconfig: Path) -> Iterator[Cluster]:
    """A cluster of the reader's, with what the environment says of it.

    ``E2E_EDGE`` is the edge's address (without it that of the Gateway's status), ``E2E_GATEWAY`` the namespace/name of
    the Gateway, ``E2E_ECHO_IMAGE``, ``E2E_SIDECAR_IMAGE`` and, for ``E2E_DECCO=pod``, ``E2E_CONTROLLER_IMAGE`` are
    where its nodes can get our images from. decco's CRDs, roles and policies are installed and stay.
    """
    kubectl = kubectl_of(kubeconfig)
    install_decco(kubectl)
    gateway = os.environ.get("E2E_GATEWAY", PARENT)
    namespace, _, name = gateway.partition("/")
    path = "jsonpath={.status.addresses[0].value}"
    edge = os.environ.get("E2E_EDGE") or kubectl("get", "gateway", name, "-n", namespace, "-o", path)
    if not edge:
        raise AssetsMissing(f"the Gateway {gateway} has no address: set E2E_EDGE to its address from here")
    yield Cluster(
        kubectl=kubectl,
        kubeconfig=kubeconfig,
        controller_kubeconfig=kubeconfig,
        edge=edge,
        edge_namespace=namespace,
        gateway=gateway,
        echo=_wanted("E2E_ECHO_IMAGE"),
        sidecar=_wanted("E2E_SIDECAR_IMAGE"),
        controller=lambda: _wanted("E2E_CONTROLLER_IMAGE"),
    )


def install_decco(kubectl: Callable[..., str]) -> None:
    """As an operator does, but for the controller itself: CRDs, namespace ``decco``, roles and policies."""
    for folder in [MANIFESTS / "crds", *decco_folders()]:
        kubectl("apply", "--server-side", "-f", str(folder))


def kubectl_of(kubeconfig: Path) -> Callable[..., str]:
    """A function that runs kubectl with a kubeconfig and returns what it printed, or raises RequestFailed."""
    binary = assets.provide(kubernetes_version(), ["kubectl"]).kubernetes["kubectl"]

    def kubectl(*args: str, input: str | None = None, seconds: float = KUBECTL_SECONDS) -> str:  # noqa: A002
        argv = [str(binary), f"--kubeconfig={kubeconfig}", *args]
        done = subprocess.run(argv, input=input, capture_output=True, text=True, check=False, timeout=seconds)
        if done.returncode != 0:
            raise RequestFailed(f"kubectl {' '.join(args)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    return kubectl


def controller_loaded(load: Callable[[Path], None]) -> str:
    """The reference of decco's own image, after its archive was given to ``load``."""
    image = catalog.controller()
    load(image.archive)
    return image.reference


def _wanted(name: str) -> str:
    if value := os.environ.get(name):
        return value
    raise AssetsMissing(f"set {name} to an image that this cluster can pull; `python -m testbed images` makes archives")
