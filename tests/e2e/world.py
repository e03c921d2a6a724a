"""Tenants for the end-to-end tests: a Space with its Secrets, and Apps that run the testbed's echo program."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from testbed.api import RequestFailed
from testbed.cluster import Cluster
from tests.e2e import clients
from tests.images.pki import Authority, Leaf
from tests.promises import PATIENCE

T = TypeVar("T")
Obj = dict[str, Any]

DOMAIN = "decco.test"
SPACES = "spaces.decco.platform9.com"
APPS = "apps.decco.platform9.com"
HTTP_PORT = 8080
TCP_PORT = 9000
POLL_SECONDS = 0.1
RESTRICTED: Obj = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def eventually(ask: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """Polls until the answer is true, and returns it; errors of the network and of tests count as "not yet".

    Fails after ``seconds``, and never before PATIENCE: a busy machine must not fail a test that waits for a fact.
    """
    seconds = max(seconds, PATIENCE)
    deadline = time.monotonic() + seconds
    while True:
        try:
            last: object = ask()
            if last:
                return last  # type: ignore[return-value]
        except (AssertionError, LookupError, TypeError, OSError, RequestFailed, ValueError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last answer: {last!r}")
        time.sleep(POLL_SECONDS)


class World:
    """A cluster with a running controller; ``metrics`` gives what that exposes."""

    def __init__(self, cluster: Cluster, metrics: Callable[[], str]) -> None:
        self.cluster = cluster
        self.metrics = metrics
        self.kubectl = cluster.kubectl
        self.edge = cluster.edge

    def apply(self, *objects: Obj) -> None:
        """Creates or changes objects, all in one call."""
        whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        # Validation first asks for the OpenAPI of all kinds, which a busy machine does not make within kubectl's limit.
        options = ["--server-side", "--force-conflicts", "--validate=false"]
        self.kubectl("apply", *options, "-f", "-", input=json.dumps(whole))

    def get(self, kind: str, name: str, namespace: str = "") -> Obj:
        """An object as it is now; empty if there is none."""
        where = ["-n", namespace] if namespace else []
        text = self.kubectl("get", kind, name, *where, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text.strip() else {}

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Obj]:
        chosen = ["-l", selector] if selector else []
        return list(json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json", *chosen))["items"])

    def tenant(self, name: str, **spec: Any) -> Tenant:
        """Makes a Space with Secrets of its own and waits until it is Ready."""
        tenant = Tenant(self, name)
        self.apply(*tenant.objects(spec))
        tenant.wait_ready()
        return tenant


class Tenant:
    """One Space.

    Attributes:
        name: of the Space and its namespace.
        fqdn: its own name.
        authority: signs its certificates, and is what its TCP endpoints trust.
        web: certificate of its HTTPS.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.fqdn = f"{name}.{DOMAIN}"
        self.authority = Authority(f"authority of {name}")
        self.web = self.authority.leaf(self.fqdn)
        self.tcp = self.authority.leaf(f"*.{self.fqdn}")

    @property
    def edge(self) -> str:
        """Where clients connect: the edge of all, or where each Space has its own, the address in its status."""
        if self.world.edge:
            return self.world.edge
        [address, *_] = self.world.get(SPACES, self.name)["status"]["addresses"]
        return str(address)

    def objects(self, spec: Mapping[str, Any]) -> list[Obj]:
        """Its Secrets in decco's namespace, and the Space."""
        wanted = {
            "domainName": DOMAIN,
            "httpCertSecretName": f"{self.name}-http",
            "tcpCertAndCaSecretName": f"{self.name}-tcp",
            "podSecurity": "restricted",
            **spec,
        }
        return [
            shared_secret(f"{self.name}-http", self.web, self.name),
            shared_secret(f"{self.name}-tcp", self.tcp, self.name),
            {
                "apiVersion": "decco.platform9.com/v1beta2",
                "kind": "Space",
                "metadata": {"name": self.name},
                "spec": {key: value for key, value in wanted.items() if value is not None},
            },
        ]

    def app(self, name: str, listen: Sequence[str] = (f"http:{HTTP_PORT}",), **spec: Any) -> Obj:
        """An App whose container listens as ``echo serve --listen`` says; ``pod`` in ``spec`` adds to its pod."""
        pod = dict(spec.pop("pod", {}))
        container = {
            "name": "echo",
            "image": self.world.cluster.echo,
            "args": ["serve", *(f"--listen={each}" for each in listen)],
            "env": [{"name": "ECHO_NAME", "value": f"{self.name}/{name}"}],
            "ports": [{"containerPort": int(each.rpartition(":")[2])} for each in listen],
            "securityContext": RESTRICTED,
            **pod.pop("container", {}),
        }
        if any(each.startswith("http:") for each in listen):
            port = next(int(each.rpartition(":")[2]) for each in listen if each.startswith("http:"))
            container.setdefault("readinessProbe", {"httpGet": {"path": "/readyz", "port": port}, "periodSeconds": 1})
        return self.app_of({"containers": [container], "terminationGracePeriodSeconds": 25, **pod}, name, **spec)

    def app_of(self, pod: Obj, name: str, **spec: Any) -> Obj:
        """An App with this PodSpec."""
        return {
            "apiVersion": "decco.platform9.com/v1beta2",
            "kind": "App",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {"pod": pod, **spec},
        }

    def run(self, *apps: Obj) -> None:
        """Creates or changes Apps and waits until all are Ready."""
        self.world.apply(*apps)
        for app in apps:
            self.wait_app(app["metadata"]["name"])

    def run_web_and_db(self) -> None:
        """An App ``web`` with HTTP at /web and the TCP endpoint ``db``, which echoes; waits until both are served."""
        web = {"name": "web", "port": HTTP_PORT, "httpPath": "/web"}
        listen = (f"http:{HTTP_PORT}", f"echo:{TCP_PORT}")
        self.run(self.app("web", listen, endpoints=[web, {"name": "db", "port": TCP_PORT}]))
        self.settled("/web")
        self.listening("db")

    def change(self, spec: Mapping[str, Any]) -> None:
        """Gives the Space these fields beside those of every Space here."""
        [space] = [each for each in self.objects(spec) if each["kind"] == "Space"]
        self.world.apply(space)

    def wait_ready(self) -> None:
        eventually(lambda: ready(self.world.get(SPACES, self.name)), what=f"Space {self.name} Ready")

    def wait_app(self, name: str, seconds: float = PATIENCE) -> None:
        eventually(lambda: ready(self.world.get(APPS, name, self.name)), seconds, f"App {self.name}/{name} Ready")

    def settled(self, *paths: str) -> None:
        """Waits until the edge has these paths: a route that is accepted takes a moment to reach its Envoy."""
        for path in paths:
            eventually(lambda path=path: self.https(path).status == 200, 15, f"https://{self.fqdn}{path}")  # type: ignore[misc]

    def pods(self, app: str) -> list[Obj]:
        """Pods of an App that are not ending."""
        found = self.world.list("pods", self.name, f"decco.platform9.com/app={app}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def https(self, path: str, **options: Any) -> clients.Answer:
        return clients.https(self.edge, self.fqdn, path, self.authority.cert, **options)

    def tls(self, endpoint: str, **options: Any) -> contextlib.AbstractContextManager[ssl.SSLSocket]:
        """A connection to an endpoint by its name, without a client certificate unless ``client`` is one."""
        return clients.tls(self.edge, self.host(endpoint), self.authority.cert, **options)

    def ask(self, program: Path, endpoint: str, content: bytes | Iterable[bytes]) -> bytes:
        """All of the content to an endpoint, then its end; the answer. See ``clients.ask``."""
        return clients.ask(program, self.edge, self.host(endpoint), self.authority.cert, content)

    def listening(self, endpoint: str, client: Leaf | None = None) -> None:
        """Waits until the edge leads to an endpoint."""

        def connects() -> bool:
            with self.tls(endpoint, client=client):
                return True

        eventually(connects, 15, self.host(endpoint))

    def host(self, endpoint: str) -> str:
        return f"{endpoint}.{self.fqdn}"


def shared_secret(name: str, leaf: Leaf, *spaces: str) -> Obj:
    """A Secret in decco's namespace that these Spaces may have a copy of."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": "decco",
            "labels": {"decco.platform9.com/share": "true"},
            "annotations": {"decco.platform9.com/share-with": ",".join(spaces)},
        },
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in leaf.secret.items()},
    }


def local_secret(name: str, namespace: str, leaf: Leaf) -> Obj:
    """A Secret that a tenant has made."""
    return {**shared_secret(name, leaf), "metadata": {"name": name, "namespace": namespace}}


def ready(obj: Obj) -> bool:
    """Whether its controller says Ready of the spec as it is now; else an AssertionError that says why not."""
    status = obj.get("status") or {}
    assert status.get("observedGeneration") == obj.get("metadata", {}).get("generation"), "not seen yet"
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    missing = [
        f"{each['type']}: {each.get('reason')}: {each.get('message')}"
        for each in conditions.values()
        if each["status"] != "True"
    ]
    assert not missing, missing
    return "Ready" in conditions
