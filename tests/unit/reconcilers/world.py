"""Objects as an API server would store them, and caches that hold them, for tests of the reconcilers' parts."""

from __future__ import annotations

import base64
import functools
import itertools
from collections.abc import Mapping
from typing import Any

from decco.api.types import SpaceSpec
from decco.desired.model import Served, SpaceFacts
from decco.desired.names import owner_reference
from decco.objects import (
    ANNOTATION_SHARE_WITH,
    APPS,
    LABEL_SHARE,
    SPACES,
    Key,
    Obj,
    Resource,
)
from decco.reconcilers.caches import Caches
from decco.reconcilers.kinds import KINDS
from decco.settings import Settings
from testbed.certificates import self_signed
from tests.unit.desired.app_cases import SERVED

VERSIONS = itertools.count(100)
CREATED = "2026-01-01T00:00:{:02d}Z"


def stored(resource: Resource, name: str, namespace: str = "", *, uid: str = "", age: int = 30, **parts: Any) -> Obj:
    """An object with all that a server adds; ``age`` in seconds, the greater is the older; ``meta`` is laid on top."""
    meta: Obj = {
        "name": name,
        "uid": uid or f"uid-{resource.plural}-{namespace}-{name}",
        "resourceVersion": str(next(VERSIONS)),
        "creationTimestamp": CREATED.format(59 - age),
        "generation": 1,
        **parts.pop("meta", {}),
    }
    if resource.namespaced:
        meta["namespace"] = namespace
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **parts}


def space(
    name: str = "acme", *, uid: str = "", age: int = 30, meta: Mapping[str, Any] | None = None, **spec: Any
) -> Obj:
    wanted = {"domainName": "example.net", **spec}
    return stored(SPACES, name, uid=uid, age=age, meta=dict(meta or {}), spec=wanted)


def app(
    name: str = "web",
    namespace: str = "acme",
    *endpoints: Mapping[str, Any],
    uid: str = "",
    age: int = 30,
    meta: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Obj:
    """An App with these endpoints, on ports of their own."""
    pod = {"containers": [{"name": "main", "image": "registry.example/app:1"}]}
    listed = [{"port": 8000 + number, **endpoint} for number, endpoint in enumerate(endpoints)]
    wanted = {"pod": pod, "endpoints": listed, **spec}
    return stored(APPS, name, namespace, uid=uid, age=age, meta=dict(meta or {}), spec=wanted)


def owned(resource: Resource, name: str, owner: Obj, **parts: Any) -> Obj:
    """A child of a Space or App, in the Space's namespace."""
    resource_of_owner = SPACES if owner["kind"] == "Space" else APPS
    meta = owner["metadata"]
    reference = owner_reference(resource_of_owner, meta["name"], meta["uid"])
    namespace = meta.get("namespace") or meta["name"]
    labels = {"app.kubernetes.io/managed-by": "decco", "decco.platform9.com/space": namespace}
    if owner["kind"] == "App":
        labels["decco.platform9.com/app"] = meta["name"]
    given = {"ownerReferences": [reference], "labels": labels, **parts.pop("meta", {})}
    return stored(resource, name, namespace if resource.namespaced else "", meta=given, **parts)


@functools.cache
def _pair(hosts: tuple[str, ...]) -> tuple[bytes, bytes]:
    return self_signed(hosts)


def tls_data(*hosts: str) -> dict[str, str]:
    certificate, key = _pair(hosts or ("example.net",))
    content = {"tls.crt": certificate, "tls.key": key, "ca.crt": certificate}
    return {name: base64.b64encode(value).decode() for name, value in content.items()}


def shared(share_with: str | None) -> Obj:
    """Metadata of a Secret that its owner shares; None: not shared, without the annotation."""
    annotations = {} if share_with is None else {ANNOTATION_SHARE_WITH: share_with}
    return {"labels": {LABEL_SHARE: "true"}, "annotations": annotations}


def make_caches(served: Served = SERVED, **settings: Any) -> Caches:
    """Empty caches of a cluster that serves these kinds, or all."""
    return Caches(Settings.model_validate(settings), KINDS, served)


def facts_of(caches: Caches, name: str) -> SpaceFacts:
    entry = caches.spaces.get(Key("", name))
    assert entry is not None
    assert isinstance(entry.facts, SpaceFacts)
    return entry.facts


def plain_space(name: str = "acme", **spec: Any) -> SpaceFacts:
    parsed = SpaceSpec.model_validate({"domainName": "example.net", **spec})
    return SpaceFacts(name, f"uid-spaces--{name}", 1, CREATED.format(0), parsed)
