"""The other edge: Traefik as an ingress controller, set up as docs/routing.md describes.

One process listens on 443 for both kinds of traffic: it reads the server name, hands connections for the name of a TCP
endpoint on as they are, and ends TLS of all others itself and routes them by path.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from testbed import golang, gotool
from testbed.found import AssetsMissing
from testbed.gotool import Tool
from testbed.images import catalog
from testbed.progress import step

VERSION = "3.6.12"
MODULE = "github.com/traefik/traefik/v3"
PROGRAM = Tool(
    "traefik",
    VERSION,
    "traefik_module",
    f"{MODULE}/cmd/traefik",
    ((f"{MODULE}/pkg/version.Version", VERSION),),
    minutes=6,
)
NAMESPACE = "traefik"
NAME = "traefik"
CLASS = "traefik"
PORTS = {"web": (80, 8000), "websecure": (443, 8443)}
"""Each entry point's port on the Service and in the pod, where a user without rights can open it."""
PING_PORT = 8080
SECONDS = 120
SETTINGS = {
    "DECCO_ROUTING__BACKEND": "ingress",
    "DECCO_ROUTING__INGRESS_DIALECT": "traefik",
    "DECCO_ROUTING__INGRESS_CLASS_NAME": CLASS,
}
"""Settings of decco-controller for it."""

Obj = dict[str, Any]


class Traefik:
    """``address = Traefik(kubectl, load).install()``: where clients connect, on the ports 80 and 443.

    Needs nothing of the cluster but kubectl, and a way to get an OCI archive to its nodes.
    """

    def __init__(self, kubectl: Callable[..., str], load: Callable[..., None]) -> None:
        self._kubectl = kubectl
        self._load = load

    def install(self) -> str:
        """Installs Traefik with its CRDs and roles, waits until it answers, and returns its Service's address.

        Raises:
            AssetsMissing: it cannot be built.
            RequestFailed: it did not come up.
        """
        image = catalog.go_program("traefik", gotool.provide(PROGRAM))
        with step("installing Traefik"):
            self._load(image.archive)
            self._kubectl("apply", "--server-side", "-f", str(_reference("kubernetes-crd-definition-v1.yml")))
            self._apply(*_roles(), *_controller(image.reference))
            self._kubectl("wait", "crd", "tlsoptions.traefik.io", "--for=condition=Established", "--timeout=30s")
            self._apply(_refuse_unknown_names())
            rollout = ["rollout", "status", "deployment", NAME, "-n", NAMESPACE, f"--timeout={SECONDS}s"]
            self._kubectl(*rollout, seconds=SECONDS + 10)
            return self._kubectl("get", "service", NAME, "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}").strip()

    def _apply(self, *objects: Obj) -> None:
        whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self._kubectl("apply", "--server-side", "--validate=false", "-f", "-", input=json.dumps(whole))  # as in edge.py


def _reference(name: str) -> Path:
    """A manifest in Traefik's own module."""
    folder = Path(__file__).resolve().parent.parent / "traefik_module"
    try:
        module = Path(golang.go(["list", "-m", "-f", "{{.Dir}}", MODULE], folder).strip())
    except golang.GoFailed as error:
        raise AssetsMissing(f"the CRDs of Traefik are not to be had: {error}") from error
    return module / "docs" / "content" / "reference" / "dynamic-configuration" / name


def _roles() -> list[Obj]:
    """Traefik's own ClusterRole, given to the service account of our Deployment."""
    documents = yaml.safe_load_all(_reference("kubernetes-crd-rbac.yml").read_text())
    [role] = [obj for obj in documents if obj and obj["kind"] == "ClusterRole"]
    name = role["metadata"]["name"]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named()},
        role,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        },
    ]


def _controller(image: str) -> list[Obj]:
    labels = {"app.kubernetes.io/name": NAME}
    container = {
        "name": NAME,
        "image": image,
        "args": _flags(),
        "ports": [{"name": name, "containerPort": inside} for name, (_, inside) in PORTS.items()],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": PING_PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": NAME,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    ports = [{"name": name, "port": port, "targetPort": inside} for name, (port, inside) in PORTS.items()]
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": CLASS},
            "spec": {"controller": "traefik.io/ingress-controller"},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": _named(), "spec": {"selector": labels, "ports": ports}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _named(),
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]


def _flags() -> list[str]:
    """See docs/routing.md for the reason of each that is not a port."""
    flags = [f"--entryPoints.{name}.address=:{inside}" for name, (_, inside) in PORTS.items()]
    return [
        *flags,
        "--entryPoints.websecure.transport.respondingTimeouts.readTimeout=0",
        f"--entryPoints.traefik.address=:{PING_PORT}",
        "--ping=true",
        "--providers.kubernetesIngress=true",
        f"--providers.kubernetesIngress.ingressClass={CLASS}",
        "--providers.kubernetesIngress.allowEmptyServices=true",
        "--providers.kubernetesCRD=true",
        f"--providers.kubernetesCRD.ingressClass={CLASS}",
        "--providers.providersThrottleDuration=100ms",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
        "--log.level=INFO",
    ]


def _refuse_unknown_names() -> Obj:
    """Without it an unknown name gets a certificate that Traefik signs itself."""
    annotations = {"kubernetes.io/ingress.class": CLASS}
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TLSOption",
        "metadata": {"name": "default", "namespace": NAMESPACE, "annotations": annotations},
        "spec": {"minVersion": "VersionTLS12", "sniStrict": True},
    }


def _named() -> Obj:
    return {"name": NAME, "namespace": NAMESPACE}
