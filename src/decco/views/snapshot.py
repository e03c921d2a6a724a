"""The controller's caches, filled once: from files, from the cluster, or from the cluster with files laid over it.

The daemon's caches are followed by watches; these are not followed by anybody, and whoever fills them says what could
not be seen. So a person who may read less than the controller gets less of an answer, and never a wrong one.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from decco.api.crd import crds
from decco.desired.model import Served, SpaceFacts
from decco.errors import ConfigError
from decco.kube.client import Client
from decco.kube.entry import read_entry
from decco.kube.errors import ApiError, Forbidden, NotFound, NotServed
from decco.kube.store import Store
from decco.kube.watch import WatchSpec
from decco.objects import APPS, GATEWAY_GROUP, GROUP, LABEL_SHARE, SPACES, VERSION, Key, Obj, Resource, key_of
from decco.reconcilers.caches import Caches, watch_specs
from decco.reconcilers.discover import TRAEFIK_GROUP, discover, is_needed
from decco.reconcilers.facts import AppFacts
from decco.settings import Settings
from decco.views.documents import Document
from decco.views.unknown_fields import unknown_fields

UNBORN = "9999-12-31T23:59:59Z"
"""creationTimestamp of an object that no server has seen: younger than all that exist."""
NEWER_THAN_ALL = 2**61
"""resourceVersion above those of any server, and below that of what is written on a stage."""
NO_UID = "<uid of "
"""How the UID begins that stands in for one which no server has given yet."""


def _standard(plural: str, kind: str) -> Resource:
    return Resource(GATEWAY_GROUP, "v1", plural, kind)


def _traefik(plural: str, kind: str) -> Resource:
    return Resource(TRAEFIK_GROUP, "v1alpha1", plural, kind)


ALL_SERVED = Served(
    gateway=_standard("gateways", "Gateway"),
    listener_set=_standard("listenersets", "ListenerSet"),
    http_route=_standard("httproutes", "HTTPRoute"),
    tls_route=_standard("tlsroutes", "TLSRoute"),
    backend_tls_policy=_standard("backendtlspolicies", "BackendTLSPolicy"),
    ingress_route_tcp=_traefik("ingressroutetcps", "IngressRouteTCP"),
    middleware=_traefik("middlewares", "Middleware"),
    servers_transport=_traefik("serverstransports", "ServersTransport"),
    tls_option=_traefik("tlsoptions", "TLSOption"),
)
"""What is assumed of a cluster that nobody asked: the Gateway API v1.5, and Traefik 3."""


@dataclass(slots=True)
class Snapshot:
    """Caches at one moment, and what they do not show."""

    caches: Caches
    offline: bool
    """Whether no cluster was asked, so that what is not in the files may still be there."""
    local_secrets: list[Obj] = field(default_factory=list)
    """Secrets of other namespaces than decco's that were given in files."""
    given: set[Key] = field(default_factory=set)
    """Spaces and Apps that the files hold; a Space's key has no namespace."""
    given_secrets: set[Key] = field(default_factory=set)
    """Secrets that the files hold, of use or not."""
    unreadable: set[tuple[Resource, str]] = field(default_factory=set)
    """Kind and namespace ("" for all) of what could not be read."""
    narrowed: set[Resource] = field(default_factory=set)
    """Kinds of which only the namespaces in question could be read."""
    warnings: list[str] = field(default_factory=list)

    def may_read(self, resource: Resource, namespace: str = "") -> bool:
        return (resource, "") not in self.unreadable and (resource, namespace) not in self.unreadable

    @property
    def gaps(self) -> list[str]:
        """What could not be read, one sentence each."""
        found = []
        if SPACES in self.narrowed and (SPACES, "") not in self.unreadable:
            found.append("you may not list all Spaces: what others claim is not looked at")
        if APPS in self.narrowed and (APPS, "") not in self.unreadable:
            found.append("you may not list the Apps of all Spaces: egresses to other Spaces are not looked at")
        by_namespace: dict[str, list[str]] = {}
        for resource, namespace in self.unreadable:
            by_namespace.setdefault(namespace, []).append(resource.plural)
        for namespace, kinds in sorted(by_namespace.items()):
            where = f" in namespace {namespace}" if namespace else " of the cluster"
            found.append(f"you may not read {_and(sorted(set(kinds)))}{where}: nothing is said of them")
        return found

    def forget_children(self) -> None:
        """Leaves Spaces, Apps and Secrets only: what a rehearsal writes then is all that there should be."""
        for store in self.caches.children.values():
            store.swap({}, NEWER_THAN_ALL)
        self.offline = True

    def index(self) -> None:
        """Enters Spaces and Apps into the indices that the daemon keeps by its triggers."""
        caches = self.caches
        for entry in caches.spaces:
            caches.space_keys[entry.uid] = entry.key
            if isinstance(entry.facts, SpaceFacts):
                caches.claims.add(entry.facts)
        for entry in caches.apps:
            caches.app_keys[entry.uid] = entry.key
            if isinstance(entry.facts, AppFacts):
                caches.index.add(entry.key, entry.facts)


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def placeholder(kind: str, key: Key) -> str:
    """Stands in for a UID that only a server can give."""
    return f"{NO_UID}{kind} {key}>"


# -- from files -------------------------------------------------------------------------------------------------------


def from_documents(documents: Iterable[Document], settings: Settings, namespace: str | None = None) -> Snapshot:
    """The Spaces, Apps and Secrets of the files, as a cluster would have them right after ``kubectl apply``.

    ``namespace`` is that of objects that name none. Raises ConfigError for an object that cannot be placed.
    """
    caches = Caches(settings)
    watch_specs(caches, ALL_SERVED)
    caches.served = ALL_SERVED
    snapshot = Snapshot(caches, offline=True)
    _lay_over(snapshot, documents, namespace)
    snapshot.index()
    return snapshot


def _lay_over(snapshot: Snapshot, documents: Iterable[Document], namespace: str | None) -> None:
    """Puts the objects of files into the caches; where the cluster has one of the same name it lends its identity."""
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
        before = seen.setdefault((kind, key), document.place)
        if before is not document.place:
            raise ConfigError(f"{document.place}: {kind} {key} is also at {before}: keep one of the two")
        if kind == "Secret":
            _take_secret(snapshot, _with_data(obj, document.place), number)
            continue
        if document.obj["apiVersion"] != f"{GROUP}/{VERSION}":
            known = f"{GROUP}/{VERSION}"
            raise ConfigError(f"{document.place}: {kind} {key} is of {document.obj['apiVersion']}; decco knows {known}")
        for field_, hint in unknown_fields(obj, _SCHEMAS[kind]):
            snapshot.warnings.append(f"{document.place}: {kind} {key}: {field_}: unknown field{hint}")
        store = caches.spaces if kind == "Space" else caches.apps
        live = store.get(key)
        store.put(_stamped(obj, number, live.obj() if live is not None else None), own=False)
        snapshot.given.add(key)
    if left_out:
        snapshot.warnings.append(f"{left_out} object{'s' * (left_out > 1)} of other kinds left out")


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
            raise ConfigError(f"{document.place}: {what} has no metadata.namespace: add it, or give one with -n")
        meta["namespace"] = namespace
    return {**obj, "metadata": meta}


def _stamped(obj: Obj, number: int, live: Obj | None = None) -> Obj:
    """With what a server adds. Objects that no server has seen are as old as their place in the files says."""
    meta = obj["metadata"]
    added: Obj = {
        "uid": placeholder(obj["kind"], key_of(obj)),
        "creationTimestamp": f"{UNBORN}/{number:09d}",
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


def _with_data(obj: Obj, place: str) -> Obj:
    data = obj.get("data") or {}
    text = obj.get("stringData") or {}
    if not isinstance(data, dict) or not isinstance(text, dict):
        raise ConfigError(f"{place}: Secret {obj['metadata']['name']}: data must be a mapping of names to texts")
    plain = {name: base64.b64encode(str(value).encode()).decode() for name, value in text.items()}
    return {**{name: value for name, value in obj.items() if name != "stringData"}, "data": {**data, **plain}}


def _take_secret(snapshot: Snapshot, obj: Obj, number: int) -> None:
    caches = snapshot.caches
    snapshot.given_secrets.add(key_of(obj))
    if obj["metadata"]["namespace"] != caches.settings.namespace:
        snapshot.local_secrets.append(_stamped(obj, number))
    elif (obj["metadata"].get("labels") or {}).get(LABEL_SHARE) == "true":
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
    """What the cluster holds; children only of ``namespaces`` (None: of all), since names and claims concern all.

    What the user may not read is in ``gaps``. Raises KubeError if the API server cannot be reached, and ConfigError if
    it does not know Spaces and Apps.
    """
    caches = Caches(settings)
    served = await discover(client, settings.routing)
    specs = watch_specs(caches, served)
    caches.served = served
    snapshot = Snapshot(caches, offline=False)
    reader = _Reader(client, snapshot, sorted(namespaces) if namespaces is not None else None)
    await asyncio.gather(*(reader.fill(store, spec) for store, spec in specs.values()))
    _lay_over(snapshot, documents, default_namespace)
    snapshot.index()
    return snapshot


@dataclass(slots=True)
class _Reader:
    client: Client
    snapshot: Snapshot
    namespaces: list[str] | None

    async def fill(self, store: Store, spec: WatchSpec) -> None:
        resource = store.resource
        if resource in (SPACES, APPS):
            objects = await self._everywhere(spec)
        elif spec.namespace or not resource.namespaced or self.namespaces is None:
            objects = await self._list(spec, spec.namespace)
        else:
            pages = await asyncio.gather(*(self._list(spec, each) for each in self.namespaces))
            objects = [obj for page in pages for obj in page]
        entries = {}
        for obj in objects:
            entry = read_entry(obj, store.shape)
            entries[entry.key] = entry
        store.swap(entries, 0)

    async def _everywhere(self, spec: WatchSpec) -> list[Obj]:
        """Spaces and Apps of the whole cluster, or those of the namespaces if the user may not see more."""
        resource = spec.resource
        try:
            return await self._all(spec, "")
        except (NotFound, NotServed) as error:
            raise ConfigError(
                f"the cluster does not know Spaces and Apps ({GROUP}): install them with "
                "`decco crds | kubectl apply --server-side -f -`"
            ) from error
        except Forbidden:
            self.snapshot.narrowed.add(resource)
        if self.namespaces is None:
            self.snapshot.unreadable.add((resource, ""))
            return []
        found: list[Obj] = []
        for namespace in self.namespaces:
            if resource == SPACES:
                found += await self._one(resource, Key("", namespace))
            else:
                found += await self._list(spec, namespace)
        return found

    async def _one(self, resource: Resource, key: Key) -> list[Obj]:
        try:
            return [await self.client.get(resource, key)]
        except NotFound:
            return []
        except Forbidden:
            self.snapshot.unreadable.add((resource, ""))
            return []

    async def _list(self, spec: WatchSpec, namespace: str) -> list[Obj]:
        try:
            return await self._all(spec, namespace)
        except Forbidden:
            if not spec.resource.namespaced and self.namespaces is not None:
                pages = await asyncio.gather(*(self._one(spec.resource, Key("", each)) for each in self.namespaces))
                return [obj for page in pages for obj in page]
            self.snapshot.unreadable.add((spec.resource, namespace))
            return []
        except (NotFound, NotServed):
            return []  # the kind went away since discovery
        except ApiError:
            if is_needed(spec.resource, self.snapshot.caches.settings.routing):
                raise
            self.snapshot.unreadable.add((spec.resource, namespace))
            return []

    async def _all(self, spec: WatchSpec, namespace: str) -> list[Obj]:
        found: list[Obj] = []
        async for page in self.client.list_pages(
            spec.resource, namespace=namespace, labels=spec.labels, fields=spec.fields
        ):
            found += page.items
        return found
