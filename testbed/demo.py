"""``make demo``: the main job in front of the reader's eyes, on a real API server, with the real controller.

Environment: ``NODE=1`` adds a node that runs pods, an edge, and requests through it. ``KUBECONFIG`` uses that cluster
instead of one of our own (the CRDs, roles and policies of manifests/ and the Space acme are created in it, and the
Space is deleted at the end). ``ONCE=1`` ends by itself, with exit status 0 only if all that it promised was seen.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from testbed import assets, demo_dns, demo_node
from testbed import cluster as clusters
from testbed.api import RequestFailed
from testbed.cluster import Cluster
from testbed.controller import Controller
from testbed.controlplane import ControlPlane
from testbed.demo_dns import Names
from testbed.found import AssetsMissing
from testbed.pki import Authority
from testbed.processes import ProcessFailed
from testbed.progress import elapsed
from testbed.versions import kubernetes_version

T = TypeVar("T")
Obj = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = ROOT / "manifests"
SPACE = "acme"
FQDN = "acme.decco.test"
CONTROLLER = "system:serviceaccount:decco:decco-controller"
TTL = 180
"""Seconds that resolvers may keep a name, as is the controller's default."""
WAIT_SECONDS = 30.0
POLL_SECONDS = 0.05
# What can be true where nothing runs pods and no gateway controller listens.
WITHOUT_NODES = {"Space": ("NamespaceReady", "NetworkReady", "CertificatesReady"), "App": ("CertificatesReady",)}


class NotSeen(RuntimeError):
    """Something that the demo promises did not happen in time."""


class Demo:
    """One showing.

    ``kubectl`` runs kubectl as an administrator and returns what it printed; ``examples`` are the manifests to apply;
    ``cluster`` is where pods run, if they do; ``authority`` signs certificates; ``names`` are those that are published.
    """

    def __init__(
        self,
        kubectl: Callable[..., str],
        examples: Path,
        authority: Authority,
        cluster: Cluster | None = None,
        names: Names | None = None,
    ) -> None:
        self._kubectl = kubectl
        self._examples = examples
        self._authority = authority
        self._cluster = cluster
        self._names = names
        self._started = time.monotonic()

    def show(self) -> None:
        """From the Secrets to the repaired child. Raises NotSeen."""
        self.title("Two Secrets in decco's namespace, whose owner shares them with the Space acme")
        for name, hosts in (("acme-http", [FQDN]), ("acme-tcp", [f"*.{FQDN}"])):
            self._kubectl("apply", "-f", "-", input=json.dumps(self._secret(name, hosts)))
        self.run("get", "secrets", "-n", "decco", "-L", "decco.platform9.com/share")
        self.title("One Space and its Apps: manifests/examples")
        self.run("apply", "-f", str(self._examples / "1-space.yaml"))
        self.wait("the Space's namespace", lambda: self._ready("space", SPACE, "Space"))
        for file in sorted(self._examples.glob("[2-9]*.yaml")):
            self.run("apply", "-f", str(file))
        what = "every condition that can be true" + (" without nodes" * (self._cluster is None))
        try:
            self.wait(what, self._all_ready)
        except NotSeen as error:
            said = self._kubectl("get", "apps.decco.platform9.com", "-n", SPACE, "-o", _UNTRUE)
            raise NotSeen(f"{error}; these were not:\n{said}") from error
        self.title("The objects that decco made")
        self.run("get", "spaces,apps", "--all-namespaces")
        self.title("The children of one App, shop")
        kinds = "deployments,services,configmaps,networkpolicies,httproutes,tlsroutes"
        self.run("get", kinds, "-n", SPACE, "-l", "decco.platform9.com/app=shop", "-o", "name")
        self.title("What the App itself says")
        self.run("get", "app", "shop", "-n", SPACE, "-o", _CONDITIONS)
        self._edit()
        self._vandalism()
        if self._names is not None:
            self._follow_names(self._names)
        if self._cluster is not None:
            self.title(f"Requests from outside, to {self._cluster.edge}: HTTPS by path and TLS by name on one port")
            demo_node.Edge(self._cluster, FQDN, self._authority).show(self.wait, self._kubectl)
        self.title("The events")
        self.run("get", "events", "-n", SPACE, "--field-selector", "reportingComponent=decco-controller", "-o", _EVENTS)
        self.run("get", "events", "-n", "default", "--field-selector", f"involvedObject.name={SPACE}", "-o", _EVENTS)

    def _edit(self) -> None:
        self.title("An edit: the App web moves from /web to /welcome")
        route = self._get("httproute", "web")
        assert _path(route) == "/web", route["spec"]
        started = time.monotonic()
        self.run("patch", "app", "web", "-n", SPACE, "--type=merge", "-p", '{"spec":{"httpUrlPath":"/welcome"}}')
        self.wait("the route to follow", lambda: _path(self._get("httproute", "web")) == "/welcome")
        print(f"  HTTPRoute web now matches /welcome, {elapsed(time.monotonic() - started)} after the edit")

    def _follow_names(self, names: Names) -> None:
        hosts = FQDN, f"database.{FQDN}"
        self.title(f"The names, {names.where}")
        self._kubectl("apply", "-f", "-", input=demo_dns.edge_service())
        for address in ("192.0.2.10", "198.51.100.20"):
            started = time.monotonic()
            move = ("patch", "service", demo_dns.EDGE, "-n", "decco", "--subresource=status", "--type=merge", "-p")
            self.run(*move, demo_dns.edge_status(address))
            there = {("A", TTL, address)}
            self.wait(
                f"the names to lead to {address}",
                lambda there=there: all(names.answers(host) == there for host in hosts),  # type: ignore[misc]
            )
            for line in names.lines(*hosts):
                print(f"  {line}")
            print(f"  {elapsed(time.monotonic() - started)} after the edge was there")
        started = time.monotonic()
        self.run("delete", "app", "database", "-n", SPACE)
        self.wait("the App's name to go", lambda: not names.answers(hosts[1]))
        for line in names.lines(*hosts):
            print(f"  {line}")
        print(f"  {elapsed(time.monotonic() - started)} after the App was deleted")

    def _vandalism(self) -> None:
        self.title("An act of vandalism: the policy that isolates the App shop is deleted, its Service is bent")
        policy = self._get("networkpolicy", "app-shop")
        started = time.monotonic()
        self.run("delete", "networkpolicy", "app-shop", "-n", SPACE)
        self.run("patch", "service", "orders", "-n", SPACE, "--type=merge", "-p", '{"spec":{"selector":{"app":"x"}}}')

        def healed() -> bool:
            again = self._get("networkpolicy", "app-shop")
            bent = "app" in self._get("service", "orders")["spec"]["selector"]
            return bool(again) and again["spec"] == policy["spec"] and not bent

        self.wait("the repair", healed)
        print(f"  both are as they were, {elapsed(time.monotonic() - started)} after the deletion")

    # Small words

    def _secret(self, name: str, hosts: list[str]) -> Obj:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": "decco",
                "labels": {"decco.platform9.com/share": "true"},
                "annotations": {"decco.platform9.com/share-with": SPACE},
            },
            "type": "kubernetes.io/tls",
            "data": demo_node.secret_data(self._authority, name, hosts),
        }

    def title(self, text: str) -> None:
        print(f"\n== {text}  [{elapsed(time.monotonic() - self._started)}]", flush=True)

    def run(self, *args: str) -> None:
        """Runs kubectl, shows the command and what it printed."""
        print("  $ kubectl " + " ".join(args if len(" ".join(args)) < 160 else (*args[:4], "…")))
        for line in self._kubectl(*args).splitlines():
            print(f"  {line}")

    def wait(self, what: str, ask: Callable[[], T]) -> T:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            if answer := ask():
                return answer
            if time.monotonic() > deadline:
                raise NotSeen(f"waited {WAIT_SECONDS:.0f} s for {what}")
            time.sleep(POLL_SECONDS)

    def _get(self, kind: str, name: str) -> Obj:
        text = self._kubectl("get", kind, name, "-n", SPACE, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text.strip() else {}

    def _ready(self, resource: str, name: str, kind: str) -> bool:
        return _holds(self._get(resource, name), self._wanted(kind))

    def _wanted(self, kind: str) -> tuple[str, ...]:
        return ("Ready",) if self._cluster is not None else WITHOUT_NODES[kind]

    def _all_ready(self) -> bool:
        text = self._kubectl("get", "apps.decco.platform9.com", "-n", SPACE, "-o", "json")
        apps = json.loads(text)["items"]
        return bool(apps) and all(_holds(app, self._wanted("App")) for app in apps)


_CONDITIONS = r'jsonpath={range .status.conditions[*]}{.type}{"\t"}{.status}{"\t"}{.reason}{"\t"}{.message}{"\n"}{end}'
_UNTRUE = (
    r'jsonpath={range .items[*]}{.metadata.name}{"\n"}{range .status.conditions[?(@.status!="True")]}{"  "}{.type}'
    r'{"\t"}{.reason}{"\t"}{.message}{"\n"}{end}{end}'
)
_EVENTS = "custom-columns=TYPE:.type,REASON:.reason,OBJECT:.involvedObject.name,MESSAGE:.message"


def _holds(obj: Obj, kinds: tuple[str, ...]) -> bool:
    """Whether these conditions are true, each unless it is absent because it does not apply, for the current spec."""
    status = obj.get("status") or {}
    if status.get("observedGeneration") != obj.get("metadata", {}).get("generation"):
        return False
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    return bool(conditions) and all(conditions[kind]["status"] == "True" for kind in kinds if kind in conditions)


def _path(route: Obj) -> str | None:
    for rule in (route.get("spec") or {}).get("rules") or ():
        for match in rule.get("matches") or ():
            return str(match["path"]["value"])
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """Where it is shown: kubectl, the controller's kubeconfig, and what runs pods, if anything does."""

    kubectl: Callable[..., str]
    kubeconfig: str
    cluster: Cluster | None = None
    alone: bool = False
    """Whether it is a control plane of our own, in which nothing else runs."""

    @property
    def settings(self) -> dict[str, str]:
        """Settings of the controller, as environment variables."""
        return self.cluster.settings if self.cluster is not None else {}


@contextmanager
def _own_cluster() -> Iterator[Target]:
    """A control plane of our own; the controller has the permissions of its ServiceAccount."""
    started = time.monotonic()
    with ControlPlane() as cp:
        cp.install_gateway_api()
        cp.install_decco()
        cp.restart_manager()
        print(f"Kubernetes {cp.version} at {cp.url} in {elapsed(time.monotonic() - started)}")
        # Named like the ServiceAccount, so that the controller has the permissions of manifests/rbac and no others.
        yield Target(cp.kubectl, str(cp.kubeconfig_for(CONTROLLER)), alone=True)


@contextmanager
def _cluster_with_node() -> Iterator[Target]:
    """A control plane, a node and an edge of our own."""
    with clusters.own() as cluster:
        yield Target(cluster.kubectl, str(cluster.controller_kubeconfig), cluster)


@contextmanager
def _given_cluster(kubeconfig: str) -> Iterator[Target]:
    """The reader's cluster; the Space is deleted at the end, what decco needs stays installed."""
    binary = assets.provide(kubernetes_version()).kubernetes["kubectl"]

    def kubectl(*args: str, input: str | None = None) -> str:  # noqa: A002
        argv = [str(binary), f"--kubeconfig={kubeconfig}", *args]
        done = subprocess.run(argv, input=input, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise RequestFailed(f"kubectl {' '.join(args)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    for folder in ("crds", "rbac", "policies"):
        kubectl("apply", "--server-side", "-f", str(MANIFESTS / folder))
    try:
        yield Target(kubectl, kubeconfig)
    finally:
        kubectl("delete", "space", SPACE, "--ignore-not-found", "--wait=false")


@contextmanager
def _names(target: Target, folder: Path) -> Iterator[Names | None]:
    """Names are shown where the demo itself says where the edge is, so neither in a cluster of others nor on a node."""
    if not target.alone:
        yield None
        return
    with demo_dns.names(folder, folder / "decco.log") as found:
        yield found


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    kubeconfig = os.environ.get("KUBECONFIG")
    if kubeconfig:
        context = _given_cluster(kubeconfig)
    else:
        context = _cluster_with_node() if os.environ.get("NODE") == "1" else _own_cluster()
    try:
        with (
            context as target,
            tempfile.TemporaryDirectory(prefix="decco-demo-") as folder,
            _names(target, Path(folder)) as names,
            Controller(
                target.kubeconfig,
                Path(folder) / "decco.log",
                {**target.settings, **(names.settings if names is not None else {})},
                "--log-format=console",
            ) as decco,
        ):
            print(f"decco-controller runs, its metrics are at http://{decco.address}/metrics")
            examples = MANIFESTS / "examples"
            if target.cluster is not None:
                demo_node.runnable(examples, Path(folder), target.cluster.echo)
                examples = Path(folder)
            Demo(target.kubectl, examples, Authority(Path(folder), "demo"), target.cluster, names).show()
            print(f"\nAll of it held, in {elapsed(time.monotonic() - started)}.", flush=True)
            if os.environ.get("ONCE") != "1":
                print("It stays up until Ctrl-C.", flush=True)
                threading.Event().wait()
    except KeyboardInterrupt:
        print("\nending")
        return 0 if os.environ.get("ONCE") != "1" else 130
    except (NotSeen, AssetsMissing, ProcessFailed, RequestFailed, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
