"""All caches of the controller: which kinds are watched, by which selector, into which store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from decco.desired.claims import ClaimIndex
from decco.desired.model import Served, SpaceFacts
from decco.desired.names import SPACE_OBJECT
from decco.desired.ownership import LabelledOwner
from decco.desired.runs import JobEnd
from decco.kube.entry import Entry, Shape
from decco.kube.store import Store
from decco.kube.watch import WatchSpec
from decco.objects import (
    APPS,
    LABEL_SHARE,
    MANAGED_SELECTOR,
    NAMESPACES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    SPACES,
    Key,
    Resource,
)
from decco.reconcilers.facts import AppFacts, app_facts, shared_secret, space_facts
from decco.reconcilers.index import AppIndex
from decco.reconcilers.secret_users import SecretUsers
from decco.reconcilers.shapes import CHILDREN, optional_children, routing_kinds
from decco.settings import RoutingBackend, Settings

MOST_JOBS = 4096
"""How many Jobs of the past are remembered."""

V = TypeVar("V")


@dataclass(slots=True)
class Caches:
    """Stores and indices. ``children`` grows when the cluster starts to serve another kind."""

    settings: Settings
    served: Served = field(default_factory=Served)
    spaces: Store = field(default_factory=lambda: Store(SPACES, Shape(facts=space_facts, digests=False)))
    apps: Store = field(default_factory=lambda: Store(APPS, Shape(facts=app_facts, digests=False)))
    sources: Store = field(default_factory=lambda: Store(SECRETS, Shape(facts=shared_secret, digests=False)))
    """Secrets of decco's own namespace whose owners consent to share them."""
    edges: dict[Resource, Store] = field(default_factory=dict)
    """The shared Gateway and the edge's Service, where the settings name them."""
    children: dict[Resource, Store] = field(default_factory=dict)
    claims: ClaimIndex = field(default_factory=ClaimIndex)
    index: AppIndex = field(default_factory=AppIndex)
    secret_users: SecretUsers = field(default_factory=SecretUsers)
    ended_jobs: OrderedDict[str, JobEnd] = field(default_factory=OrderedDict)
    """UID -> the end of Jobs that finished and were removed since: the record of their run may not contain it yet."""
    superseded_jobs: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """UIDs of unfinished Jobs that decco deleted for another pod: the record of their run may still be there."""
    space_keys: dict[str, Key] = field(default_factory=dict)
    """UID -> key of a Space: finds the owner of a child."""
    app_keys: dict[str, Key] = field(default_factory=dict)

    def job_ended(self, uid: str, end: JobEnd) -> None:
        _keep(self.ended_jobs, uid, end)

    def job_superseded(self, uid: str) -> None:
        _keep(self.superseded_jobs, uid, None)

    def space(self, name: str) -> tuple[Entry, SpaceFacts] | None:
        """The Space of this name, if it exists, can be understood, and is not being deleted."""
        entry = self.spaces.get(Key("", name))
        if entry is None or entry.deleting or not isinstance(entry.facts, SpaceFacts):
            return None
        return entry, entry.facts

    def namespace_is_ready(self, space: SpaceFacts) -> bool:
        """Whether the Space's namespace is its own and isolated: nothing may run in it before that."""
        namespace = self.children[NAMESPACES].get(Key("", space.name))
        policy = self.children[NETWORK_POLICIES].get(Key(space.name, SPACE_OBJECT))
        return (
            namespace is not None
            and namespace.owner_uid == space.uid
            and not namespace.deleting
            and policy is not None
            and policy.owner_uid == space.uid
        )

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
            for entry in (*store.owned_by(owner_uid), *store.labelled_for(labelled))
        }

    def labelled_for(self, labelled: LabelledOwner) -> list[tuple[Resource, Entry]]:
        """Objects without controller whose labels name this owner."""
        return [
            (resource, entry) for resource, store in self.children.items() for entry in store.labelled_for(labelled)
        ]

    def unreplaced(
        self, owner_uid: str, labelled: LabelledOwner, unwritten: Collection[Resource]
    ) -> set[tuple[Resource, Key]]:
        """The objects that carry an owner's traffic, if one of those kinds could not be written: that one may replace
        them.
        """
        kinds = routing_kinds(self.served)
        return self.owned(owner_uid, labelled, kinds) if not kinds.isdisjoint(unwritten) else set()

    def app_facts_in(self, namespace: str) -> list[tuple[Entry, AppFacts]]:
        """The Apps of a namespace that can be understood."""
        return [
            (entry, entry.facts) for entry in self.apps.in_namespace(namespace) if isinstance(entry.facts, AppFacts)
        ]


def watch_specs(caches: Caches, served: Served) -> Mapping[str, tuple[Store, WatchSpec]]:
    """Makes a store for every kind without one, and returns how each is watched; keys are display names."""
    settings = caches.settings
    specs: dict[str, tuple[Store, WatchSpec]] = {
        "spaces": (caches.spaces, WatchSpec(SPACES)),
        "apps": (caches.apps, WatchSpec(APPS)),
        "secrets(shared)": (
            caches.sources,
            WatchSpec(SECRETS, namespace=settings.namespace, labels=f"{LABEL_SHARE}=true"),
        ),
    }
    for resource, shape in {**CHILDREN, **optional_children(served)}.items():
        store = caches.children.setdefault(resource, Store(resource, shape))
        specs[str(resource)] = (store, WatchSpec(resource, labels=MANAGED_SELECTOR))
    for resource, reference in _edges(settings, served):
        namespace, _, name = reference.partition("/")
        store = caches.edges.setdefault(resource, Store(resource, Shape(digests=False)))
        spec = WatchSpec(resource, namespace=namespace, fields=f"metadata.name={name}")
        specs[f"{resource}(edge)"] = (store, spec)
    return specs


def _edges(settings: Settings, served: Served) -> list[tuple[Resource, str]]:
    found = []
    if settings.routing.backend is RoutingBackend.GATEWAY and settings.routing.parent_gateway and served.gateway:
        found.append((served.gateway, settings.routing.parent_gateway))
    if settings.edge.service:
        found.append((SERVICES, settings.edge.service))
    return found


def _keep(jobs: OrderedDict[str, V], uid: str, value: V) -> None:
    jobs[uid] = value
    if len(jobs) > MOST_JOBS:
        jobs.popitem(last=False)
