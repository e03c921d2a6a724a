"""What runs in every cluster beside a controller: garbage collection, namespaces, workloads, and a gateway.

Each reacts to changes after a random delay, by requests like everybody's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.simulation.clock import timestamp
from tests.simulation.material import issued_secret
from tests.simulation.model.api import FOREGROUND, NAMESPACE, ORPHAN, Api
from tests.simulation.model.etcd import Address, Change
from tests.simulation.model.kinds import BY_NAME, Obj
from tests.simulation.model.requests import Request

GATEWAY_CONTROLLER = "example.net/gateway-controller"
ENVOY_GATEWAY_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
EDGE_ADDRESS = "192.0.2.10"
BROKEN_ISSUER = "broken"
NAMES_ANNOTATION = "cert-manager.io/alt-names"


@dataclass
class Actor:
    """Sends requests under a name, straight to the API."""

    api: Api
    user: str

    def url(self, address: Address, subresource: str = "") -> str:
        kind = address.kind
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        parts = [root, *(["namespaces", address.namespace] if address.namespace else []), kind.plural]
        return "/".join([*parts, *([address.name] if address.name else []), *([subresource] if subresource else [])])

    def ask(self, method: str, address: Address, body: Any = None, subresource: str = "") -> tuple[int, Obj]:
        raw = b"" if body is None else orjson.dumps(body)
        answer = self.api.handle(Request.of(self.user, method, self.url(address, subresource), raw))
        found = orjson.loads(answer.body) if answer.body[:1] == b"{" else {}
        return answer.status, found

    def create(self, obj: Obj) -> tuple[int, Obj]:
        kind = BY_NAME[obj["kind"]]
        return self.ask("POST", Address(kind, obj["metadata"].get("namespace", ""), ""), obj)

    def get(self, address: Address) -> Obj | None:
        return self.api.etcd.get(address)

    def patch(self, address: Address, patch: Obj, subresource: str = "") -> int:
        return self.ask("PATCH", address, patch, subresource)[0]

    def delete(self, address: Address, propagation: str = "Background") -> int:
        return self.ask("DELETE", address, {"propagationPolicy": propagation})[0]


@dataclass
class Cluster:
    """``delay`` gives the seconds until an actor reacts."""

    api: Api
    loop: asyncio.AbstractEventLoop
    rng: random.Random
    delay: Callable[[], float]
    gateway_controller: str = GATEWAY_CONTROLLER
    """controllerName of the gateway."""
    jobs_fail: bool = False
    stopped: set[str] = field(default_factory=set)
    """Actors that do nothing now."""

    def __post_init__(self) -> None:
        self.manager = Actor(self.api, "kube-controller-manager")
        self.gateway = Actor(self.api, "gateway-controller")
        self.cert_manager = Actor(self.api, "cert-manager")
        self._sweeping = False
        self.deleted_by_others: set[Address] = set()
        self.api.etcd.followers.append(self._changed)

    def _changed(self, change: Change) -> None:
        kind = change.address.kind.kind
        if (
            change.after is None
            or "ownerReferences" in change.after["metadata"]
            or "deletionTimestamp" in change.after["metadata"]
        ):
            self.sweep()
        if change.after is not None and (react := getattr(self, f"_{kind.lower()}", None)) is not None:
            self.loop.call_later(self.delay(), self._react, react, change.address)

    def _react(self, react: Callable[[Address, Obj], None], address: Address) -> None:
        live = self.api.etcd.get(address)
        if live is not None:
            react(address, live)

    def resync(self) -> None:
        """After a restore of etcd: all actors reconcile everything again."""
        self.sweep()
        for address in list(self.api.etcd.objects):
            if (react := getattr(self, f"_{address.kind.kind.lower()}", None)) is not None:
                self.loop.call_later(self.delay(), self._react, react, address)

    # Garbage collection and namespaces

    def sweep(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self.loop.call_later(self.delay(), self._sweep)

    def _sweep(self) -> None:
        """One round over all objects; another one follows each change that it makes."""
        self._sweeping = False
        objects = self.api.etcd.objects
        live = {obj["metadata"]["uid"]: (address, obj) for address, obj in objects.items()}
        dependents: dict[str, list[tuple[Address, Obj]]] = {}
        for address, obj in objects.items():
            for owner in obj["metadata"].get("ownerReferences") or ():
                dependents.setdefault(owner["uid"], []).append((address, obj))
        for address, obj in list(objects.items()):
            self._collect(address, obj, live, dependents)
        for address, obj in list(self.api.etcd.objects.items()):
            if address.kind is NAMESPACE and "deletionTimestamp" in obj["metadata"]:
                self._empty(address, obj)

    def _collect(
        self,
        address: Address,
        obj: Obj,
        live: dict[str, tuple[Address, Obj]],
        dependents: dict[str, list[tuple[Address, Obj]]],
    ) -> None:
        meta = obj["metadata"]
        if "deletionTimestamp" in meta:
            finalizers = meta.get("finalizers") or []
            below = dependents.get(meta["uid"], [])
            if ORPHAN in finalizers:
                for other, child in below:
                    left = [ref for ref in child["metadata"]["ownerReferences"] if ref["uid"] != meta["uid"]]
                    self.manager.patch(other, {"metadata": {"ownerReferences": left or None}})
                self._drop(address, obj, ORPHAN)
            elif FOREGROUND in finalizers:
                blocking = [(a, o) for a, o in below if self._blocks(o, meta["uid"])]
                for other, child in blocking:
                    if "deletionTimestamp" not in child["metadata"]:
                        self.manager.delete(other, "Foreground")
                if not blocking and address.kind.kind not in ("Deployment", "StatefulSet", "Job"):
                    self._drop(address, obj, FOREGROUND)
            return
        owners = meta.get("ownerReferences") or []
        if not owners:
            return
        if all(self._is_gone(address, ref, live) for ref in owners):
            self.manager.ask(
                "DELETE", address, {"propagationPolicy": "Background", "preconditions": {"uid": meta["uid"]}}
            )

    def _is_gone(self, address: Address, ref: Obj, live: dict[str, tuple[Address, Obj]]) -> bool:
        found = live.get(ref["uid"])
        return found is None or found[0].namespace not in ("", address.namespace)

    @staticmethod
    def _blocks(child: Obj, uid: str) -> bool:
        return any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in child["metadata"]["ownerReferences"])

    def _drop(self, address: Address, obj: Obj, finalizer: str) -> None:
        left = [each for each in obj["metadata"].get("finalizers") or () if each != finalizer]
        self.manager.patch(address, {"metadata": {"finalizers": left or None}})

    def _empty(self, address: Address, obj: Obj) -> None:
        """What the namespace controller does: removes the content, and then the namespace."""
        inside = [each for each in self.api.etcd.objects if each.namespace == address.name]
        for each in inside:
            live = self.api.etcd.get(each)
            if live is not None and "deletionTimestamp" not in live["metadata"]:
                self.manager.delete(each)
        inside = [each for each in self.api.etcd.objects if each.namespace == address.name]
        if not inside and obj["spec"].get("finalizers"):
            current = self.api.etcd.get(address)
            if current is not None:
                self.manager.ask("PUT", address, {**current, "spec": {}}, "finalize")

    # Workloads

    def _deployment(self, address: Address, live: Obj) -> None:
        meta = live["metadata"]
        if "deletionTimestamp" in meta:
            if FOREGROUND in (meta.get("finalizers") or ()):
                self._drop(address, live, FOREGROUND)
            return
        replicas = live["spec"].get("replicas", 1)
        ready = [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ]
        status = {"observedGeneration": meta["generation"], "conditions": ready}
        if replicas:
            status |= {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}
        self._set_status(self.manager, address, live, status)

    def _statefulset(self, address: Address, live: Obj) -> None:
        meta = live["metadata"]
        if "deletionTimestamp" in meta:
            if FOREGROUND in (meta.get("finalizers") or ()):
                self._drop(address, live, FOREGROUND)
            return
        replicas = live["spec"].get("replicas", 1)
        status = {"observedGeneration": meta["generation"], "collisionCount": 0, "replicas": replicas}
        status |= {"currentRevision": "1", "updateRevision": "1", "availableReplicas": replicas}
        if replicas:
            status |= {"readyReplicas": replicas, "currentReplicas": replicas, "updatedReplicas": replicas}
        self._set_status(self.manager, address, live, status)

    def _poddisruptionbudget(self, address: Address, live: Obj) -> None:
        if "deletionTimestamp" not in live["metadata"]:
            status = {"observedGeneration": live["metadata"]["generation"], "disruptionsAllowed": 1}
            self._set_status(self.manager, address, live, {**(live.get("status") or {}), **status})

    def _job(self, address: Address, live: Obj) -> None:
        meta = live["metadata"]
        if "deletionTimestamp" in meta:
            if FOREGROUND in (meta.get("finalizers") or ()):
                self._drop(address, live, FOREGROUND)
            return
        if live["spec"].get("suspend"):
            return
        status = dict(live.get("status") or {})
        if not status.get("startTime"):
            status |= {"startTime": timestamp(), "active": 1, "ready": 0}
        elif status.get("active"):
            end = {
                "type": "Failed" if self.jobs_fail else "Complete",
                "status": "True",
                "lastTransitionTime": timestamp(),
            }
            status = {
                "startTime": status["startTime"],
                "conditions": [end],
                "completionTime": timestamp(),
                "succeeded": 1,
            }
        self._set_status(self.manager, address, live, status)

    def _set_status(self, actor: Actor, address: Address, live: Obj, status: Obj) -> None:
        if live.get("status") != status:
            actor.ask("PUT", address, {**live, "status": status}, "status")

    # cert-manager

    def _certificate(self, address: Address, live: Obj) -> None:
        """Writes the Secret, once for each list of names; an issuer named "broken" fails."""
        spec, status = live["spec"], dict(live.get("status") or {})
        if "deletionTimestamp" in live["metadata"]:
            return
        if spec["issuerRef"]["name"] == BROKEN_ISSUER:
            failed = {**_condition("Issuing", live), "status": "False", "reason": "Failed", "message": "refused"}
            status["conditions"] = [failed]
            self._answer_certificate(address, live, status)
            return
        names = ",".join(spec["dnsNames"])
        secret = Address(BY_NAME["Secret"], address.namespace, spec["secretName"])
        found = self.api.etcd.get(secret)
        if found is None or (found["metadata"].get("annotations") or {}).get(NAMES_ANNOTATION) != names:
            issued = issued_secret(secret.namespace, secret.name, {NAMES_ANNOTATION: names})
            if found is None:
                code, _ = self.cert_manager.create(issued)
            else:
                code, _ = self.cert_manager.ask("PUT", secret, issued)
            if code >= 300:
                return  # the namespace is being deleted
            status["revision"] = status.get("revision", 0) + 1
        status.setdefault("revision", 1)
        status["conditions"] = [_condition("Ready", live)]
        self._answer_certificate(address, live, status)

    def _answer_certificate(self, address: Address, live: Obj, status: Obj) -> None:
        if _without_times(live.get("status")) != _without_times(status):
            self._set_status(self.cert_manager, address, live, status)

    # The gateway

    def _gateway(self, address: Address, live: Obj) -> None:
        listeners = [self._listener(each["name"], live) for each in live["spec"].get("listeners") or ()]
        status = {
            "addresses": [{"type": "IPAddress", "value": EDGE_ADDRESS}],
            "conditions": [_condition(each, live) for each in ("Accepted", "Programmed")],
            "listeners": listeners,
        }
        self._answer(address, live, status)

    def _listenerset(self, address: Address, live: Obj) -> None:
        listeners = [self._listener(each["name"], live) for each in live["spec"].get("listeners") or ()]
        conditions = [_condition(each, live) for each in ("Accepted", "Programmed")]
        self._answer(address, live, {"conditions": conditions, "listeners": listeners})

    def _listener(self, name: str, live: Obj) -> Obj:
        types = ("Accepted", "ResolvedRefs", "Programmed")
        return {"name": name, "attachedRoutes": 0, "conditions": [_condition(each, live) for each in types]}

    def _httproute(self, address: Address, live: Obj) -> None:
        parents = [
            {
                "parentRef": ref,
                "controllerName": self.gateway_controller,
                "conditions": [_condition(each, live) for each in ("Accepted", "ResolvedRefs")],
            }
            for ref in live["spec"].get("parentRefs") or ()
        ]
        self._answer(address, live, {"parents": parents})

    _tlsroute = _httproute

    def _securitypolicy(self, address: Address, live: Obj) -> None:
        ancestors = [
            {
                "ancestorRef": {"namespace": address.namespace, **ref},
                "controllerName": self.gateway_controller,
                "conditions": [_condition("Accepted", live)],
            }
            for ref in live["spec"].get("targetRefs") or ()
        ]
        self._answer(address, live, {"ancestors": ancestors})

    _backendtrafficpolicy = _clienttrafficpolicy = _securitypolicy

    def _answer(self, address: Address, live: Obj, status: Obj) -> None:
        if "gateway" in self.stopped or "deletionTimestamp" in live["metadata"]:
            return
        old = live.get("status") or {}
        if _without_times(old) != _without_times(status):
            self._set_status(self.gateway, address, live, status)


def _condition(type_: str, live: Obj) -> Obj:
    return {
        "type": type_,
        "status": "True",
        "reason": type_,
        "message": "",
        "observedGeneration": live["metadata"]["generation"],
        "lastTransitionTime": timestamp(),
    }


def _without_times(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _without_times(value) for name, value in node.items() if name != "lastTransitionTime"}
    return [_without_times(each) for each in node] if isinstance(node, list) else node
