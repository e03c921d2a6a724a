"""The cluster that is attacked: decco's CRDs, roles and policies, Spaces of two operators, and their tenants.

The Spaces are created by their operators and the namespaces by the controller's identity, so that the honest way is
walked before any attack. The CRD has also the fields that the policies read and that this version does not serve yet.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from testbed.api import Api, RequestFailed, Response
from testbed.controlplane import ControlPlane
from testbed.manifests import MANIFESTS, install_crds
from testbed.pki import KeyPair
from tests.attacks import people
from tests.attacks.attempts import NAMESPACES, OK, SPACES, Attempt, Obj, verdict
from tests.attacks.people import CONTROLLER, OPERATOR_A, OPERATOR_B, Person
from tests.attacks.standing import (
    API,
    CLAIM,
    GRANTS,
    ISOLATED,
    RUNTIME_CLASSES,
    UID_OF,
    children,
    owned,
    owner,
    secrets_binding,
)
from tests.attacks.third_parties import CRDS

RBAC = "/apis/rbac.authorization.k8s.io/v1"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
PARAMETERS = "/api/v1/namespaces/decco/configmaps/decco-policy"
IN_FORCE_SECONDS = 60.0
FINALIZER = "decco.platform9.com/dns"


def space(name: str, domain: str, meta: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": API,
        "kind": "Space",
        "metadata": {"name": name, **(meta or {})},
        "spec": {"domainName": domain, **spec},
    }


def app(name: str, namespace: str, meta: Obj | None = None, **spec: Any) -> Obj:
    container = {"name": "c", "image": "example.com/x:1"}
    return {
        "apiVersion": API,
        "kind": "App",
        "metadata": {"name": name, "namespace": namespace, **(meta or {})},
        "spec": {"endpoints": [], "pod": {"containers": [container]}, **spec},
    }


def apps(namespace: str) -> str:
    return f"/apis/{API}/namespaces/{namespace}/apps"


def namespace(name: str, uid: str, domain: str, project: str = "", level: str = "baseline") -> Obj:
    """As decco writes it."""
    labels = {
        "app.kubernetes.io/managed-by": "decco",
        "decco.platform9.com/space": name,
        "pod-security.kubernetes.io/enforce": level,
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    if project:
        labels["decco.platform9.com/project"] = project
    annotations = {"decco.platform9.com/fqdn": f"{name}.{domain}"}
    meta = {"name": name, "labels": labels, "annotations": annotations, "ownerReferences": [owner(name, uid)]}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


STANDING: tuple[tuple[Person, Obj, str], ...] = (
    (OPERATOR_A, space("evil1", "evil.test", project="widgets", hostnames=["extra.sub.evil.test"]), "evil.test"),
    (OPERATOR_A, space("plain", "evil.test"), "evil.test"),
    (OPERATOR_A, space("granted", "evil.test"), "evil.test"),
    (OPERATOR_A, space("lost", "evil.test"), "evil.test"),
    *((OPERATOR_A, space(name, "evil.test"), "evil.test") for name in ISOLATED),
    (OPERATOR_B, space("bank", "victim.test", project="bank", hostnames=["pay.example.net"]), "victim.test"),
    (OPERATOR_B, space("loner", "victim.test"), "victim.test"),
)
"""Who creates which Space in which domain; each has a namespace."""
BARE = (
    space("held", "evil.test", {"annotations": {"decco.platform9.com/paused": "true"}, "finalizers": [FINALIZER]}),
    space("placed", "evil.test", placement={"clusters": [{"id": "east"}, {"id": "west"}]}),
    space("rooted", "evil.test", podSecurity="privileged", mesh="Istio", isolation="Standard"),
)
"""Spaces with what operators may not set; created by the administrator, without namespace."""


class World:
    """A control plane with people and standing objects; ``uid`` has the UIDs of Spaces by name."""

    def __init__(self, cp: ControlPlane) -> None:
        self.cp = cp
        self.uid: dict[str, str] = {}
        self._apis: dict[Person, Api] = {}

    def api(self, person: Person) -> Api:
        if person not in self._apis:
            config = json.loads(self.cp.kubeconfig_for(person.user, person.groups).read_text())
            files = config["users"][0]["user"]
            pair = KeyPair(Path(files["client-certificate"]), Path(files["client-key"]))
            self._apis[person] = Api(urlsplit(self.cp.url).port or 443, self.cp.ca_file, pair)
        return self._apis[person]

    def send(self, attempt: Attempt) -> Response:
        """With the UID of Space x in the place of ``UID_OF`` x."""
        text = json.dumps(attempt.body) if isinstance(attempt.body, dict) else ""
        if UID_OF in text:
            for name, uid in self.uid.items():
                text = text.replace(f"{UID_OF}{name}", uid)
            attempt = replace(attempt, body=json.loads(text))
        return attempt.send(self.cp.api, self.api(attempt.who))

    def verdict(self, attempt: Attempt) -> str:
        return verdict(self.send(attempt))

    def build(self) -> None:
        self.cp.install_gateway_api()
        install_crds(self.cp.api, [self._third_parties()])
        install_crds(self.cp.api, sorted((MANIFESTS / "crds").glob("*.yaml")))
        for folder in ("rbac", "policies"):
            self.cp.kubectl("apply", "--server-side", "-f", str(MANIFESTS / folder))
        self._people()
        self._standing()
        self.cp.restart_manager()

    def _third_parties(self) -> Path:
        path = self.cp.folder / "third-parties.yaml"
        path.write_text("\n---\n".join(json.dumps(crd) for crd in CRDS))
        return path

    def _people(self) -> None:
        for role in people.roles():
            self.cp.create(f"{RBAC}/clusterroles", role)
        for role, person in people.CLUSTER_WIDE:
            self.cp.create(f"{RBAC}/clusterrolebindings", people.binding(role, person))

    def _standing(self) -> None:
        for person, obj, domain in STANDING:
            name = obj["metadata"]["name"]
            # Permissions, policies and parameters are in force a moment after they were stored.
            made = until(lambda person=person, obj=obj: _created(self.api(person), SPACES, obj), f"Space {name}")
            self.uid[name] = made["metadata"]["uid"]
            wanted = namespace(name, self.uid[name], domain, obj["spec"].get("project", ""))
            until(lambda wanted=wanted: _created(self.api(CONTROLLER), NAMESPACES, wanted), f"namespace {name}")
            self.api(CONTROLLER).create(f"{RBAC}/namespaces/{name}/rolebindings", secrets_binding())
        admin = self.api(people.ADMIN)
        for obj in BARE:
            self.uid[obj["metadata"]["name"]] = admin.create(SPACES, obj)["metadata"]["uid"]
        for name, labels in (("free", {}), ("labelled", {"decco.platform9.com/monitoring": "true"})):
            admin.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
        for role, person, where in people.IN_NAMESPACE:
            self.cp.create(f"{RBAC}/namespaces/{where}/rolebindings", people.binding(role, person, where))
        tenant = self.api(people.TENANT_A)
        web = until(lambda: _created(tenant, apps("evil1"), app("web", "evil1")), "App web")
        for path, obj in (*children(web["metadata"]["uid"]), *owned()):
            # A pod needs the service account that a controller makes.
            until(lambda path=path, obj=obj: _created(admin, path, obj), path)
        # From before the policies: a claim for a volume, of which tenants may change labels, holds its Space.
        held = {"metadata": {"name": "held", "ownerReferences": [owner("evil1", self.uid["evil1"])]}, "spec": CLAIM}
        admin.create("/api/v1/namespaces/evil1/persistentvolumeclaims", held)
        merge = {"Content-Type": "application/merge-patch+json"}
        for name, notes in (*((name, {"annotations": notes}) for name, notes in GRANTS.items()), *ISOLATED.items()):
            answer = admin.request("PATCH", f"{NAMESPACES}/{name}", {"metadata": notes}, headers=merge)
            assert answer.status == 200, answer.body
        for name in RUNTIME_CLASSES:
            admin.create("/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": name}, "handler": name})
        admin.create(apps("evil1"), app("held", "evil1", copy.deepcopy(BARE[0]["metadata"]) | {"name": "held"}))
        admin.create(apps("bank"), app("db", "bank"))
        admin.create("/api/v1/namespaces/decco/secrets", {"metadata": {"name": "own"}})


def _created(api: Api, path: str, obj: Obj) -> Obj | None:
    """The object, or None while a permission that was just granted is not in force."""
    answer = api.request("POST", path, obj)
    if answer.status == 201:
        return dict(answer.json())
    if answer.status == 403:
        return None
    raise RequestFailed(f"POST {path}: {answer.status} {answer.body.decode()[:500]}")


def until(ask: Callable[[], Any], what: str, seconds: float = IN_FORCE_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
    return found


def allowed(world: World, attempt: Attempt) -> bool:
    return world.verdict(attempt) == OK
