"""A life of Spaces and Apps with the real controller under its own roles and policies, recorded from outside.

Each step has somebody who causes it, and the requests of the controller until it is settled again. Between them every
kind of child is altered, replaced by a foreign object, and removed by a change of the settings; so the recorded
requests contain everything that decco calls. What goes on by time alone (a renewed certificate's spread, a DNS server
that does not answer) begins when the attacker's Space is gone: a request about another Space has no such excuse.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from testbed.audit import SERVICE_ACCOUNT, AuditEvent
from testbed.certificates import self_signed
from testbed.controlplane import ControlPlane
from testbed.keyspace import History, stored
from testbed.manifests import install_crds
from tests.attacks import people, third_parties
from tests.attacks.canaries import Canaries
from tests.attacks.granting import Granting
from tests.attacks.lives import ENDPOINTS, RUNS, SAMPLE, SETTINGS, data, job, web
from tests.attacks.people import KUBE_EDIT, OPERATOR_A, OPERATOR_B, TENANT_A, TENANT_B, Person
from tests.attacks.tampering import (
    BUDGETS,
    CHILDREN,
    PERMITTED,
    ROUTES,
    WORKLOADS,
    alter,
    are_back,
    children,
    leave,
    usurp,
)
from tests.attacks.world import RBAC, World, apps
from tests.attacks.world import until as until_soon
from tests.integration.harness import APIS, Cluster, Decco, Obj, space, tls_secret
from tests.integration.logs import log_lines

MERGE = {"Content-Type": "application/merge-patch+json"}
SECRETS = "/api/v1/namespaces/{}/secrets"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/decco/leases/decco-controller"
RECORDS = "/apis/externaldns.k8s.io/v1alpha1/namespaces/decco/dnsendpoints"
QUICK = "tests.integration.quick_change"
"""A controller for which a change of authorities takes seconds."""
BANK_NAMES = ["bank.victim.test", "*.bank.victim.test", "pay.example.net"]
GROUPS = {"traefik.io", "externaldns.k8s.io", "cert-manager.io", "gateway.envoyproxy.io", "security.istio.io"}
"""Kinds of other projects that decco writes, beside those of the Gateway API."""
ISSUED: Obj = {
    "certificates": {"issuerRef": {"name": "any", "kind": "ClusterIssuer"}},
    "httpHostnames": [{"name": "shop.example.net", "createDnsRecord": False}],
}
LIMITS: Obj = {"clientCidrs": ["192.0.2.0/24"], "requestBody": "1Mi", "connections": 5}
LONG = 300.0
"""Seconds, on a machine that may be busy."""


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

    def __init__(self, folder: Path, *, whole: bool = True, poor: bool = False) -> None:
        """``poor``: the controller begins without permissions, and somebody grants what it asks for."""
        self.folder = folder
        self._poor = poor
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
        wanted = [crd for crd in third_parties.CRDS if crd["spec"]["group"] in GROUPS]
        file.write_text("\n---\n".join(json.dumps(crd) for crd in wanted))
        install_crds(self.cp.api, [file])
        self.cp.install_decco()
        self.cp.restart_manager()
        for role in people.roles():
            self.cp.create(f"{RBAC}/clusterroles", role)
        for name, person in people.CLUSTER_WIDE:
            if person in {people.ADMIN, OPERATOR_A, OPERATOR_B}:
                self.cp.create(f"{RBAC}/clusterrolebindings", people.binding(name, person))
        if self._poor:
            self.granting = self._stack.enter_context(Granting(self.cluster, self.folder))
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
            if number:
                self._taken()
            self.decco = Decco(self.cp, self.folder, kubeconfig=account, **settings)
            self._start()
            try:
                until(lambda: self.decco.metric("decco_leader"), "the controller leads")
                if not number:
                    self._first()
                self._settle()
                if "routing__backend" not in routing:
                    self._limited()
                if "none" not in routing.values():
                    self._altered("bank", OPERATOR_B)
                    self._usurped("bank", OPERATOR_B, number)
                if number == len(self._runs) - 1:
                    self._changed()
                self.texts.append(("metrics", self.decco.get("/metrics").encode()))
            finally:
                status = self.decco.stop()
                self.texts.append(("log", self.decco.log.read_bytes()))
            assert status == 0, self.decco.tail()

    def _start(self) -> None:
        """Again and again where it ends for want of a permission."""
        while True:
            try:
                self.decco.start(module=QUICK)
                return
            except RuntimeError:
                if not self._poor:
                    raise

    def _settle(self) -> None:
        """Until nothing is left to do, and nothing to ask for."""
        self.decco.settle()
        while self._poor and self.granting.look():
            self.decco.settle()

    def _first(self) -> None:
        self._created()
        self._attacked()
        self._revoked()
        self._ended()
        self._contested()
        self._published()
        self._renewed()
        self._meshed()

    def _taken(self) -> None:
        """Another replica that has just died has the Lease: the controller waits for it by a watch."""
        renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": "another", "leaseDurationSeconds": 5, "renewTime": renewed}
        self.cluster.patch(LEASE, {"spec": spec})

    @contextlib.contextmanager
    def step(self, cause: Person, where: str) -> Iterator[None]:
        """The controller's requests until it is settled after what happens in this block."""
        mark = self.cp.audit_mark()
        yield
        self._settle()
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
        # A pull Secret and an opaque one for one Space; another Space names them too.
        for name, kind, field in (
            ("bank-pull", "kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
            ("bank-config", "Opaque", "token"),
        ):
            allowed = tuple(f"/registry/secrets/{place}/{name}" for place in ("decco", "bank"))
            text = self.canaries.text(name, *allowed).decode()
            content = json.dumps({"auths": {"registry.example": {"auth": text}}}).encode()
            made = tls_secret(name, share=BANK_NAMES[0])
            self.cluster.create({**made, "type": kind, "data": {field: base64.b64encode(content).decode()}})
        for unusable in (True, False):
            key = self.canaries.text(f"dns-key {unusable}", "/registry/secrets/decco/dns-key")
            self._put("decco", "dns-key", {"secret": key + b"!" if unusable else base64.b64encode(key)})
            if unusable:
                self._ends_at_once()

    def _ends_at_once(self) -> None:
        decco = Decco(self.cp, self.folder, **SETTINGS).start(wait=False)
        assert decco.process is not None
        assert decco.process.wait(LONG) == 2, decco.tail()
        self.texts.append(("log", decco.log.read_bytes()))

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
            (OPERATOR_B, "bank", "victim.test", {"project": "bank", "httpCertSecretName": "bank-tls"}),
        ):
            with self.step(who, name):
                spec |= {"tcpCertAndCaSecretName": spec["httpCertSecretName"], "encryptHttp": True}
                spec |= {"secrets": ["bank-pull", "bank-config"]}
                spec |= {"resourceQuota": {"hard": {"pods": "9"}}, "limitRange": {"limits": []}}
                body = space(name, domain, **spec)
                until(lambda who=who, body=body: self._posted(who, body), f"Space {name}")
                self._condition(name, "CertificatesReady")
            self.texts.append(("metrics", self.decco.get("/metrics").encode()))
        for name, is_there in (("evil1", False), ("bank", True)):
            self._condition(name, "SecretsReady", str(is_there))
            for secret in ("bank-pull", "bank-config"):
                assert (self.cluster.get(f"{SECRETS.format(name)}/{secret}") is not None) is is_there
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
        with self.step(TENANT_A, "evil1"):
            assert self._posted(TENANT_A, job("evil1"))
            assert self._posted(TENANT_A, data("evil1"))

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
        self._spoiled(TENANT_A, "evil1", "evil1", "own")
        self._spoiled(people.ADMIN, "evil1", "decco", "evil-tls")
        # A tenant with Kubernetes' own role.
        self._edit(KUBE_EDIT, f"{SECRETS.format('evil1')}/own", {"data": {"tls.crt": "bm90IGEgY2VydGlmaWNhdGU="}})

    def _spoiled(self, who: Person, space: str, where: str, name: str) -> None:
        """The Secret's content becomes what no program can read."""
        places = {where, space} if name == "evil-tls" else {where}
        wrong = self.canaries.text(f"wrong {name}", *(f"/registry/secrets/{each}/{name}" for each in places))
        for form in (
            wrong,
            b"-----BEGIN CERTIFICATE-----\n" + wrong + b"\n-----END CERTIFICATE-----\n",
            b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(wrong) + b"\n-----END PRIVATE KEY-----\n",
        ):
            with self.step(who, space):
                self._put(where, name, {"tls.crt": form, "tls.key": form, "ca.crt": form, "secret": form})

    def _revoked(self) -> None:
        """The end of a consent."""
        with self.step(people.ADMIN, "evil1"):
            note = {"metadata": {"annotations": {"decco.platform9.com/share-with": "nobody.evil.test"}}}
            self.cluster.patch(f"{SECRETS.format('decco')}/evil-tls", note)
            until(lambda: self.cluster.get(f"{SECRETS.format('evil1')}/evil-tls") is None, "the end of the copy")

    def _contested(self) -> None:
        """A Space whose namespace is there, and somebody else's."""
        path = f"{APIS}/spaces/taken"
        with self.step(OPERATOR_B, "taken"):
            until(lambda: self._posted(OPERATOR_B, space("taken", "victim.test")), "Space taken")
            self._condition("taken", "Ready", "False")
            self._settle()
            assert self.world.api(OPERATOR_B).request("DELETE", path).status == 200
            until(lambda: self.cluster.get(path) is None, "the end of Space taken")

    def _published(self) -> None:
        """Records in a zone whose server does not answer; from here on decco tries that again and again. A Job, whose
        pod is reported as late after some time.
        """
        with self.step(OPERATOR_B, "bank"):
            own = {**ISSUED, "certificates": {"issuerRef": {"name": "own", "kind": "Issuer"}}}
            self._edit(OPERATOR_B, f"{APIS}/spaces/bank", {"spec": own})
        with self.step(OPERATOR_B, "bank"):
            self._edit(OPERATOR_B, f"{APIS}/spaces/bank", {"spec": {"hostnames": BANK_NAMES[2:], **ISSUED}})
        with self.step(TENANT_B, "bank"):
            pay = {"name": "pay", "port": 5433, "hostname": BANK_NAMES[2], "createDnsRecord": True}
            self._edit(TENANT_B, f"{apps('bank')}/web", {"spec": {"endpoints": [*ENDPOINTS, pay]}})
            assert self._posted(TENANT_B, job("bank"))
            assert self._posted(TENANT_B, data("bank"))

    def _renewed(self) -> None:
        """Other certificates, and a copy that somebody made immutable."""
        source = self._shared("bank-tls", ("decco", "bank"), *BANK_NAMES, share=None)
        with self.step(people.ADMIN, "bank"):
            frozen = {"immutable": True}
            self.cluster.patch(f"{SECRETS.format('bank')}/bank-tls", frozen)
            self.cluster.patch(f"{SECRETS.format('decco')}/bank-tls", {"data": source["data"]})
            until(lambda: self._shows("bank", "bank-tls", source["data"]["tls.crt"]), "the renewed copy")

    def _shows(self, namespace: str, name: str, certificate: str) -> bool:
        found = self.cluster.get(f"{SECRETS.format(namespace)}/{name}")
        return found is not None and found["data"]["tls.crt"] == certificate

    def _limited(self) -> None:
        with self.step(OPERATOR_B, "bank"):
            self._edit(OPERATOR_B, f"{APIS}/spaces/bank", {"spec": {"limits": LIMITS}})

    def _meshed(self) -> None:
        with self.step(people.ADMIN, "bank"):
            self._edit(people.ADMIN, f"{APIS}/spaces/bank", {"spec": {"mesh": "Istio"}})
            until(lambda: "/Strict@" in self._mesh("bank"), "bank enters the mesh")

    def _mesh(self, name: str) -> str:
        meta = (self.cluster.get(f"/api/v1/namespaces/{name}") or {})["metadata"]
        return str(meta.get("annotations", {}).get("decco.platform9.com/mesh", ""))

    def _altered(self, name: str, operator: Person) -> None:
        """decco repairs them."""
        with self.step(operator, name):
            alter(self.cluster, name)

    def _usurped(self, name: str, operator: Person, number: int) -> None:
        """While the Space is paused: decco leaves them alone, and makes its own when they are gone. Workloads alone,
        since they wait for their policies, and budgets alone, since a condition has the first problems only; what Apps
        have, since they wait for their Space; what the Space has, and alone the policy with its permitted clients,
        without which no listener is written.
        """
        forms = tuple(form for form in (ROUTES if number else CHILDREN) if form != PERMITTED)
        alone = ((WORKLOADS, "App"), ((BUDGETS,), "App"))
        for chosen, kind in (*alone, (forms, "App"), (forms, "Space"), ((PERMITTED,), "Space")):
            with self.step(operator, name):
                these = list(children(self.cluster, name, chosen, kind))
                self._annotate(name, "paused", "true")
                self._settle()
                usurp(self.cluster, these, until)
                self._annotate(name, "paused", None)
                self._settle()
                leave(self.cluster, these)
                self._annotate(name, "again", str(time.monotonic_ns()))
                until(lambda these=these: are_back(self.cluster, these), "decco's own children")  # type: ignore[misc]

    def _annotate(self, name: str, key: str, value: str | None) -> None:
        for path in (f"{APIS}/spaces/{name}", *(f"{apps(name)}/{app}" for app in ("web", "job", "data"))):
            self.cluster.patch(path, {"metadata": {"annotations": {f"decco.platform9.com/{key}": value}}})

    def _ended(self) -> None:
        """The end of an App and of a Space, whose records somebody else has touched."""
        for who, path in ((TENANT_A, f"{apps('evil1')}/web"), (OPERATOR_A, f"{APIS}/spaces/evil1")):
            touched = {"metadata": {"labels": {"touched": str(time.monotonic_ns())}}}
            for obj in self.cluster.items(RECORDS):
                self.cluster.patch(f"{RECORDS}/{obj['metadata']['name']}", touched)
            with self.step(who, "evil1"):
                answer = self.world.api(who).request("DELETE", path)
                assert answer.status == 200, answer.body
                until(lambda path=path: self.cluster.get(path) is None, f"the end of {path}")
                if path.endswith("/spaces/evil1"):
                    # While it is being deleted decco takes the grants out of it.
                    until(lambda: self.cluster.get("/api/v1/namespaces/evil1") is None, "the end of the namespace")

    def _changed(self) -> None:
        """Other forms of workloads, and less of everything."""
        with self.step(TENANT_B, "bank"):
            patch = {"endpoints": [], "runAsJob": True, "pod": {"restartPolicy": "Never"}, "tlsEgresses": []}
            self._edit(TENANT_B, f"{apps('bank')}/web", {"spec": patch})
        with self.step(TENANT_B, "bank"):
            self._edit(TENANT_B, f"{apps('bank')}/data", {"spec": {"statefulSet": None}})
        for image in ("y", "z"):
            with self.step(TENANT_B, "bank"):
                other = {"containers": [{"name": "c", "image": image}]}
                self._edit(TENANT_B, f"{apps('bank')}/job", {"spec": {"pod": other}})
        with self.step(OPERATOR_B, "bank"):
            nothing = {"resourceQuota": None, "limitRange": None, "encryptHttp": False, "tcpCertAndCaSecretName": None}
            nothing |= dict.fromkeys((*ISSUED, "limits"))
            self._edit(OPERATOR_B, f"{APIS}/spaces/bank", {"spec": nothing})
        with self.step(people.ADMIN, "bank"):
            self._edit(people.ADMIN, f"{APIS}/spaces/bank", {"spec": {"podSecurity": "privileged", "mesh": "None"}})
            until(lambda: not self._mesh("bank"), "bank leaves the mesh")

    def said(self) -> list[str]:
        """Warnings and errors, for a failure."""
        return [str(line) for line in log_lines(self.decco) if line.get("level") != "info"]
