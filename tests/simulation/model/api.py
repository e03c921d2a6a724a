"""Requests to the model: verbs on objects, with the checks of the real server in its order.

``handle`` takes what came over HTTP. Faults are made elsewhere (``network.py``): this is the server that works.
"""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.simulation.clock import timestamp
from tests.simulation.model import answers
from tests.simulation.model.answers import Answer, Refused, success
from tests.simulation.model.etcd import Address, Etcd
from tests.simulation.model.fields import fixed, managed
from tests.simulation.model.kinds import BY_NAME, BY_PLURAL, KINDS, Kind, Obj
from tests.simulation.model.requests import Request, Target, addressed, selector

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
NAMESPACE, SPACE, APP = BY_NAME["Namespace"], BY_NAME["Space"], BY_NAME["App"]
DEFAULT_STATUS = {"observedGeneration": -1}
"""Of a Space or App, by the CRDs."""


Admit = Callable[[Request, Target, Obj | None, Obj | None], None]
"""Called before a write with the object before and after it; raises Refused."""


@dataclass
class Api:
    """The logic that all API servers of the cluster share, over one etcd.

    ``unserved`` are kinds that are not installed; ``admit`` are admission rules.
    """

    etcd: Etcd
    rng: random.Random
    unserved: set[tuple[str, str]] = field(default_factory=set)
    admit: list[Admit] = field(default_factory=list)
    undefaulted: set[str] = field(default_factory=set)
    """UIDs of objects that are stored without the default of their status: answers have it, and the next update stores
    it, also one that changes nothing."""
    authorize: Callable[[str, str, Target], None] = lambda _user, _verb, _target: None
    """Called for each request with its user and verb; raises Refused."""
    terminating: set[tuple[str, str]] = field(default_factory=set)
    """Kinds whose CustomResourceDefinition is being deleted: they can be read, and not created any more."""

    def handle(self, request: Request) -> Answer:
        """The answer to any request but a watch."""
        try:
            target = self.target(request.path)
            if target is None:
                return self._discovery(request.path)
            self.authorize(request.user, request.verb(target), target)
            if request.method == "POST" and (target.kind.group, target.kind.plural) in self.terminating:
                raise answers.terminating(target.kind)
            method = getattr(self, f"_{request.method.lower()}")
            answer: Answer = method(request, target)
            return answer
        except Refused as refused:
            return refused.answer()

    def target(self, path: str) -> Target | None:
        """None for paths of discovery and unknown ones."""
        target = addressed(path)
        if target is None or (target.kind.group, target.kind.plural) in self.unserved:
            return None
        return target

    # Reading

    def _discovery(self, path: str) -> Answer:
        steps = path.strip("/").split("/")
        if steps == ["version"]:
            return success({"major": "1", "minor": "37", "gitVersion": "v1.37.0"})
        if steps[0] == "apis" and len(steps) in (2, 3):
            kinds = [k for k in KINDS if k.group == steps[1] and (k.group, k.plural) not in self.unserved]
            if len(steps) == 3:
                kinds = [kind for kind in kinds if kind.version == steps[2]]
            if kinds and len(steps) == 2:
                versions = [
                    {"groupVersion": f"{steps[1]}/{version}", "version": version}
                    for version in sorted({kind.version for kind in kinds})
                ]
                found = {"kind": "APIGroup", "name": steps[1], "versions": versions, "preferredVersion": versions[0]}
                return success(found)
            if kinds:
                resources = [
                    {"name": k.plural, "kind": k.kind, "namespaced": k.namespaced, "verbs": ["get"]} for k in kinds
                ]
                return success({"kind": "APIResourceList", "groupVersion": "/".join(steps[1:]), "resources": resources})
        return answers.not_served()

    def _get(self, request: Request, target: Target) -> Answer:
        if not target.name:
            return self._list(request, target)
        return success(self._existing(target))

    def _existing(self, target: Target) -> Obj:
        found = self.etcd.get(target.address)
        if found is None:
            raise answers.not_found(target.kind, target.name)
        return found

    def _list(self, request: Request, target: Target) -> Answer:
        limit = int(request.query.get("limit") or 0)
        after: tuple[str, str] = ("", "")
        revision = self.etcd.revision
        if token := request.query.get("continue"):
            revision, *key = orjson.loads(base64.b64decode(token))
            after = (key[0], key[1])
            if revision < self.etcd.compacted or revision > self.etcd.revision:
                raise answers.expired("The provided continue parameter is too old to display a consistent list result.")
        matches = selector(request.query)
        items, last, more = [], after, False
        for address, obj in self.etcd.at(revision, target.kind, target.namespace):
            if (address.namespace, address.name) <= after:
                continue
            if limit and len(items) == limit:
                more = True  # whether the selector matches what is left is not known: the next page may be empty
                break
            if not matches(obj):
                continue
            items.append(obj)
            last = (address.namespace, address.name)
        meta: Obj = {"resourceVersion": str(revision)}
        if more:
            meta["continue"] = base64.b64encode(orjson.dumps([revision, *last])).decode()
        kind = target.kind
        return success({"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta, "items": items})

    # Writing

    def _post(self, request: Request, target: Target) -> Answer:
        kind = target.kind
        obj = self._body(request, target)
        if kind.answers:
            return success({**obj, "metadata": {}, "status": self._answered(request, obj)}, 201)
        meta = obj["metadata"]
        name = meta.get("name") or ""
        if not name:
            raise answers.invalid(kind, "", "metadata.name", "Required value: name or generateName is required")
        if meta.get("resourceVersion"):
            raise Refused(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        if kind.namespaced:
            home = self.etcd.get(Address(NAMESPACE, "", target.namespace))
            if home is None:
                raise answers.not_found(NAMESPACE, target.namespace)
        target = Target(kind, target.namespace, name, "")
        dropped = {"uid", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"}
        meta = {field_: value for field_, value in meta.items() if field_ not in dropped}
        meta |= {"uid": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), "creationTimestamp": timestamp()}
        if kind.namespaced:
            meta["namespace"] = target.namespace
        if kind.generation:
            meta["generation"] = 1
        obj = {**obj, "metadata": meta}
        if kind.status:
            obj.pop("status", None)
        _default_status(kind, obj)
        if kind is NAMESPACE:
            labels = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": name}
            obj = {**obj, "metadata": {**meta, "labels": labels}, "spec": {"finalizers": ["kubernetes"]}}
            obj["status"] = {"phase": "Active"}
        obj["metadata"] = {**obj["metadata"], "managedFields": managed(None, obj, _manager(request))}
        for check in self.admit:
            check(request, target, None, obj)
        if kind.namespaced and "deletionTimestamp" in home["metadata"]:
            why = f"unable to create new content in namespace {target.namespace} because it is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"}
            raise answers.forbidden(kind, name, why, [cause])
        if self.etcd.get(target.address) is not None:
            raise answers.exists(kind, name)
        if "dryRun" in request.query:
            return success(obj, 201)
        return success(self._created(target, obj), 201)

    def _created(self, target: Target, obj: Obj) -> Obj:
        if target.kind in (SPACE, APP):
            self.undefaulted.add(obj["metadata"]["uid"])
        return self.etcd.put(target.address, obj)

    def _answered(self, request: Request, obj: Obj) -> Obj:
        """The status of a review."""
        attributes = (obj.get("spec") or {}).get("resourceAttributes")
        if attributes is None:
            return {"userInfo": {"username": request.user}}
        kind = BY_PLURAL[attributes.get("group", ""), attributes["resource"]]
        target = Target(kind, attributes.get("namespace", ""), attributes.get("name", ""), "")
        try:
            self.authorize(request.user, attributes.get("verb", ""), target)
        except Refused:
            return {"allowed": False}
        return {"allowed": True}

    def _body(self, request: Request, target: Target) -> Obj:
        obj: Obj = _without_empty(orjson.loads(request.body))
        return {**obj, "apiVersion": target.kind.api_version, "kind": target.kind.kind}

    def _put(self, request: Request, target: Target) -> Answer:
        live = self._existing(target)
        obj = self._body(request, target)
        meta = obj["metadata"]
        if meta.get("uid") and meta["uid"] != live["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
            raise answers.conflict(target.kind, target.name, why + live["metadata"]["uid"])
        if meta.get("resourceVersion") not in (None, "", live["metadata"]["resourceVersion"]):
            raise answers.conflict(target.kind, target.name, answers.CHANGED)
        if not meta.get("resourceVersion") and target.kind.conditional:
            raise answers.invalid(
                target.kind,
                target.name,
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update",
            )
        if target.subresource == "status":
            return self._store(request, target, live, {**live, "status": obj.get("status")})
        return self._store(request, target, live, obj)

    def _patch(self, request: Request, target: Target) -> Answer:
        live = self._existing(target)
        patch = orjson.loads(request.body)
        version = (patch.get("metadata") or {}).get("resourceVersion")
        if version not in (None, live["metadata"]["resourceVersion"]):
            raise answers.conflict(target.kind, target.name, answers.CHANGED)
        obj = _without_empty(merged(live, patch))
        if target.subresource == "status":
            obj = {**live, "status": obj.get("status")}
        return self._store(request, target, live, obj)

    def _store(self, request: Request, target: Target, live: Obj, obj: Obj) -> Answer:
        """An update from ``live`` to ``obj``: what no client may change is kept."""
        kind, old = target.kind, live["metadata"]
        meta = self._kept_meta(target, old, obj["metadata"])
        obj = {**obj, "metadata": meta}
        if kind.status and target.subresource != "status":
            obj["status"] = live.get("status")
        if obj.get("status") is None:
            obj.pop("status", None)
        _default_status(kind, obj)
        if kind is NAMESPACE and target.subresource != "finalize":
            obj["spec"] = live["spec"]
        if target.subresource == "status":
            meta["managedFields"] = old.get("managedFields") or []
        else:
            meta["managedFields"] = managed(live, obj, _manager(request))
        if kind.generation:
            meta["generation"] = old["generation"] + (_spec(obj) != _spec(live))
        self._check_immutable(target, live, obj)
        for check in self.admit:
            check(request, target, live, obj)
        meta["resourceVersion"] = old["resourceVersion"]
        if obj == live and old["uid"] not in self.undefaulted:
            return success(live)
        if "dryRun" in request.query:
            return success(obj)
        self.undefaulted.discard(old["uid"])
        if "deletionTimestamp" in meta and not meta.get("finalizers") and not self._holds(kind, obj):
            self.etcd.remove(target.address)  # the update itself is not stored
            return success(obj)
        return success(self.etcd.put(target.address, obj))

    @staticmethod
    def _kept_meta(target: Target, old: Obj, new: Obj) -> Obj:
        """The metadata of an update: the server's own fields are as before."""
        meta = {name: value for name, value in new.items() if name not in _OF_THE_SERVER and (value or name == "name")}
        meta |= {name: old[name] for name in _OF_THE_SERVER if name in old and name != "managedFields"}
        if "deletionTimestamp" in old:
            added = sorted(set(meta.get("finalizers") or ()) - set(old.get("finalizers") or ()))
            if added:
                why = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
                raise answers.invalid(target.kind, target.name, "metadata.finalizers", f"{why}{added}")
        return meta

    def _check_immutable(self, target: Target, live: Obj, obj: Obj) -> None:
        kind = target.kind.kind
        kept = (live.get("data"), True) == (obj.get("data"), obj.get("immutable"))
        if kind in ("ConfigMap", "Secret") and live.get("immutable") is True and not kept:
            why = "Forbidden: field is immutable when `immutable` is set"
            raise answers.invalid(target.kind, target.name, "data", why)
        if kind == "Secret" and live.get("type") != obj.get("type"):
            raise answers.invalid(target.kind, target.name, "type", "Invalid value: field is immutable")
        if kind == "Job" and live["spec"].get("template") != obj["spec"].get("template"):
            raise answers.invalid(target.kind, target.name, "spec.template", "Invalid value: field is immutable")
        if kind == "Deployment" and live["spec"].get("selector") != obj["spec"].get("selector"):
            raise answers.invalid(target.kind, target.name, "spec.selector", "Invalid value: field is immutable")
        if kind == "StatefulSet" and fixed(live) != fixed(obj):
            why = "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
            why += "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
            raise answers.invalid(target.kind, target.name, "spec", why + "'minReadySeconds' are forbidden")

    def _holds(self, kind: Kind, obj: Obj) -> bool:
        return kind is NAMESPACE and bool((obj.get("spec") or {}).get("finalizers"))

    def _delete(self, request: Request, target: Target) -> Answer:
        kind = target.kind
        live = self._existing(target)
        options: Obj = orjson.loads(request.body) if request.body else {}
        wanted = options.get("preconditions") or {}
        meta = live["metadata"]
        if wanted.get("uid") not in (None, meta["uid"]):
            why = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {meta['uid']}"
            raise answers.conflict(kind, target.name, why)
        if wanted.get("resourceVersion") not in (None, meta["resourceVersion"]):
            why = f"Precondition failed: ResourceVersion in precondition: {wanted['resourceVersion']}, "
            why += f"ResourceVersion in object meta: {meta['resourceVersion']}"
            raise answers.conflict(kind, target.name, why)
        for check in self.admit:
            check(request, target, live, None)
        finalizers = [each for each in meta.get("finalizers") or () if each not in (ORPHAN, FOREGROUND)]
        policy = options.get("propagationPolicy") or "Background"
        extra = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy, [])
        finalizers += extra
        dry_run = "dryRun" in (options if request.body else request.query)  # with a body the query does not count
        if not finalizers and not self._holds(kind, live):
            if dry_run:
                return success(answers.removed(kind, target.name, meta["uid"]))
            self.etcd.remove(target.address)
            return success(answers.removed(kind, target.name, meta["uid"]))
        changed = {**meta, "finalizers": finalizers}
        if not finalizers:
            del changed["finalizers"]
        if "deletionTimestamp" not in meta:
            changed |= {"deletionTimestamp": timestamp(), "deletionGracePeriodSeconds": 0}
            if kind.generation:
                changed["generation"] = meta["generation"] + 1
        obj = {**live, "metadata": changed}
        if kind is NAMESPACE:
            obj["status"] = {**(live.get("status") or {}), "phase": "Terminating"}
        if obj == live or dry_run:
            return success(obj)
        self.undefaulted.discard(meta["uid"])
        return success(self.etcd.put(target.address, obj))


_OF_THE_SERVER = frozenset(
    {
        "uid",
        "creationTimestamp",
        "name",
        "namespace",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    }
)


def _manager(request: Request) -> str:
    return request.query.get("fieldManager") or request.user


def _default_status(kind: Kind, obj: Obj) -> None:
    if kind in (SPACE, APP):
        obj.setdefault("status", dict(DEFAULT_STATUS))


def _without_empty(obj: Obj) -> Obj:
    """Empty maps in the metadata of a pod template are not stored."""
    template = (obj.get("spec") or {}).get("template")
    if not isinstance(template, dict) or "metadata" not in template:
        return obj
    meta = {name: value for name, value in template["metadata"].items() if value}
    return {**obj, "spec": {**obj["spec"], "template": {**template, "metadata": meta}}}


def _spec(obj: Obj) -> Obj:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status")}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
