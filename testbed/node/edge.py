"""The edge: Envoy Gateway from its own chart, and one Gateway that the Spaces of decco share.

A client on this machine reaches it at the address in the Gateway's status, as one outside of a cluster would.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import yaml

from testbed import golang, gotool, helm
from testbed.found import AssetsMissing
from testbed.gotool import Tool
from testbed.images import catalog
from testbed.progress import step

VERSION = "1.9.1"
MODULE = "github.com/envoyproxy/gateway"
PROGRAM = Tool("envoy-gateway", VERSION, "envoygateway_module", f"{MODULE}/cmd/envoy-gateway", minutes=4.5)
NAMESPACE = "envoy-gateway-system"
GATEWAY = "edge"
CLASS = "decco"
PARENT = f"{NAMESPACE}/{GATEWAY}"
"""For decco's setting ``routing.parentGateway``."""
SPACES = {"matchExpressions": [{"key": "decco.platform9.com/space", "operator": "Exists"}]}
"""Selects the namespaces of Spaces, as docs/routing.md does."""
SECONDS = 120


class Edge:
    """``address = Edge(kubectl, load).install()``: where clients connect, on the ports 80 and 443.

    Needs nothing of the cluster but kubectl, and a way to get an OCI archive to its nodes.
    """

    def __init__(self, kubectl: Callable[..., str], load: Callable[..., None], *, host_ports: bool = False) -> None:
        """``host_ports`` opens 80 and 443 on the node's own address, where no Service is reached from outside."""
        self._kubectl = kubectl
        self._load = load
        self._host_ports = host_ports

    def install(self) -> str:
        """Installs Envoy Gateway and the Gateway, waits until that is served by an Envoy, and returns its address.

        Raises:
            AssetsMissing: a part of it cannot be had.
            ProcessFailed: it did not come up.
        """
        self.install_controller()
        with step("waiting for the edge"):
            self._apply(_gateway())
            where = ["gateway", GATEWAY, "-n", NAMESPACE]
            self._kubectl("wait", *where, "--for=condition=Programmed", f"--timeout={SECONDS}s", seconds=SECONDS + 10)
            return self._kubectl("get", *where, "-o", "jsonpath={.status.addresses[0].value}").strip()

    def install_controller(self) -> None:
        """Installs Envoy Gateway and the class, for Gateways that others make; see ``install``."""
        program = gotool.provide(PROGRAM)
        controller, envoy = catalog.go_program("envoy-gateway", program), catalog.envoy()
        with step("installing Envoy Gateway"):
            self._load(controller.archive, envoy.archive)
            crds = _charts() / "gateway-helm" / "charts" / "crds" / "crds" / "generated"
            self._kubectl("apply", "--server-side", "-f", str(crds))
            hooks, rest = _installation(controller.reference)
            # The certificates first: a pod that waits for a Secret is tried again ever more seldom.
            self._apply(*hooks)
            self._kubectl(
                "wait",
                "job",
                "--all",
                "-n",
                NAMESPACE,
                "--for=condition=Complete",
                f"--timeout={SECONDS}s",
                seconds=SECONDS + 10,
            )
            self._apply(*rest)
            self._apply(*_class(envoy.reference, self._host_ports))

    def _apply(self, *objects: dict[str, Any]) -> None:
        whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        # Validation first asks for the OpenAPI of all kinds, which a busy machine does not make within kubectl's limit.
        self._kubectl("apply", "--server-side", "--validate=false", "-f", "-", input=json.dumps(whole))


def _charts() -> Path:
    """The charts in Envoy Gateway's own module."""
    folder = Path(__file__).resolve().parent.parent / "envoygateway_module"
    try:
        return Path(golang.go(["list", "-m", "-f", "{{.Dir}}", MODULE], folder).strip()) / "charts"
    except golang.GoFailed as error:
        raise AssetsMissing(f"the chart of Envoy Gateway is not to be had: {error}") from error


@functools.cache
def _rendered(image: str) -> str:
    """What the chart makes for an image; the module holds it as released charts are made from, with holes."""
    with tempfile.TemporaryDirectory(prefix="decco-chart-") as scratch:
        chart = Path(scratch) / "gateway-helm"
        shutil.copytree(_charts() / "gateway-helm", chart, copy_function=shutil.copy)
        for folder in [chart, *chart.rglob("*")]:
            folder.chmod(0o755 if folder.is_dir() else 0o644)
        holes = Template((chart / "values.tmpl.yaml").read_text())
        filled = holes.safe_substitute(GatewayImage=image, GatewayImagePullPolicy="IfNotPresent")
        (chart / "values.yaml").write_text(filled)
        argv = [str(helm.provide()), "template", "envoy-gateway", str(chart), f"--namespace={NAMESPACE}"]
        argv += ["--set=crds.enabled=false", "--set=topologyInjector.enabled=false"]
        # Its defaults wait ten seconds between two readiness probes.
        argv += ["--set=deployment.envoyGateway.readinessProbe.periodSeconds=1"]
        # A busy machine takes longer to start it than the 30 s after which the kubelet would end it, again and again.
        argv += ["--set=deployment.envoyGateway.startupProbe.failureThreshold=300"]
        argv += ["--set=deployment.envoyGateway.livenessProbe.timeoutSeconds=10"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssetsMissing(f"Envoy Gateway's chart cannot be rendered: {done.stderr.strip()[-1000:]}")
    return done.stdout


def _installation(image: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The namespace and what Helm would run before the rest, which makes certificates; and the rest of the chart."""
    objects = [obj for obj in yaml.load_all(_rendered(image), Loader=yaml.CSafeLoader) if obj]
    hooks = [obj for obj in objects if "helm.sh/hook" in obj["metadata"].get("annotations", {})]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return [namespace, *hooks], [obj for obj in objects if obj not in hooks]


def _class(image: str, host_ports: bool) -> list[dict[str, Any]]:
    """A class of Gateways, each with one Envoy behind a ClusterIP."""
    group = "gateway.envoyproxy.io"
    small = {"requests": {"cpu": "50m", "memory": "64Mi"}}
    kubernetes = {
        "envoyService": {"type": "ClusterIP"},
        "envoyDeployment": {
            "container": {"image": image, "resources": small},
            "patch": {"type": "StrategicMerge", "value": _patch(host_ports)},
        },
    }
    return [
        {
            "apiVersion": f"{group}/v1alpha1",
            "kind": "EnvoyProxy",
            "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
            "spec": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {
                "controllerName": f"{group}/gatewayclass-controller",
                "parametersRef": {"group": group, "kind": "EnvoyProxy", "name": GATEWAY, "namespace": NAMESPACE},
            },
        },
    ]


def _gateway() -> dict[str, Any]:
    """The one that the namespaces of Spaces may add listeners to."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
        "spec": {
            "gatewayClassName": CLASS,
            "allowedListeners": {"namespaces": {"from": "Selector", "selector": SPACES}},
            # A Gateway must have a listener; plain HTTP of no host answers no request.
            "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "Same"}}}
            ],
        },
    }


def _patch(host_ports: bool) -> dict[str, Any]:
    """Envoy Gateway checks every ten seconds whether its Envoy has started, and the one beside it as well."""
    often = {"periodSeconds": 1, "failureThreshold": 60}
    envoy: dict[str, Any] = {"name": "envoy", "startupProbe": often}
    if host_ports:
        # A listener on a port below 1024 is that port plus 10000 in the container, which needs no rights then.
        envoy["ports"] = [{"containerPort": 10000 + port, "hostPort": port, "protocol": "TCP"} for port in (80, 443)]
    return {
        "spec": {"template": {"spec": {"containers": [envoy, {"name": "shutdown-manager", "startupProbe": often}]}}}
    }
