"""How a watched kind is declared (the declarations are in ``kinds.py``), and the caches that are filled from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from decco.desired.claims import GrantIndex
from decco.desired.grants import restored_names
from decco.desired.mesh.meshes import meshes
from decco.desired.model import Served, SpaceFacts
from decco.desired.names import SPACE_OBJECT
from decco.desired.ownership import LabelledOwner
from decco.desired.runs import JobEnd
from decco.frozen import frozen
from decco.kube.bounded_map import BoundedMap
from decco.kube.entry import Entry, Shape
from decco.kube.store import Change, Store
from decco.kube.watch import WatchSpec
from decco.kube.workqueue import Priority
from decco.objects import APPS, CERTIFICATES, NAMESPACES, NETWORK_POLICIES, SECRETS, SPACES, Key, Resource
from decco.reconcilers.index import AppIndex, SecretUsers
from decco.settings import RoutingSettings, Settings


class Request(NamedTuple):
    """A reconcile that an event requires: of a Space if the key has no namespace, else of an App."""

    key: Key
    priority: Priority = Priority.CHANGE


Handler = Callable[["Caches", Change], Iterable[Request]]
"""Maps a change of a store to the reconciles that depend on it, and keeps the indices up to date."""


class Role(StrEnum):
    """What a watched kind is to decco."""

    OWNER = "owner"  # Spaces and Apps
    SHARED = "shared"  # Secrets of the controller namespace whose owners consent to share them
    EDGE = "edge"  # the shared Gateway and the edge's Service, where the settings name them, and classes of Gateways
    CLIENT = "client"  # namespaces of others whose pods may connect to Apps
    CHILD = "child"  # what decco writes


Select = Callable[[Resource, Settings], WatchSpec | None]


@frozen
class Kind:
    """One watched kind: which cluster and settings have it, how it is read and written, what its events enqueue."""

    resource: Resource
    """Of a kind of another project, the version is the one that is assumed without a cluster."""
    role: Role
    shape: Shape
    select: Select
    """Which of its objects are watched; None: none with these settings."""
    handlers: tuple[Handler, ...]
    versions: tuple[str, ...] = ()
    """The versions that decco accepts of a kind of another project, which is found by discovery; () if it is part of
    every Kubernetes."""
    completed: Callable[[Any, Settings], Any] | None = None
    """Completes the facts of an object by the settings."""
    searched: bool = True
    """Whether decco repeats discovery while a kind that the settings need is not served. Otherwise only while an object
    needs it (``Caches.sought``)."""
    needed: Callable[[RoutingSettings], bool] | None = None
    """Whether the settings need the kind; None: decco cannot work without it. A kind that they do not need is followed
    to remove the objects of former settings."""
    is_mesh_policy: bool = False
    """Of an optional kind of children: whether it is a policy of a mesh, and carries no traffic."""
    beside: tuple[Resource, ...] = ()
    """Watched only in clusters that serve one of these kinds; () for all clusters."""

    @property
    def name(self) -> str:
        """As in metrics, messages and /readyz."""
        if self.role is Role.OWNER:
            return self.resource.plural
        return str(self.resource) if self.role is Role.CHILD else f"{self.resource}({self.role})"

    @property
    def optional(self) -> bool:
        """Whether decco can work without the kind: only what depends on it waits."""
        return self.needed is not None

    def is_needed(self, routing: RoutingSettings) -> bool:
        return self.needed is None or self.needed(routing)

    @property
    def watched(self) -> bool:
        """Whether an informer fills the store."""
        return self.shape.watched

    @property
    def verbs(self) -> tuple[str, ...]:
        """What the controller does with the kind where it is watched, beside its status and subresources."""
        if self.role is Role.CHILD:
            written = ("get", "list", "watch", "create", "update")
            return (*written, "delete") if self.resource.namespaced else written  # a namespace goes with its Space
        return ("list", "watch", "patch") if self.role is Role.OWNER else ("list", "watch")  # patch: finalizers

    def shape_for(self, settings: Settings) -> Shape:
        facts, completed = self.shape.facts, self.completed
        if facts is None or completed is None:
            return self.shape
        return replace(self.shape, facts=lambda obj: completed(facts(obj), settings))

    def in_version(self, served: Served) -> Resource | None:
        """The kind as this cluster serves it; None if it does not."""
        if self.beside and served.keys().isdisjoint(self.beside):
            return None
        return served.get(self.resource) if self.versions else self.resource


class Watched(NamedTuple):
    """A store and how it is to be filled."""

    kind: Kind
    store: Store
    spec: WatchSpec


@dataclass(slots=True)
class Caches:
    """Stores and indices. The event handlers keep the indices up to date."""

    settings: Settings
    kinds: Sequence[Kind]
    served: Served = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    """Kind.name -> store; grows when the cluster starts to serve another kind."""
    children: dict[Resource, Store] = field(default_factory=dict)
    edges: dict[Resource, Store] = field(default_factory=dict)
    claims: GrantIndex = field(default_factory=GrantIndex)
    index: AppIndex = field(default_factory=AppIndex)
    secret_users: SecretUsers = field(default_factory=SecretUsers)
    claimants: dict[str, SpaceFacts] = field(default_factory=dict)
    """Name -> what ``claims`` and ``secret_users`` contain of each Space."""
    owners: dict[str, Key] = field(default_factory=dict)
    """UID -> key of each Space and App: finds the owner of a child."""
    ended_jobs: BoundedMap[str, JobEnd] = field(default_factory=BoundedMap)
    """UID -> the end of Jobs that finished and were removed since: the record of their run may not contain it yet."""
    search: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when discovery is due: an answer shows that a kind is not served, or an object needs one that was not."""
    superseded_jobs: dict[str, str] = field(default_factory=dict)
    """App's UID -> UID of its unfinished Job that decco deleted for another pod: its status may record it."""

    def __post_init__(self) -> None:
        self.watches(self.served)

    def watches(self, served: Served) -> list[Watched]:
        """All that is to be watched in this cluster. Makes a store for every kind without one."""
        found = []
        for kind in self.kinds:
            resource = kind.in_version(served)
            spec = kind.select(resource, self.settings) if resource is not None else None
            if spec is None:
                continue
            store = self.stores.setdefault(kind.name, Store(spec.resource, kind.shape_for(self.settings)))
            found.append(Watched(kind, store, spec))
            if kind.role is Role.CHILD:
                self.children[spec.resource] = store
            elif kind.role is Role.EDGE:
                self.edges[spec.resource] = store
        return found

    @property
    def spaces(self) -> Store:
        return self.stores[SPACES.plural]

    @property
    def apps(self) -> Store:
        return self.stores[APPS.plural]

    @property
    def sources(self) -> Store:
        """The shared Secrets of the controller namespace."""
        return self.stores[f"{SECRETS}({Role.SHARED})"]

    @property
    def sought(self) -> frozenset[Resource]:
        """Kinds that an object needs and the cluster does not serve."""
        spaces = self.claimants.values()
        named = {space.spec.mesh.value for space in spaces} & meshes().keys()
        needed = {kind for name in named for kind in meshes()[name].kinds}
        if any(space.issuer is not None for space in spaces):
            needed.add(CERTIFICATES)
        return frozenset(needed - self.served.keys())

    def certificate(self, space: SpaceFacts, name: str) -> Entry | None:
        """The Space's own Certificate of this name."""
        store = self.children.get(CERTIFICATES)
        entry = store.get(Key(space.name, name)) if store is not None else None
        return entry if entry is not None and entry.owner_uid == space.uid and not entry.deleting else None

    def space(self, name: str) -> tuple[Entry, SpaceFacts] | None:
        """The Space of this name, if it exists, can be understood, and is not being deleted."""
        entry = self.spaces.get(Key("", name))
        if entry is None or entry.deleting or not isinstance(entry.facts, SpaceFacts):
            return None
        return entry, entry.facts

    def namespace_is_ready(self, space: SpaceFacts) -> bool:
        """Whether the Space's namespace is its own and isolated: nothing may run in it before that."""
        policy = self.children[NETWORK_POLICIES].get(Key(space.name, SPACE_OBJECT))
        return bool(self.namespace_uid(space)) and policy is not None and policy.owner_uid == space.uid

    def namespace_uid(self, space: SpaceFacts) -> str | None:
        """UID of the namespace if it is the Space's own and is not being deleted."""
        entry = self.children[NAMESPACES].get(Key("", space.name))
        return entry.uid if entry is not None and entry.owner_uid == space.uid and not entry.deleting else None

    def restored_names(self, space: str, names: Iterable[str]) -> frozenset[str]:
        """Those of these names that the Space had before its namespace was restored."""
        entry = self.children[NAMESPACES].get(Key("", space))
        if entry is None or not entry.owner_uid or not entry.facts.restored:
            return frozenset()
        return restored_names(names, self.claims.recorded(space), entry.facts.restored)

    def is_isolated(self, space: SpaceFacts) -> bool:
        """Whether the policy of a Space whose namespace is ready is as decco wrote it and not being deleted. A policy
        that was not compared since the start counts as intact; the Space's own reconcile is about to compare it.
        """
        store = self.children[NETWORK_POLICIES]
        policy = store.get(Key(space.name, SPACE_OBJECT))
        if policy is None or policy.deleting:
            return False
        known = store.settled.get(policy.uid)
        return known is None or known[0] == policy.content

    def owned(
        self, owner_uid: str, labelled: LabelledOwner, resources: Iterable[Resource]
    ) -> set[tuple[Resource, Key]]:
        """The addresses of an owner's children of these kinds, those that lost their owner reference among them."""
        return {
            (resource, entry.key)
            for resource in resources
            if (store := self.children.get(resource)) is not None
            for entry in (*store.owned_by(owner_uid, labelled.space), *store.labelled_for(labelled))
        }

    def labelled_for(self, labelled: LabelledOwner) -> list[tuple[Resource, Entry]]:
        """Objects without controller whose labels name this owner."""
        return [
            (resource, entry) for resource, store in self.children.items() for entry in store.labelled_for(labelled)
        ]

    def abandoned(self, namespace: str) -> list[tuple[Resource, Entry]]:
        """Routes and listeners in the namespace of a Space that are held in deletion, while their owner is gone or is
        being deleted itself: no reconcile of the owner prunes them.
        """
        space = self.children[NAMESPACES].get(Key("", namespace))
        if space is None or not (space.owner_uid or space.labelled_owner):
            return []
        return [
            (resource, entry)
            for resource in self.routing_kinds
            if (store := self.children.get(resource)) is not None
            for entry in store.deleting_in(namespace)
            if not self._has_owner(entry)
        ]

    def _has_owner(self, entry: Entry) -> bool:
        """Whether the Space or App of a child exists and is to stay; its labels name the owner if it lost the owner
        reference.
        """
        if entry.owner_uid:
            key = self.owners.get(entry.owner_uid)
        elif entry.proven and isinstance(entry.labelled_owner, LabelledOwner):
            key = entry.labelled_owner.key
        else:
            return True
        owner = (self.apps if key.namespace else self.spaces).get(key) if key is not None else None
        return owner is not None and not owner.deleting

    @property
    def routing_kinds(self) -> frozenset[Resource]:
        """The kinds that carry traffic from the edge to the Spaces, of all backends."""
        children = (kind for kind in self.kinds if kind.optional and kind.role is Role.CHILD)
        return frozenset(kind.resource for kind in children if not kind.is_mesh_policy)
