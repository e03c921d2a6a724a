"""The controller's caches, filled once: from files, from the cluster, or from the cluster overlaid with files.

The caches of the controller are updated by watches; a snapshot is not updated. It records what could not be read, so a
user with fewer permissions than the controller gets an incomplete answer, but not a wrong one.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Collection, Iterable
from dataclasses import dataclass, field

from decco.api.crd import crds
from decco.desired.model import Served
from decco.errors import ConfigError
from decco.kube.client import Client
from decco.kube.entry import read_entry
from decco.kube.errors import ApiError, Forbidden, NotFound, NotServed
from decco.kube.watch import WatchSpec
from decco.objects import (
    APPS,
    GATEWAY_CLASSES,
    GROUP,
    LABEL_SHARE,
    SPACES,
    VERSION,
    Key,
    Obj,
    Resource,
    key_of,
    labels_of,
)
from decco.reconcilers.caches import Caches, Kind, Role, Watched
from decco.reconcilers.discover import NOT_INSTALLED, discover
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.kinds import ALL_SERVED, KINDS
from decco.settings import Settings
from decco.views.documents import Document, unknown_fields
from decco.views.findings import Finding

NOT_CREATED = "9999-12-31T23:59:59Z"
"""creationTimestamp of an object that is not in the cluster: younger than all existing objects."""
NEWER_THAN_ALL = 2**61
"""resourceVersion above those of any server and below that of objects written by the dry-run client."""
NO_UID = "<uid of "
"""Prefix of the placeholder for a UID that no server has assigned yet."""


@dataclass(slots=True)
class Snapshot:
    """The caches at one point in time, and what is missing in them."""

    caches: Caches
    offline: bool
    """Whether the snapshot is from files only, so that missing objects may exist in the cluster."""
    local_secrets: list[Obj] = field(default_factory=list)
    """Secrets in files that are not in the controller namespace."""
    given: set[Key] = field(default_factory=set)
    """Spaces and Apps in the files; the key of a Space has no namespace."""
    given_secrets: set[Key] = field(default_factory=set)
    """All Secrets in the files."""
    unreadable: set[tuple[Resource, str]] = field(default_factory=set)
    """Kinds and namespaces ("" for all) that could not be read."""
    narrowed: set[Resource] = field(default_factory=set)
    """Kinds that could be read in the requested namespaces only."""
    warnings: list[Finding] = field(default_factory=list)

    def may_read(self, resource: Resource, namespace: str = "") -> bool:
        return (resource, "") not in self.unreadable and (resource, namespace) not in self.unreadable

    @property
    def gaps(self) -> list[Finding]:
        """What could not be read."""
        found = []
        if SPACES in self.narrowed and (SPACES, "") not in self.unreadable:
            text = "you may not list all Spaces: claims of other Spaces are not considered"
            found.append(Finding("", text, "spaces-hidden"))
        if APPS in self.narrowed and (APPS, "") not in self.unreadable:
            text = "you may not list the Apps of all Spaces: egresses to other Spaces are not considered"
            found.append(Finding("", text, "apps-of-others-hidden"))
        by_namespace: dict[str, list[str]] = {}
        for resource, namespace in self.unreadable:
            by_namespace.setdefault(namespace, []).append(resource.plural)
        for namespace, kinds in sorted(by_namespace.items()):
            where = f" in namespace {namespace}" if namespace else " of the cluster"
            text = f"you may not read {_and(sorted(set(kinds)))}{where}: nothing is said of them"
            found.append(Finding("", text, "kinds-hidden"))
        return found

    def forget_children(self) -> None:
        """Keep Spaces, Apps and Secrets only, so that a simulation writes all other objects."""
        for store in self.caches.children.values():
            store.replace_all({}, NEWER_THAN_ALL)
        self.offline = True


def empty_caches(settings: Settings, served: Served) -> Caches:
    """Empty caches. The controller's event handlers keep their indices; the keys that they enqueue go nowhere."""
    caches = Caches(settings, KINDS, served)
    EventHandlers(caches).connect()
    return caches


def not_installed() -> ConfigError:
    """The error of a cluster without decco's CustomResourceDefinitions."""
    return ConfigError(NOT_INSTALLED)


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def placeholder(kind: str, key: Key) -> str:
    """A placeholder for a UID that only a server can assign."""
    return f"{NO_UID}{kind} {key}>"


def has_placeholder(obj: Obj, *, in_controller: bool = False) -> bool:
    """Whether an owner reference, or only that of the controller, has a placeholder instead of a UID."""
    owners = [
        each for each in obj["metadata"].get("ownerReferences") or () if each.get("controller") or not in_controller
    ]
    return any(str(owner.get("uid", "")).startswith(NO_UID) for owner in owners)


# -- from files -------------------------------------------------------------------------------------------------------


def from_documents(documents: Iterable[Document], settings: Settings, namespace: str | None = None) -> Snapshot:
    """The Spaces, Apps and Secrets of the files, as in a cluster right after ``kubectl apply``.

    ``namespace`` is the default for objects without one. Raises ConfigError for an object without a namespace.
    """
    snapshot = Snapshot(empty_caches(settings, ALL_SERVED), offline=True)
    _overlay(snapshot, documents, namespace)
    return snapshot


def _overlay(snapshot: Snapshot, documents: Iterable[Document], namespace: str | None) -> None:
    """Add the objects of files to the caches; one that exists in the cluster keeps its identity."""
    caches = snapshot.caches
    seen: dict[tuple[str, Key], str] = {}
    left_out = 0
    for number, document in enumerate(documents):
        kind = document.kind
        if kind not in {"Space", "App", "Secret"} or (kind == "Secret") != (document.obj["apiVersion"] == "v1"):
            left_out += 1
            continue
        obj = _placed(document, namespace)
        key = key_of(obj)
        before = seen.setdefault((kind, key), document.location)
        if before is not document.location:
            raise ConfigError(f"{document.location}: {kind} {key} is also at {before}: keep one of the two")
        if kind == "Secret":
            _take_secret(snapshot, _with_data(obj, document.location), number)
            continue
        if obj["apiVersion"] != f"{GROUP}/{VERSION}":
            raise ConfigError(f"{document.location}: {kind} {key} is of {obj['apiVersion']}: use {GROUP}/{VERSION}")
        for field_, hint in unknown_fields(obj.get("spec"), _SCHEMAS[kind]):
            text = f"{document.location}: {kind} {key}: {field_}: unknown field{hint}"
            snapshot.warnings.append(Finding("", text, "unknown-field"))
        store = caches.spaces if kind == "Space" else caches.apps
        live = store.get(key)
        store.put(_stamped(obj, number, live.obj() if live is not None else None), own=False)
        snapshot.given.add(key)
    if left_out:
        text = f"{left_out} object{'s' * (left_out > 1)} of other kinds left out"
        snapshot.warnings.append(Finding("", text, "objects-left-out"))


_SCHEMAS = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for crd in crds()
}


def _placed(document: Document, namespace: str | None) -> Obj:
    obj, meta = document.obj, dict(document.obj["metadata"])
    if document.kind == "Space":
        meta.pop("namespace", None)
    elif not meta.get("namespace"):
        if namespace is None:
            what = f"{document.kind} {meta['name']}"
            raise ConfigError(f"{document.location}: {what} has no metadata.namespace: add it, or give one with -n")
        meta["namespace"] = namespace
    return {**obj, "metadata": meta}


def _stamped(obj: Obj, number: int, live: Obj | None = None) -> Obj:
    """With the fields that a server adds. The age of objects without one follows their order in the files."""
    meta = obj["metadata"]
    added: Obj = {
        "uid": placeholder(obj["kind"], key_of(obj)),
        "creationTimestamp": f"{NOT_CREATED}/{number:09d}",
        "generation": 1,
        "resourceVersion": "1",
    }
    if live is not None:
        theirs = live["metadata"]
        named = ("uid", "creationTimestamp", "generation", "finalizers", "deletionTimestamp")
        added |= {name: theirs[name] for name in named if name in theirs}
        added["resourceVersion"] = str(int(theirs["resourceVersion"]) + 1)
        meta = {name: value for name, value in meta.items() if name not in added}
        obj = {**obj, "status": live.get("status") or {}}
    return {**obj, "metadata": {**added, **{name: value for name, value in meta.items() if value is not None}}}


def _with_data(obj: Obj, location: str) -> Obj:
    data = obj.get("data") or {}
    text = obj.get("stringData") or {}
    if not isinstance(data, dict) or not isinstance(text, dict):
        raise ConfigError(f"{location}: Secret {obj['metadata']['name']}: data must be a mapping of names to texts")
    plain = {name: base64.b64encode(str(value).encode()).decode() for name, value in text.items()}
    return {**{name: value for name, value in obj.items() if name != "stringData"}, "data": {**data, **plain}}


def _take_secret(snapshot: Snapshot, obj: Obj, number: int) -> None:
    caches = snapshot.caches
    snapshot.given_secrets.add(key_of(obj))
    if obj["metadata"]["namespace"] != caches.settings.namespace:
        snapshot.local_secrets.append(_stamped(obj, number))
    elif labels_of(obj).get(LABEL_SHARE) == "true":
        live = caches.sources.get(key_of(obj))
        caches.sources.put(_stamped(obj, number, live.obj() if live is not None else None), own=False)


# -- from a cluster ---------------------------------------------------------------------------------------------------


async def from_cluster(
    client: Client,
    settings: Settings,
    namespaces: Collection[str] | None = None,
    documents: Iterable[Document] = (),
    default_namespace: str | None = None,
) -> Snapshot:
    """The state of the cluster: all Spaces and Apps, since claims are cluster-wide, and children in ``namespaces``, or
    in all if it is None.

    What the user may not read is in ``gaps``. Raises KubeError if the API server cannot be reached, and ConfigError if
    it does not serve Spaces and Apps.
    """
    caches = empty_caches(settings, await discover(client, settings.routing))
    snapshot = Snapshot(caches, offline=False)
    reader = _Reader(client, snapshot, sorted(namespaces) if namespaces is not None else None)
    await asyncio.gather(*map(reader.fill, caches.watches(caches.served)))
    _overlay(snapshot, documents, default_namespace)
    return snapshot


@dataclass(slots=True)
class _Reader:
    client: Client
    snapshot: Snapshot
    namespaces: list[str] | None

    async def fill(self, watched: Watched) -> None:
        kind, store, spec = watched
        everywhere = kind.role is Role.OWNER or spec.namespace or not spec.resource.namespaced
        namespaces = [spec.namespace] if everywhere or self.namespaces is None else self.namespaces
        objects = await _all_of(self._list(kind, spec, each) for each in namespaces)
        entries = (read_entry(obj, store.shape) for obj in objects)
        store.replace_all({entry.key: entry for entry in entries}, 0)

    async def _list(self, kind: Kind, spec: WatchSpec, namespace: str) -> list[Obj]:
        """The objects in one namespace or, with "", in the cluster: then Spaces, Apps and kinds without a namespace are
        read for the ``namespaces`` of the snapshot if the user may not list all.
        """
        resource, owner = spec.resource, kind.role is Role.OWNER
        pages = self.client.list_pages(resource, namespace=namespace, labels=spec.labels, fields=spec.fields)
        try:
            return [obj async for page in pages for obj in page.items]
        except (NotFound, NotServed) as error:
            if owner:
                raise not_installed() from error
            return []  # the kind was removed after discovery
        except ApiError as error:
            if resource == GATEWAY_CLASSES:
                return []  # nothing is missed: without them the conditions of every gateway controller count
            forbidden = isinstance(error, Forbidden)
            if not forbidden and kind.is_needed(self.snapshot.caches.settings.routing):
                raise
        if owner and not namespace:
            self.snapshot.narrowed.add(resource)
        if forbidden and not namespace and self.namespaces is not None and (owner or not resource.namespaced):
            if resource.namespaced:
                return await _all_of(self._list(kind, spec, each) for each in self.namespaces)
            return await _all_of(self._one(resource, Key("", each)) for each in self.namespaces)
        self.snapshot.unreadable.add((resource, namespace))
        return []

    async def _one(self, resource: Resource, key: Key) -> list[Obj]:
        try:
            return [await self.client.get(resource, key)]
        except NotFound:
            return []
        except Forbidden:
            self.snapshot.unreadable.add((resource, ""))
            return []


async def _all_of(lists: Iterable[Awaitable[list[Obj]]]) -> list[Obj]:
    return [obj for page in await asyncio.gather(*lists) for obj in page]
