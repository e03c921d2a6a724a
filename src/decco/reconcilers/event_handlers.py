"""Event handlers: map a change in a cache to the keys that need a reconcile.

All dependencies between objects:

* a Space: itself; its Apps; Apps with an egress into it; Spaces whose host names it claims or frees
* an App: itself; its Space (Secrets that it needs); rivals for a name; Apps with an egress to it
* a child: its owner, by its labels if it has lost its owner reference
* a Space's namespace or policy that becomes the Space's own: the Apps that waited for a ready namespace
* a shared Secret: the Spaces that use it, and their Apps
* a copy of a Secret: its Space, and the Apps that use it
* the edge (the shared Gateway, the Service of the settings): every Space; its address: also Apps with DNS records
* a Space that is being deleted: its Apps, and by each of them the Space, until no record is left

decco's own writes enqueue only other objects, never the one that they were made for.

The indices follow the caches all the time. Keys are queued only while this process leads: before and after, the queues
are closed and accept no keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from decco.desired.model import SpaceFacts
from decco.desired.names import SPACE_OBJECT
from decco.desired.ownership import LabelledOwner
from decco.desired.runs import JobView
from decco.desired.secrets import named_by_space
from decco.kube.entry import UNKNOWN, Entry
from decco.kube.informer import Breather
from decco.kube.store import Change, Store
from decco.kube.workqueue import Priority, WorkQueue
from decco.objects import JOBS, LABEL_APP, LABEL_SPACE, NAMESPACES, NETWORK_POLICIES, SECRETS, Key, Resource, labels_of
from decco.reconcilers.caches import Caches
from decco.reconcilers.facts import AppFacts, claims_of_broken

GATEWAY_KIND = "Gateway"

F = TypeVar("F", SpaceFacts, AppFacts)


@dataclass(slots=True)
class EventHandlers:
    """Subscribes the queues to the caches."""

    caches: Caches
    spaces: WorkQueue[Key] = field(default_factory=lambda: _closed_queue())
    apps: WorkQueue[Key] = field(default_factory=lambda: _closed_queue())
    _known_spaces: dict[str, SpaceFacts] = field(default_factory=dict)
    _known_apps: dict[Key, AppFacts] = field(default_factory=dict)
    """The content of the indices."""

    async def feed(self, spaces: WorkQueue[Key], apps: WorkQueue[Key]) -> None:
        """Sends keys into these queues from now on, first those of all cached objects."""
        self.spaces, self.apps = spaces, apps
        await self.everything()

    def connect(self) -> None:
        """Subscribes to the stores that exist from the start."""
        self.caches.spaces.subscribe(self._space)
        self.caches.apps.subscribe(self._app)
        self.caches.sources.subscribe(self._source)
        for resource, store in self.caches.children.items():
            self.connect_child(resource, store)
        for store in self.caches.edges.values():
            self.connect_edge(store)

    def connect_child(self, resource: Resource, store: Store) -> None:
        store.subscribe(self._child)
        if resource in (NAMESPACES, NETWORK_POLICIES):
            store.subscribe(self._ready_namespace)
        if resource == JOBS:
            store.subscribe(self._job)
        if resource == SECRETS:
            store.subscribe(self._copy)
        if resource.kind == GATEWAY_KIND:
            store.subscribe(self._gateway)

    def connect_edge(self, store: Store) -> None:
        store.subscribe(self._edge)

    def records(self, uid: str) -> None:
        """The state of this owner's DNS records has changed."""
        if uid in self.caches.app_keys:
            self.apps.add(self.caches.app_keys[uid])
        elif uid in self.caches.space_keys:
            self.spaces.add(self.caches.space_keys[uid])

    def enqueue_after(self, uid: str, seconds: float) -> None:
        """Enqueues the Space or App with this UID after so many seconds."""
        if uid in self.caches.app_keys:
            self.apps.add_after(self.caches.app_keys[uid], seconds)
        elif uid in self.caches.space_keys:
            self.spaces.add_after(self.caches.space_keys[uid], seconds)

    async def everything(self) -> None:
        """Enqueues all: at the start, or after the rules changed (the cluster serves other kinds)."""
        breather = Breather()
        for store, queue in ((self.caches.spaces, self.spaces), (self.caches.apps, self.apps)):
            for entry in store:
                queue.add(entry.key, Priority.LIST)
                await breather.breathe()
        for store in self.caches.children.values():
            for owner in store.labelled_owners():
                self._enqueue_labelled(owner, Priority.LIST)
                await breather.breathe()

    def _space(self, change: Change) -> None:
        caches, name = self.caches, change.entry.key.name
        old = self._known_spaces.get(name)
        new = _understood(change, old, SpaceFacts)
        if new is None and change.new is not None:
            new = claims_of_broken(change.new.obj())
        if change.old is not None and (change.new is None or change.new.uid != change.old.uid):
            caches.space_keys.pop(change.old.uid, None)
        if change.new is not None:
            caches.space_keys[change.new.uid] = change.new.key
        if not change.own:
            self.spaces.add(change.entry.key, _urgency(change))
        if change.old is not None and change.old.ready == UNKNOWN and new is not None:
            self._enqueue_apps_that_wait(new)
        # A Space that is being deleted keeps its claims until it is gone: its routes may still exist.
        deleting = change.new is not None and change.new.deleting
        if old == new and not deleting:
            return
        for other in self._claim(old, new) if old != new else ():
            if other != name:
                self._enqueue_space(other)
        self._enqueue_apps_of(name)
        for key in caches.index.callers_of_space(name):
            self.apps.add(key)

    def _enqueue_apps_that_wait(self, space: SpaceFacts) -> None:
        """After a Space's first reconcile: if the namespace is ready, the policy's event has enqueued them already."""
        if not self.caches.namespace_is_ready(space):
            self._enqueue_apps_of(space.name)

    def _claim(self, old: SpaceFacts | None, new: SpaceFacts | None) -> frozenset[str]:
        """Registers the Space's new claims; returns the Spaces whose host names may have changed."""
        affected: frozenset[str] = frozenset()
        users = self.caches.secret_users
        if old is not None:
            affected |= self.caches.claims.remove(old.name)
            users.remove(Key("", old.name), named_by_space(old.spec))
            del self._known_spaces[old.name]
        if new is not None:
            affected |= self.caches.claims.add(new)
            users.add(Key("", new.name), named_by_space(new.spec))
            self._known_spaces[new.name] = new
        return affected

    def _enqueue_space(self, name: str) -> None:
        self.spaces.add(Key("", name))
        self._enqueue_apps_of(name)

    def _enqueue_apps_of(self, namespace: str) -> None:
        for entry in self.caches.apps.in_namespace(namespace):
            self.apps.add(entry.key)

    def _app(self, change: Change) -> None:
        caches, key = self.caches, change.entry.key
        old = self._known_apps.get(key)
        new = _understood(change, old, AppFacts)
        if change.old is not None and (change.new is None or change.new.uid != change.old.uid):
            caches.app_keys.pop(change.old.uid, None)
        if change.new is not None:
            caches.app_keys[change.new.uid] = key
        if not change.own:
            self.apps.add(key, _urgency(change))
        space = caches.spaces.get(Key("", key.namespace))
        if space is not None and space.deleting:
            self.spaces.add(space.key)
        if old == new:
            return
        if old is not None:
            caches.index.remove(key, old)
            caches.secret_users.remove(key, old.secrets)
            del self._known_apps[key]
        if new is not None:
            caches.index.add(key, new)
            caches.secret_users.add(key, new.secrets)
            self._known_apps[key] = new
        for facts in (old, new):
            if facts is not None:
                self._enqueue_neighbours(key, facts)
        if _secrets_of(old) != _secrets_of(new):
            self.spaces.add(Key("", key.namespace))

    def _enqueue_neighbours(self, key: Key, facts: AppFacts) -> None:
        """Enqueues Apps that claim a name of this App, and Apps with an egress to one of its endpoints."""
        space = self._known_spaces.get(key.namespace)
        for _, rival, _ in self.caches.index.contests(key, facts, space.fqdn if space is not None else None):
            self.apps.add(rival)
        for endpoint in facts.endpoints:
            for caller in self.caches.index.callers(key.namespace, endpoint.name):
                if caller != key:
                    self.apps.add(caller)

    def _child(self, change: Change) -> None:
        if change.own:
            return
        for entry in (change.old, change.new):
            if entry is None:
                continue
            priority = _urgency_of_child(change)
            if not entry.owner_uid:
                self._enqueue_labelled(entry.labelled_owner, priority)
            elif entry.owner_uid in self.caches.app_keys:
                self.apps.add(self.caches.app_keys[entry.owner_uid], priority)
            elif entry.owner_uid in self.caches.space_keys:
                self.spaces.add(self.caches.space_keys[entry.owner_uid], priority)
            elif change.new is None:
                self._free(entry)

    def _enqueue_labelled(self, owner: LabelledOwner | None, priority: Priority) -> None:
        """Enqueues the owner of a child without owner reference, also if it does not exist: its objects have to be
        reported.
        """
        if owner is None:
            return
        if owner.app:
            self.apps.add(Key(owner.space, owner.app), priority)
        else:
            self.spaces.add(Key("", owner.space), priority)

    def _free(self, gone: Entry) -> None:
        """A child of a deleted Space or App is gone: a claimant may be waiting for the child's name, a new owner of the
        same name or another App that claims the endpoint's name.
        """
        labels = labels_of(gone.obj())
        if LABEL_APP in labels:
            claimant = Key(gone.key.namespace, labels[LABEL_APP])
            self.apps.add(claimant)
            for other, _ in self.caches.index.rivals(claimant, f"name:{gone.key.name}"):
                self.apps.add(other)
        elif LABEL_SPACE in labels:
            self.spaces.add(Key("", labels[LABEL_SPACE]))

    def _ready_namespace(self, change: Change) -> None:
        """Apps wait until namespace and policy exist, belong to the Space, and are as desired. The deletion of one
        needs no reconcile of the Apps: the Space repairs it, and running pods continue.
        """
        old, new = change.old, change.new
        if new is None:
            return
        if old is not None and (old.uid, old.owner_uid) == (new.uid, new.owner_uid):
            repaired = change.own and old.content != new.content
            if not repaired:
                return
        if new.key.namespace and new.key.name != SPACE_OBJECT:
            return
        name = new.key.namespace or new.key.name
        found = self.caches.space(name)
        if found is not None and self.caches.namespace_is_ready(found[1]):
            self._enqueue_apps_of(name)

    def _job(self, change: Change) -> None:
        """Keeps the result of a removed Job: a cleanup may be faster than the reconcile that records it."""
        if change.old is None or (change.new is not None and change.new.uid == change.old.uid):
            return
        facts = change.old.facts
        if isinstance(facts, JobView) and facts.end is not None:
            self.caches.job_ended(change.old.uid, facts.end)

    def _source(self, change: Change) -> None:
        for user in self.caches.secret_users.users(change.entry.key.name):
            if user.namespace:
                self.spaces.add(Key("", user.namespace))
                self.apps.add(user)
            else:
                self._enqueue_space(user.name)

    def _copy(self, change: Change) -> None:
        key = change.entry.key
        if change.old is not None and change.new is not None and change.old.facts == change.new.facts:
            return
        self.spaces.add(Key("", key.namespace))
        users = self.caches.secret_users.users_in(key.namespace, key.name)
        if Key("", key.namespace) in users and self.caches.space(key.namespace) is not None:
            self._enqueue_apps_of(key.namespace)
            return
        for user in users:
            if user.namespace:
                self.apps.add(user)

    def _edge(self, change: Change) -> None:
        for entry in self.caches.spaces:
            self.spaces.add(entry.key, _urgency(change))
        if self._moved(change):
            for entry in self.caches.apps:
                self._enqueue_if_in_dns(entry)

    def _gateway(self, change: Change) -> None:
        if self._moved(change):
            for entry in self.caches.apps.in_namespace(change.entry.key.namespace):
                self._enqueue_if_in_dns(entry)

    def _moved(self, change: Change) -> bool:
        """Whether the records' addresses changed. A Gateway's status also has other changes."""
        if not self.caches.settings.dns.providers:
            return False
        return _addresses(change.old) != _addresses(change.new)

    def _enqueue_if_in_dns(self, entry: Entry) -> None:
        if isinstance(entry.facts, AppFacts) and any(endpoint.dns for endpoint in entry.facts.endpoints):
            self.apps.add(entry.key)


def _closed_queue() -> WorkQueue[Key]:
    queue: WorkQueue[Key] = WorkQueue("nobody", group=str)
    queue.close()
    return queue


def _addresses(entry: Entry | None) -> object:
    """The addresses in the status of a Gateway or Service."""
    status = (entry.obj().get("status") if entry is not None else None) or {}
    return status.get("addresses"), status.get("loadBalancer")


def _urgency(change: Change) -> Priority:
    if change.initial:
        return Priority.LIST
    old, new = change.old, change.new
    if old is None or new is None or old.generation != new.generation or old.deleting != new.deleting:
        return Priority.EDIT
    return Priority.CHANGE


def _urgency_of_child(change: Change) -> Priority:
    """Repairs are urgent. Changes of a child's status can wait, and more of them often arrive meanwhile."""
    old, new = change.old, change.new
    only_status = old is not None and new is not None and (old.content, old.meta) == (new.content, new.meta)
    return (
        Priority.LIST if change.initial or (only_status and new is not None and not new.deleting) else Priority.CHANGE
    )


def _understood(change: Change, known: F | None, kind: type[F]) -> F | None:
    """The facts after this change. An object that can no longer be understood keeps its former ones: its names are in
    use.
    """
    entry = change.new
    if entry is None:
        return None
    if isinstance(entry.facts, kind):
        return entry.facts
    return known if known is not None and known.uid == entry.uid else None


def _secrets_of(facts: AppFacts | None) -> frozenset[str]:
    """The part of an App that its Space depends on: the Secrets to copy."""
    return facts.secrets if facts is not None else frozenset()
