"""A life of Spaces and Apps with the real controller under its own roles and policies, recorded from outside.

Each step has somebody who causes it, and the requests of the controller until it is settled again. Between them every
kind of child is altered, replaced by a foreign object, and removed by a change of the settings; so the recorded
requests contain everything that decco calls.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.audit import SERVICE_ACCOUNT, AuditEvent
from testbed.certificates import self_signed
from testbed.controlplane import ControlPlane
from testbed.keyspace import History, stored
from testbed.manifests import install_crds
from tests.attacks import people, third_parties
from tests.attacks.canaries import Canaries
from tests.attacks.people import KUBE_EDIT, OPERATOR_A, OPERATOR_B, TENANT_A, TENANT_B, Person
from tests.attacks.world import RBAC, World, apps
from tests.attacks.world import until as until_soon
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, space, tls_secret
from tests.integration.logs import log_lines

MERGE = {"Content-Type": "application/merge-patch+json"}
SECRETS = "/api/v1/namespaces/{}/secrets"
UNREACHABLE = {
    "type": "rfc2136",
    "zones": ["example.net"],
    "host": "127.0.0.1",
    "port": 9,
    "tsigKeyName": "k",
    "secretName": "dns-key",
    "timeoutSeconds": 1,
}
SETTINGS = {
    "leader_election__enabled": "true",
    "edge__namespace": "edge",
    "dns__providers": json.dumps([{"type": "externaldns", "zones": ["evil.test", "victim.test"]}, UNREACHABLE]),
}
CHILDREN = (
    "/api/v1/{}/configmaps",
    "/api/v1/{}/services",
    "/api/v1/{}/resourcequotas",
    "/api/v1/{}/limitranges",
    "/api/v1/{}/secrets",
    "/apis/apps/v1/{}/deployments",
    "/apis/batch/v1/{}/jobs",
    "/apis/networking.k8s.io/v1/{}/networkpolicies",
    "/apis/networking.k8s.io/v1/{}/ingresses",
    *(
        f"/apis/gateway.networking.k8s.io/v1/{{}}/{plural}"
        for plural in ("gateways", "listenersets", "httproutes", "tlsroutes", "backendtlspolicies")
    ),
    *(
        f"/apis/traefik.io/v1alpha1/{{}}/{plural}"
        for plural in ("ingressroutetcps", "middlewares", "serverstransports", "tlsoptions")
    ),
)
"""Collections of what decco writes in a Space's namespace."""
MINE = "app.kubernetes.io/managed-by=decco"
RECORDS = "/apis/externaldns.k8s.io/v1alpha1/namespaces/decco/dnsendpoints"
QUICK = "tests.integration.quick_change"
"""A controller for which a change of authorities takes seconds."""
BANK_NAMES = ["bank.victim.test", "*.bank.victim.test", "pay.example.net"]
LEVEL = "pod-security.kubernetes.io/"
KEPT = frozenset(
    {
        "app.kubernetes.io/managed-by",
        "kubernetes.io/metadata.name",
        "decco.platform9.com/space",
        "decco.platform9.com/app",
    }
)
"""Labels by which children are found, and those that the API server checks."""
LONG = 300.0
"""Seconds, on a machine that may be busy."""
RUNS = (
    {"routing__backend": "ingress", "routing__ingress_dialect": "traefik"},
    {},
    {"routing__parent_gateway": "edge/edge"},
    {"routing__backend": "none"},
)
"""Settings of the edge, one after the other: each removes what the one before has made."""
SAMPLE = ({},)


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the controller, who caused it, and in which Space."""

    cause: Person
    space: str
    event: AuditEvent


def until(holds: Callable[[], object], what: str) -> None:
    until_soon(holds, what, LONG)


class Life:
    """``with Life(folder) as life: life.live()``. Afterwards everything is there to be searched."""

    def __init__(self, folder: Path, *, whole: bool = True) -> None:
        self.folder = folder
        self._runs = RUNS if whole else SAMPLE
        self.canaries = Canaries()
        self.calls: list[Call] = []
        self.texts: list[tuple[str, bytes]] = []
        """Metrics, and logs of controllers that have ended."""

    def __enter__(self) -> Life:
        self._stack = contextlib.ExitStack()
        admission = ("OwnerReferencesPermissionEnforcement",)
        self.cp = self._stack.enter_context(ControlPlane(admission=admission))
        self.history = self._stack.enter_context(History(self.cp.etcd_url))
        self.cluster = Cluster(self.cp)
        self.world = World(self.cp)
        self.cp.install_gateway_api()
        file = self.cp.folder / "third-parties.yaml"
        wanted = [crd for crd in third_parties.CRDS if crd["spec"]["group"] in {"traefik.io", "externaldns.k8s.io"}]
        file.write_text("\n---\n".join(json.dumps(crd) for crd in wanted))
        install_crds(self.cp.api, [file])
        self.cp.install_decco()
        self.cp.restart_manager()
        for role in people.roles():
            self.cp.create(f"{RBAC}/clusterroles", role)
        for name, person in people.CLUSTER_WIDE:
            if person in {people.ADMIN, OPERATOR_A, OPERATOR_B}:
                self.cp.create(f"{RBAC}/clusterrolebindings", people.binding(name, person))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def searched(self) -> Iterator[tuple[str, bytes]]:
        """All of etcd, now and before, the logs and the metrics."""
        yield from stored(self.cp.etcd_url).items()
        yield from self.history.values
        yield from self.texts

    # The story ----------------------------------------------------------------------------------------------------

    def live(self) -> None:
        for name in ("edge", "taken"):
            self.cp.create("/api/v1/namespaces", {"metadata": {"name": name}})
        gateway = {"gatewayClassName": "any", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
        head = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge"}}
        self.cp.create("/apis/gateway.networking.k8s.io/v1/namespaces/edge/gateways", {**head, "spec": gateway})
        self._secrets()
        for number, routing in enumerate(self._runs):
            account = self.cp.kubeconfig_for(SERVICE_ACCOUNT, ("system:serviceaccounts",))
            settings = {**SETTINGS, **routing, "edge__addresses": f"192.0.2.{number + 1}"}
            self.decco = Decco(self.cp, self.folder, kubeconfig=account, **settings).start(module=QUICK)
            try:
                if not number:
                    self._created()
                    self._attacked()
                    self._renewed()
                    self._ended()
                self.decco.settle()
                if "none" not in routing.values():
                    self._altered("bank", OPERATOR_B)
                    self._usurped("bank", OPERATOR_B)
                if number == len(self._runs) - 1:
                    self._changed()
                self.texts.append(("metrics", self.decco.get("/metrics").encode()))
            finally:
                status = self.decco.stop()
                self.texts.append(("log", self.decco.log.read_bytes()))
            assert status == 0, self.decco.tail()

    @contextlib.contextmanager
    def step(self, cause: Person, where: str) -> Iterator[None]:
        """The controller's requests until it is settled after what happens in this block."""
        mark = self.cp.audit_mark()
        yield
        self.decco.settle()
        events = self.cp.audit(since=mark)
        self.calls += [Call(cause, where, event) for event in events if event.user == SERVICE_ACCOUNT]

    def _secrets(self) -> None:
        """Shared with one Space, shared with nobody, and the credential of a DNS server."""
        for name, names, share in (
            ("bank-tls", BANK_NAMES, "bank"),
            ("evil-tls", ("evil1.evil.test", "*.evil1.evil.test"), "evil1"),
            ("private-tls", ("private.example.net",), ""),
        ):
            places = ("decco", share) if share else ("decco",)
            fqdn = names[0] if share else None
            self.cluster.create(self._shared(name, places, *names, share=fqdn))
        key = self.canaries.text("dns-key", "/registry/secrets/decco/dns-key")
        self._put("decco", "dns-key", {"secret": base64.b64encode(key)})

    def _shared(self, name: str, places: tuple[str, ...], *names: str, share: str | None) -> Obj:
        allowed = tuple(f"/registry/secrets/{place}/{name}" for place in places)
        secret = tls_secret(name, *names, share=share, note=self.canaries.text(f"{name} note", *allowed))
        self.canaries.key(f"{name} key", base64.b64decode(secret["data"]["tls.key"]), *allowed)
        return secret

    def _put(self, namespace: str, name: str, data: dict[str, bytes]) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        answer = self.cp.request("PATCH", f"{SECRETS.format(namespace)}/{name}", {"data": encoded}, headers=MERGE)
        if answer.status == 404:
            self.cp.create(SECRETS.format(namespace), {"metadata": {"name": name}, "data": encoded})

    def _edit(self, who: Person, path: str, patch: Obj, status: int = 200) -> None:
        answer = self.world.api(who).request("PATCH", path, patch, headers=MERGE)
        assert answer.status == status, (path, answer.status, answer.body[:500])

    def _condition(self, name: str, kind: str, status: str = "True") -> None:
        until(lambda: (self.cluster.space_condition(name, kind) or {}).get("status") == status, f"{name} {kind}")

    def _created(self) -> None:
        """Spaces by their operators and Apps by their tenants."""
        for who, name, domain, spec in (
            (OPERATOR_A, "evil1", "evil.test", {"project": "widgets", "httpCertSecretName": "evil-tls"}),
            (
                OPERATOR_B,
                "bank",
                "victim.test",
                {"project": "bank", "httpCertSecretName": "bank-tls", "hostnames": BANK_NAMES[2:]},
            ),
        ):
            with self.step(who, name):
                spec |= {"tcpCertAndCaSecretName": spec["httpCertSecretName"], "encryptHttp": True}
                spec |= {"resourceQuota": {"hard": {"pods": "9"}}, "limitRange": {"limits": []}}
                body = space(name, domain, **spec)
                until(lambda who=who, body=body: self._posted(who, body), f"Space {name}")
                self._condition(name, "CertificatesReady")
            self.texts.append(("metrics", self.decco.get("/metrics").encode()))
        for role, person, where in people.IN_NAMESPACE:
            if person in {TENANT_A, TENANT_B, KUBE_EDIT}:
                self.cp.create(f"{RBAC}/namespaces/{where}/rolebindings", people.binding(role, person, where))
        for who, where in ((TENANT_A, "evil1"), (TENANT_B, "bank")):
            certificate, key = self_signed([f"own.{where}.example.net"])
            self.canaries.key(f"{where}/own", key, f"/registry/secrets/{where}/own")
            self._put(where, "own", {"tls.crt": certificate, "tls.key": key, "ca.crt": certificate})
            with self.step(who, where):
                until(lambda who=who, where=where: self._posted(who, web(where)), f"App of {where}")
                until(lambda where=where: self.cluster.deployment(where, "web"), f"Deployment of {where}")
                until(lambda where=where: self._posted(who, job(where)), f"Job of {where}")  # noqa: B023
        with self.step(OPERATOR_B, "taken"):  # its namespace is there, and somebody else's
            until(lambda: self._posted(OPERATOR_B, space("taken", "victim.test")), "Space taken")

    def _posted(self, who: Person, obj: Obj) -> bool:
        path = f"{APIS}/spaces" if obj["kind"] == "Space" else apps(obj["metadata"]["namespace"])
        return self.world.api(who).request("POST", path, obj).status in {201, 409}

    def _attacked(self) -> None:
        """evil1 asks for the Secrets of others by every name, and gives contents that no program can read."""
        evil, app_path = f"{APIS}/spaces/evil1", f"{apps('evil1')}/web"
        for name in ("bank-tls", "private-tls", "dns-key", "missing"):
            with self.step(OPERATOR_A, "evil1"):
                self._edit(OPERATOR_A, evil, {"spec": {"httpCertSecretName": name, "tcpCertAndCaSecretName": name}})
                self._condition("evil1", "CertificatesReady", "False")
        with self.step(OPERATOR_A, "evil1"):
            self._edit(
                OPERATOR_A, evil, {"spec": {"httpCertSecretName": "evil-tls", "tcpCertAndCaSecretName": "evil-tls"}}
            )
            self._condition("evil1", "CertificatesReady")
        for name in ("bank-tls", "private-tls", "own"):
            with self.step(TENANT_A, "evil1"):
                endpoint = {"name": "db", "port": 5432, "certAndCaSecretName": name, "createDnsRecord": True}
                egress = {"localPort": 15433, "spaceName": "bank", "endpoint": "db", "certAndCaSecretName": name}
                self._edit(TENANT_A, app_path, {"spec": {"endpoints": [endpoint], "tlsEgresses": [egress]}})
        for where, name in (("evil1", "own"), ("decco", "evil-tls"), ("decco", "dns-key")):
            places = {where, "evil1"} if name == "evil-tls" else {where}
            allowed = tuple(f"/registry/secrets/{place}/{name}" for place in places)
            wrong = self.canaries.text(f"wrong {name}", *allowed)
            for form in (
                wrong,
                b"-----BEGIN CERTIFICATE-----\n" + wrong + b"\n-----END CERTIFICATE-----\n",
                b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(wrong) + b"\n-----END PRIVATE KEY-----\n",
            ):
                with self.step(TENANT_A if where == "evil1" else people.ADMIN, "evil1"):
                    self._put(where, name, {"tls.crt": form, "tls.key": form, "ca.crt": form, "secret": form})
        # Text that a terminal, a log or a template would interpret, in the name of a key.
        self._edit(KUBE_EDIT, f"{SECRETS.format('evil1')}/own", {"data": {"tls.crt": "bm90IGEgY2VydGlmaWNhdGU="}})

    def _renewed(self) -> None:
        """Other certificates, a copy that somebody made immutable, and the end of a consent."""
        source = self._shared("bank-tls", ("decco", "bank"), *BANK_NAMES, share=None)
        with self.step(people.ADMIN, "bank"):
            frozen = {"immutable": True}
            self.cluster.patch(f"{SECRETS.format('bank')}/bank-tls", frozen)
            self.cluster.patch(f"{SECRETS.format('decco')}/bank-tls", {"data": source["data"]})
            until(lambda: self._shows("bank", "bank-tls", source["data"]["tls.crt"]), "the renewed copy")
        with self.step(people.ADMIN, "evil1"):
            note = {"metadata": {"annotations": {"decco.platform9.com/share-with": "nobody.evil.test"}}}
            self.cluster.patch(f"{SECRETS.format('decco')}/evil-tls", note)
            until(lambda: self.cluster.get(f"{SECRETS.format('evil1')}/evil-tls") is None, "the end of the copy")

    def _shows(self, namespace: str, name: str, certificate: str) -> bool:
        found = self.cluster.get(f"{SECRETS.format(namespace)}/{name}")
        return found is not None and found["data"]["tls.crt"] == certificate

    def _children(self, namespace: str) -> Iterator[tuple[str, Obj]]:
        for form in CHILDREN:
            path = form.format(f"namespaces/{namespace}")
            for obj in self.cluster.items(f"{path}?labelSelector={MINE}"):
                if obj["metadata"].get("ownerReferences", [{}])[0].get("kind") in {"Space", "App"}:
                    yield path, obj

    def _altered(self, name: str, operator: Person) -> None:
        """Somebody changes a label of every child, and of the namespace: decco repairs them."""
        namespace = self.cluster.get(f"/api/v1/namespaces/{name}") or {}
        with self.step(operator, name):
            for path, obj in (*self._children(name), ("/api/v1/namespaces", namespace)):
                changed = {
                    label for label in obj["metadata"]["labels"] if label not in KEPT and not label.startswith(LEVEL)
                }
                labels = dict.fromkeys(changed or {"decco.platform9.com/app"}, "altered")
                answer = self.cp.request(
                    "PATCH", f"{path}/{obj['metadata']['name']}", {"metadata": {"labels": labels}}, headers=MERGE
                )
                assert answer.status in {200, 404}, (path, answer.body)

    def _usurped(self, name: str, operator: Person) -> None:
        """Every child is deleted and made again by somebody else while the Space is paused, then these go too."""
        owners = [f"{APIS}/spaces/{name}", f"{apps(name)}/web", f"{apps(name)}/job"]
        with self.step(operator, name):
            self._pause(owners, "true")
            self.decco.settle()
            for path, obj in list(self._children(name)):
                self.cluster.delete(f"{path}/{obj['metadata']['name']}?propagationPolicy=Background")
                until(lambda path=path, obj=obj: self._foreign(path, obj), f"the foreign {path}")
            self._pause(owners, None)
            self.decco.settle()
            for form in CHILDREN:
                path = form.format(f"namespaces/{name}")
                for obj in self.cluster.items(path):
                    if obj["metadata"].get("labels", {}).get("foreign") == "true":
                        self.cluster.delete(f"{path}/{obj['metadata']['name']}")

    def _pause(self, owners: list[str], value: str | None) -> None:
        for path in owners:
            self.cluster.patch(path, {"metadata": {"annotations": {"decco.platform9.com/paused": value}}})

    def _foreign(self, path: str, child: Obj) -> bool:
        body: dict[str, Any] = {key: copy.deepcopy(value) for key, value in child.items() if key != "status"}
        body["metadata"] = {"name": child["metadata"]["name"], "labels": {"foreign": "true"}}
        if "clusterIP" in body.get("spec", {}):
            body["spec"] = {"ports": [{"port": 1}]}
        if path.endswith("jobs"):
            template = {"spec": {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never"}}
            body["spec"] = {"template": template, "suspend": True}
        return self.cp.request("POST", path, body).status == 201

    def _ended(self) -> None:
        """The end of an App and of a Space, whose records somebody else has touched."""
        for obj in self.cluster.items(RECORDS):
            self.cluster.patch(f"{RECORDS}/{obj['metadata']['name']}", {"metadata": {"labels": {"touched": "true"}}})
        for who, path in ((TENANT_A, f"{apps('evil1')}/web"), (OPERATOR_A, f"{APIS}/spaces/evil1")):
            with self.step(who, "evil1"):
                answer = self.world.api(who).request("DELETE", path)
                assert answer.status == 200, answer.body
                until(lambda path=path: self.cluster.get(path) is None, f"the end of {path}")

    def _changed(self) -> None:
        """Other forms of workloads, and less of everything."""
        with self.step(TENANT_B, "bank"):
            patch = {"endpoints": [], "runAsJob": True, "pod": {"restartPolicy": "Never"}, "tlsEgresses": []}
            self._edit(TENANT_B, f"{apps('bank')}/web", {"spec": patch})
            other = {"containers": [{"name": "c", "image": "y"}]}
            self._edit(TENANT_B, f"{apps('bank')}/job", {"spec": {"pod": other}})
        with self.step(OPERATOR_B, "bank"):
            nothing = {"resourceQuota": None, "limitRange": None, "encryptHttp": False, "tcpCertAndCaSecretName": None}
            self._edit(OPERATOR_B, f"{APIS}/spaces/bank", {"spec": nothing})

    def said(self) -> list[str]:
        """Warnings and errors, for a failure."""
        return [str(line) for line in log_lines(self.decco) if line.get("level") != "info"]


def web(namespace: str) -> Obj:
    endpoints = [
        {"name": "web", "port": 8080, "httpPath": "/web", "rewritePath": "/"},
        {"name": "db", "port": 5432, "certAndCaSecretName": "own", "createDnsRecord": True},
    ]
    if namespace == "bank":
        endpoints.append({"name": "pay", "port": 5433, "hostname": "pay.example.net", "createDnsRecord": True})
    return app(namespace, "web", endpoints=endpoints, tlsEgresses=[{"localPort": 15432, "endpoint": "db"}])


def job(namespace: str) -> Obj:
    pod = {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never"}
    return app(namespace, "job", runAsJob=True, pod=pod, endpoints=[])
