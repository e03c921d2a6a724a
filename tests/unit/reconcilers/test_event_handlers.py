"""Event handlers, as a table: an event in a cache, and the Spaces and Apps that are enqueued because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from decco.kube.entry import Entry
from decco.kube.store import Store
from decco.kube.workqueue import Priority, WorkQueue
from decco.objects import (
    ANNOTATION_PAUSED,
    DEPLOYMENTS,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    LABEL_APP,
    LISTENER_SETS,
    NAMESPACES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    Key,
    Obj,
    key_of,
    uid_of,
)
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.facts import app_facts
from decco.reconcilers.index import AppIndex, SecretUsers
from tests.unit.reconcilers.world import VERSIONS, app, make_caches, owned, shared, space, stored, tls_data


class Heard(WorkQueue[Key]):
    """A queue that remembers what was added, and how urgently at most."""

    def __init__(self, name: str) -> None:
        super().__init__(name, group=lambda key: key.namespace)
        self.keys: dict[str, Priority] = {}

    def add(self, key: Key, priority: Priority = Priority.CHANGE) -> None:
        self.keys[str(key)] = min(priority, self.keys.get(str(key), priority))


class Harness:
    """Caches, event handlers and the two queues; ``spaces`` and ``apps`` were enqueued since the last ``quiet``."""

    def __init__(self) -> None:
        self.caches = make_caches(routing={"parentGateway": "edge/shared"}, edge={"service": "edge/lb"})
        self._spaces, self._apps = Heard("space"), Heard("app")
        self.event_handlers = EventHandlers(self.caches, self._spaces, self._apps)
        self.event_handlers.connect()
        self.objects: dict[tuple[str, Key], Obj] = {}

    @property
    def spaces(self) -> set[str]:
        return set(self._spaces.keys)

    @property
    def apps(self) -> set[str]:
        return set(self._apps.keys)

    def urgency(self, key: str) -> Priority:
        return (self._spaces.keys | self._apps.keys)[key]

    def quiet(self) -> None:
        self._spaces.keys.clear()
        self._apps.keys.clear()

    def store(self, obj: Obj) -> Store:
        kinds: dict[str, Store] = {"Space": self.caches.spaces, "App": self.caches.apps}
        if obj["metadata"].get("namespace") == "decco":
            return self.caches.sources
        kinds |= {resource.kind: store for resource, store in self.caches.children.items()}
        if obj["metadata"].get("namespace") == "edge" or obj["kind"] == "GatewayClass":
            kinds |= {resource.kind: store for resource, store in self.caches.edges.items()}
        return kinds[obj["kind"]]

    def put(self, *objs: Obj, own: bool = False) -> None:
        for obj in objs:
            self.objects[obj["kind"], key_of(obj)] = obj
            self.store(obj).put({**obj, "metadata": dict(obj["metadata"])}, own=own)

    def change(self, obj: Obj, *, own: bool = False, meta: Obj | None = None, **parts: Any) -> Obj:
        """The object as it was put last, with other parts; a new spec is a new generation."""
        old = self.objects[obj["kind"], key_of(obj)]
        metadata = {**old["metadata"], "resourceVersion": str(next(VERSIONS)), **(meta or {})}
        if "spec" in parts:
            metadata["generation"] += 1
            parts["spec"] = {**old["spec"], **parts["spec"]}
        new = {**old, "metadata": metadata, **parts}
        self.put(new, own=own)
        return new

    def drop(self, obj: Obj) -> None:
        self.store(obj).remove(key_of(obj), uid_of(obj), next(VERSIONS))


ACME, OTHER = space("acme", httpCertSecretName="http", age=50), space("other", age=40)
WEB = app("web", "acme", {"name": "web", "httpPath": "/"})
DB = app("db", "acme", {"name": "db", "certAndCaSecretName": "tls"}, age=40)
RIVAL = app("rival", "acme", {"name": "x", "hostname": "db.acme.example.net"}, age=20)
CALLER = app("caller", "other", tlsEgresses=[{"localPort": 1, "endpoint": "db", "spaceName": "acme"}])
OBJECTS = (ACME, OTHER, WEB, DB, RIVAL, CALLER)
NAMESPACE = owned(NAMESPACES, "acme", ACME)
POLICY = owned(NETWORK_POLICIES, "decco", ACME, spec={"podSelector": {}})
DEPLOYMENT = owned(DEPLOYMENTS, "web", WEB, spec={"replicas": 1})
SERVICE = owned(SERVICES, "db", DB, spec={"ports": []})
COPY_HTTP = owned(SECRETS, "http", ACME, data=tls_data())
COPY_TLS = owned(SECRETS, "tls", ACME, data=tls_data())
SOURCE_HTTP = stored(SECRETS, "http", "decco", meta=shared("*"), data=tls_data())
SOURCE_TLS = stored(SECRETS, "tls", "decco", meta=shared("acme"), data=tls_data())
EDGE_GATEWAY = stored(GATEWAYS, "shared", "edge", spec={})
GATEWAY_CLASS = stored(GATEWAY_CLASSES, "envoy", "", spec={"controllerName": "envoy.example/controller"})
EDGE_SERVICE = stored(SERVICES, "lb", "edge", spec={})
LISTENERS = owned(LISTENER_SETS, "decco", ACME, spec={})
PROBE_ROUTE = owned(HTTP_ROUTES, "decco.probe", ACME, spec={})
REDIRECT = owned(HTTP_ROUTES, "decco.redirect", ACME, spec={})

OF_ACME = {"acme/web", "acme/db", "acme/rival"}
NOBODY: set[str] = set()


@pytest.fixture
def harness() -> Harness:
    harness = Harness()
    harness.put(*OBJECTS, NAMESPACE, POLICY, DEPLOYMENT, SERVICE, COPY_HTTP, COPY_TLS, SOURCE_HTTP, SOURCE_TLS)
    harness.put(EDGE_GATEWAY, EDGE_SERVICE, GATEWAY_CLASS, LISTENERS, PROBE_ROUTE, REDIRECT)
    harness.quiet()
    return harness


Step = Callable[[Harness], object]
TABLE: dict[str, tuple[Step, set[str], set[str]]] = {
    # -- a Space
    "a Space's spec": (
        lambda s: s.change(ACME, spec={"project": "foo"}),
        {"acme"},
        OF_ACME | {"other/caller"},
    ),
    "a Space's annotation": (lambda s: s.change(ACME, meta={"annotations": {"a": "b"}}), {"acme"}, NOBODY),
    "a Space's pause": (
        lambda s: s.change(ACME, meta={"annotations": {ANNOTATION_PAUSED: "true"}}),
        {"acme"},
        OF_ACME | {"other/caller"},
    ),
    "a Space's status, by others": (lambda s: s.change(ACME, status={"x": 1}), {"acme"}, NOBODY),
    "a Space's deletion begins": (
        lambda s: s.change(ACME, meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        {"acme"},
        OF_ACME | {"other/caller"},
    ),
    "a Space is gone": (lambda s: s.drop(ACME), {"acme"}, OF_ACME | {"other/caller"}),
    "a Space without neighbours comes": (lambda s: s.put(space("third")), {"third"}, NOBODY),
    "a Space comes that claims the younger one's name": (
        lambda s: s.put(space("third", hostnames=["x.other.example.net"], age=59)),
        {"third", "other"},
        {"other/caller"},
    ),
    "a Space comes that claims the older one's name": (
        lambda s: s.put(space("third", hostnames=["x.other.example.net"], age=1)),
        {"third"},
        NOBODY,
    ),
    # -- an App
    "an App's image": (
        lambda s: s.change(WEB, spec={"initialReplicas": 3}),
        NOBODY,
        {"acme/web"},
    ),
    "an App's annotation": (lambda s: s.change(WEB, meta={"annotations": {"a": "b"}}), NOBODY, {"acme/web"}),
    "an App names another Secret": (
        lambda s: s.change(DB, spec={"endpoints": [{"name": "db", "port": 1, "certAndCaSecretName": "new"}]}),
        {"acme"},
        {"acme/db", "acme/rival", "other/caller"},
    ),
    "an App that others call and envy goes": (
        lambda s: s.drop(DB),
        {"acme"},
        {"acme/db", "acme/rival", "other/caller"},
    ),
    "an App comes whose endpoint others have": (
        lambda s: s.put(app("late", "acme", {"name": "web", "httpPath": "/late"})),
        NOBODY,
        {"acme/late", "acme/web"},
    ),
    "an App comes whose path another has": (
        lambda s: s.put(app("late", "acme", {"name": "late", "httpPath": "/"})),
        NOBODY,
        {"acme/late", "acme/web"},
    ),
    "an App is paused": (
        lambda s: s.change(WEB, meta={"annotations": {"decco.platform9.com/paused": "true"}}),
        NOBODY,
        {"acme/web"},
    ),
    # -- children
    "a Deployment altered": (
        lambda s: s.change(DEPLOYMENT, spec={"replicas": 2, "paused": True}),
        NOBODY,
        {"acme/web"},
    ),
    "a Deployment's status": (lambda s: s.change(DEPLOYMENT, status={"replicas": 1}), NOBODY, {"acme/web"}),
    "a Deployment gone": (lambda s: s.drop(DEPLOYMENT), NOBODY, {"acme/web"}),
    "a Deployment without its owner": (
        lambda s: s.change(DEPLOYMENT, meta={"ownerReferences": []}),
        NOBODY,
        {"acme/web"},
    ),
    "a Service altered": (lambda s: s.change(SERVICE, spec={"selector": {"a": "b"}}), NOBODY, {"acme/db"}),
    "an object of an unknown owner": (
        lambda s: s.put(owned(SERVICES, "stray", app("nobody", "acme", uid="unknown"))),
        NOBODY,
        NOBODY,
    ),
    "an App's child without an owner comes": (
        lambda s: s.put(owned(SERVICES, "stray", WEB, meta={"ownerReferences": []})),
        NOBODY,
        {"acme/web"},
    ),
    "a child of an App that is not there comes without an owner": (
        lambda s: s.put(owned(SERVICES, "stray", app("gone", "acme"), meta={"ownerReferences": []})),
        NOBODY,
        {"acme/gone"},
    ),
    "a namespace without its owner": (
        lambda s: s.change(NAMESPACE, meta={"ownerReferences": []}),
        {"acme"},
        NOBODY,
    ),
    # -- the Space's namespace
    "a policy altered": (lambda s: s.change(POLICY, spec={"podSelector": {"a": "b"}}), {"acme"}, NOBODY),
    "a policy in another phase of egress, as the watch reports decco's own write": (
        lambda s: s.change(POLICY, spec={"policyTypes": ["Ingress", "Egress"], "egress": [{}]}),
        {"acme"},
        OF_ACME,
    ),
    "an App's policy limits egress": (
        lambda s: s.put(owned(NETWORK_POLICIES, "app-web", WEB, spec={"policyTypes": ["Egress"]}), own=True),
        {"acme"},
        NOBODY,
    ),
    "an App's policy without egress": (
        lambda s: s.put(owned(NETWORK_POLICIES, "app-web", WEB, spec={"policyTypes": ["Ingress"]}), own=True),
        NOBODY,
        NOBODY,
    ),
    "ports of an App's pods": (
        lambda s: s.change(DB, spec={"tlsEgresses": [{"localPort": 9, "fqdn": "a.b"}]}),
        NOBODY,
        {"acme/db", "acme/rival", "other/caller"},
    ),
    "a policy gone: its Apps have nothing to do": (lambda s: s.drop(POLICY), {"acme"}, NOBODY),
    "a namespace gone: its Apps have nothing to do": (lambda s: s.drop(NAMESPACE), {"acme"}, NOBODY),
    # -- Secrets
    "a copy that the whole Space uses": (
        lambda s: s.change(COPY_HTTP, data=tls_data("new.test")),
        {"acme"},
        OF_ACME,
    ),
    "a copy that one App uses": (lambda s: s.change(COPY_TLS, data=tls_data("new.test")), {"acme"}, {"acme/db"}),
    "a copy's label": (lambda s: s.change(COPY_TLS, meta={"labels": {"a": "b"}}), {"acme"}, NOBODY),
    "a source that a Space names": (lambda s: s.change(SOURCE_HTTP, data=tls_data("new.test")), {"acme"}, OF_ACME),
    "a source that an App names": (lambda s: s.change(SOURCE_TLS, data=tls_data("new.test")), {"acme"}, {"acme/db"}),
    "a source gone": (lambda s: s.drop(SOURCE_TLS), {"acme"}, {"acme/db"}),
    "a source that is not named": (
        lambda s: s.put(stored(SECRETS, "unused", "decco", meta=shared("*"), data=tls_data())),
        NOBODY,
        NOBODY,
    ),
    # -- the edge
    "the shared Gateway": (lambda s: s.change(EDGE_GATEWAY, status={"addresses": []}), {"acme", "other"}, OF_ACME),
    "the shared Gateway's other status": (
        lambda s: s.change(EDGE_GATEWAY, status={"attachedListenerSets": 2}),
        NOBODY,
        NOBODY,
    ),
    "the shared Gateway gone": (lambda s: s.drop(EDGE_GATEWAY), {"acme", "other"}, NOBODY),
    "another class of the shared Gateway": (
        lambda s: s.change(EDGE_GATEWAY, spec={"gatewayClassName": "envoy"}),
        {"acme", "other"},
        OF_ACME | {"other/caller"},
    ),
    "a class's controller": (
        lambda s: s.change(GATEWAY_CLASS, spec={"controllerName": "other.example/controller"}),
        {"acme", "other"},
        OF_ACME | {"other/caller"},
    ),
    "a class's status": (lambda s: s.change(GATEWAY_CLASS, status={"conditions": []}), NOBODY, NOBODY),
    "the edge's Service": (lambda s: s.change(EDGE_SERVICE, status={"loadBalancer": {}}), {"acme", "other"}, OF_ACME),
    "a Space's listeners are served": (
        lambda s: s.change(LISTENERS, status={"conditions": [{"type": "Programmed", "status": "True"}]}),
        {"acme"},
        OF_ACME,
    ),
    "another status of a Space's listeners": (
        lambda s: s.change(LISTENERS, status={"conditions": [{"type": "Accepted", "status": "True"}]}),
        {"acme"},
        NOBODY,
    ),
    "a Space's route that answers probes": (
        lambda s: s.change(PROBE_ROUTE, status={"parents": [{"conditions": []}]}),
        {"acme"},
        OF_ACME,
    ),
    "a Space's redirect": (lambda s: s.change(REDIRECT, status={"parents": [{"conditions": []}]}), {"acme"}, NOBODY),
}


@pytest.mark.parametrize("what", TABLE)
def test_the_owners_that_an_event_enqueues(harness: Harness, what: str) -> None:
    step, spaces, apps = TABLE[what]
    step(harness)
    assert (harness.spaces, harness.apps) == (spaces, apps)


OWN: dict[str, tuple[Step, set[str], set[str]]] = {
    "a Space's status": (lambda s: s.change(OTHER, own=True, status={"conditions": []}), NOBODY, {"other/caller"}),
    "an App's status": (lambda s: s.change(WEB, own=True, status={"conditions": []}), NOBODY, NOBODY),
    "a Deployment": (lambda s: s.change(DEPLOYMENT, own=True, spec={"replicas": 4}), NOBODY, NOBODY),
    "a repaired policy: Apps may wait for it": (
        lambda s: s.change(POLICY, own=True, spec={"podSelector": {"a": "b"}}),
        NOBODY,
        OF_ACME,
    ),
    "a policy's annotation": (lambda s: s.change(POLICY, own=True, meta={"annotations": {"a": "b"}}), NOBODY, NOBODY),
    "a copy of a Secret: its content is news to others": (
        lambda s: s.change(COPY_TLS, own=True, data=tls_data("new.test")),
        {"acme"},
        {"acme/db"},
    ),
}


@pytest.mark.parametrize("what", OWN)
def test_own_writes_enqueue_only_others(harness: Harness, what: str) -> None:
    step, spaces, apps = OWN[what]
    step(harness)
    assert (harness.spaces, harness.apps) == (spaces, apps)


# -- order -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("obj", [NAMESPACE, POLICY], ids=["namespace", "policy"])
def test_apps_wait_for_their_namespace(harness: Harness, obj: Obj, own: bool) -> None:
    """The last of the two that comes enqueues them, be it the Space's own write or the watch that brings it."""
    harness.drop(obj)
    harness.quiet()
    again = {**obj, "metadata": {**obj["metadata"], "uid": "another", "resourceVersion": str(next(VERSIONS))}}
    harness.put(again, own=own)
    assert harness.apps == OF_ACME


@pytest.mark.parametrize("obj", [NAMESPACE, POLICY], ids=["namespace", "policy"])
def test_a_namespace_that_gets_its_owner_back(harness: Harness, obj: Obj) -> None:
    harness.change(obj, meta={"ownerReferences": []})
    assert harness.apps == NOBODY
    harness.quiet()
    harness.change(obj, own=True, meta={"ownerReferences": obj["metadata"]["ownerReferences"]})
    assert harness.apps == OF_ACME


def test_an_incomplete_namespace_enqueues_nothing() -> None:
    harness = Harness()
    harness.put(ACME, WEB, NAMESPACE)
    harness.quiet()
    harness.put(owned(NETWORK_POLICIES, "app-web", WEB))
    harness.put(owned(NETWORK_POLICIES, "decco", OTHER, meta={"namespace": "acme"}))
    assert harness.apps == {"acme/web"}, "its own policy, and that is all"


def test_the_waiting_claimants_of_a_name_are_enqueued_when_it_is_free(harness: Harness) -> None:
    """The App is gone, and so is now the last of its children: another App of that name or with that endpoint waits."""
    late = app("late", "acme", {"name": "db"})
    harness.put(late)
    harness.drop(DB)
    harness.quiet()
    harness.drop(SERVICE)
    assert harness.apps == {"acme/db", "acme/late"}
    assert SERVICE["metadata"]["labels"][LABEL_APP] == "db"


@pytest.mark.parametrize("owner", [ACME, DB], ids=["Space", "App"])
def test_a_copied_owner_reference_in_another_namespace_enqueues_nobody(harness: Harness, owner: Obj) -> None:
    forged = owned(SERVICES, "forged", owner)
    forged["metadata"] |= {"namespace": "other", "labels": {"app.kubernetes.io/managed-by": "decco"}}
    harness.quiet()
    harness.put(forged)
    harness.drop(forged)
    assert (harness.spaces, harness.apps) == (set(), set())


def test_the_waiting_claimant_of_a_space_is_enqueued_when_the_namespace_is_deleted(harness: Harness) -> None:
    harness.drop(ACME)
    harness.put(space("acme", uid="another"))
    harness.quiet()
    harness.drop(NAMESPACE)
    assert harness.spaces == {"acme"}


def test_a_space_that_goes_frees_its_names(harness: Harness) -> None:
    harness.put(space("third", hostnames=["www.other.example.net"], age=1), app("late", "third"))
    harness.quiet()
    harness.drop(OTHER)
    assert harness.spaces == {"other", "third"}
    assert harness.apps == {"other/caller", "third/late"}
    assert harness.caches.claims.claims_of("third").lost == {}


@pytest.mark.parametrize(
    "broken",
    [{"domainName": "no name"}, {"domainName": None}],
)
def test_a_space_that_cannot_be_understood_any_more_keeps_its_names(harness: Harness, broken: Obj) -> None:
    harness.caches.claims.acquire("acme", "2024-01-01T00:00:00Z", 1)
    harness.change(ACME, spec=broken)
    assert harness.spaces == {"acme"}
    assert harness.caches.claims.owner_of("x.acme.example.net") == "acme"


def test_a_space_that_was_never_understood_claims_its_names_all_the_same(harness: Harness) -> None:
    """As after a restart: today's rules refuse the Space, and its host names are in use."""
    rival = space("rival", hostnames=["shop.example.org", "a.old.example.com"], age=5)
    harness.put(rival)
    assert harness.caches.claims.claims_of("rival").lost == {}
    old = space("old", domainName="example.com", hostnames=["Shop.example.org", 7, "*"], project=5, age=55)
    harness.put(old)
    assert "rival" in harness.spaces
    assert harness.caches.claims.claims_of("rival").lost == {"shop.example.org": "old", "a.old.example.com": "old"}
    assert harness.caches.space("old") is None
    harness.quiet()
    harness.change(old, spec={"project": "fine", "hostnames": []})
    assert harness.caches.claims.claims_of("rival").lost == {"a.old.example.com": "old"}
    assert "rival" in harness.spaces
    harness.drop(old)
    assert harness.caches.claims.claims_of("rival").lost == {}


@pytest.mark.parametrize("spec", [None, "text", {}, {"domainName": 5}, {"domainName": "no name"}])
def test_a_space_without_a_readable_name_claims_nothing(harness: Harness, spec: Any) -> None:
    harness.put({**space("odd"), "spec": spec})
    assert harness.spaces == {"odd"}


def test_an_app_that_cannot_be_understood_any_more_keeps_its_names(harness: Harness) -> None:
    harness.change(DB, spec={"endpoints": [{"name": "db", "port": 0}]})
    assert harness.apps == {"acme/db"}
    assert harness.caches.index.endpoint("acme", "db") is not None
    harness.drop(DB)
    assert harness.caches.index.endpoint("acme", "db") is None


def test_the_same_name_with_another_uid_is_another_object(harness: Harness) -> None:
    harness.put(app("web", "acme", {"name": "fresh"}, uid="another"))
    assert harness.caches.owners.get("another") == Key("acme", "web")
    assert uid_of(WEB) not in harness.caches.owners
    assert harness.caches.index.endpoint("acme", "web") is None


def test_after_the_first_reconcile_of_a_space_its_apps_are_enqueued(harness: Harness) -> None:
    """They reported nothing while the Space was not reconciled; if it has no namespace, they must report that now."""
    harness.put(OTHER)
    ready = {"conditions": [{"type": "Ready", "status": "False"}]}
    harness.change(OTHER, own=True, status=ready)
    assert harness.apps == {"other/caller"}
    harness.quiet()
    harness.change(OTHER, own=True, status={**ready, "observedGeneration": 2})
    assert harness.apps == NOBODY


@pytest.mark.parametrize(
    ("step", "key", "wanted"),
    [
        (lambda s: s.change(WEB, spec={"initialReplicas": 3}), "acme/web", Priority.EDIT),
        (lambda s: s.change(WEB, meta={"annotations": {"a": "b"}}), "acme/web", Priority.CHANGE),
        (lambda s: s.change(WEB, meta={"deletionTimestamp": "now"}), "acme/web", Priority.EDIT),
        (lambda s: s.put(app("new", "acme")), "acme/new", Priority.EDIT),
        (lambda s: s.change(DEPLOYMENT, spec={"replicas": 9, "paused": True}), "acme/web", Priority.CHANGE),
        (lambda s: s.drop(DEPLOYMENT), "acme/web", Priority.CHANGE),
        (lambda s: s.change(DEPLOYMENT, status={"replicas": 9}), "acme/web", Priority.LIST),
        (lambda s: s.change(ACME, spec={"project": "x"}), "acme", Priority.EDIT),
        (lambda s: asyncio.run(s.event_handlers.enqueue_all()), "acme/web", Priority.LIST),
    ],
    ids=[
        "edit",
        "annotation",
        "deletion",
        "new",
        "altered child",
        "lost child",
        "child's status",
        "Space",
        "everything",
    ],
)
def test_urgency(harness: Harness, step: Step, key: str, wanted: Priority) -> None:
    step(harness)
    assert harness.urgency(key) is wanted


def test_the_first_list_is_not_urgent(harness: Harness) -> None:
    store = harness.caches.apps
    store.replace_all({Key("acme", "listed"): store.read(app("listed", "acme"))}, next(VERSIONS))
    assert harness.urgency("acme/listed") is Priority.LIST


def test_everything() -> None:
    harness = Harness()
    harness.put(*OBJECTS)
    harness.quiet()
    asyncio.run(harness.event_handlers.enqueue_all())
    assert harness.spaces == {"acme", "other"}
    assert harness.apps == OF_ACME | {"other/caller"}


# Cost


def test_a_secret_enqueues_its_users_and_reads_nothing_else() -> None:
    """The first list of thousands of shared Secrets comes while thousands of Apps are cached, also on a standby."""
    harness = Harness()
    harness.put(ACME, OTHER, WEB, DB)
    harness.put(*(app(f"bystander-{n}", "other", {"name": f"n{n}"}) for n in range(50)))
    harness.quiet()
    read = 0

    class Watched(Store):
        __slots__ = ()

        def __iter__(self) -> Iterator[Entry]:
            nonlocal read
            read += 1
            return super().__iter__()

        def in_namespace(self, namespace: str) -> list[Entry]:
            nonlocal read
            found = super().in_namespace(namespace)
            read += len(found)
            return found

    for store in (harness.caches.spaces, harness.caches.apps):
        store.__class__ = Watched
    harness.put(SOURCE_TLS, *(stored(SECRETS, f"nobodys-{n}", "decco", data=tls_data()) for n in range(20)))
    assert (harness.spaces, harness.apps, read) == ({"acme"}, {"acme/db"}, 0)
    harness.quiet()
    harness.put(COPY_TLS)
    assert (harness.spaces, harness.apps, read) == ({"acme"}, {"acme/db"}, 0)


def test_a_space_reads_only_the_egresses_into_it() -> None:
    index = AppIndex()
    for n in range(300):
        caller = app(f"caller-{n}", f"s{n}", tlsEgresses=[{"localPort": 1, "endpoint": "db", "spaceName": f"t{n}"}])
        index.replace(key_of(caller), app_facts(caller))
    visited = 0

    class Counted(dict[str, Any]):
        def values(self) -> Any:
            nonlocal visited
            visited += len(self)
            return super().values()

        def items(self) -> Any:
            nonlocal visited
            visited += len(self)
            return super().items()

    groups = index._egress.groups
    index._egress.groups = Counted({space: Counted(endpoints) for space, endpoints in groups.items()})  # type: ignore[assignment]
    assert index.callers_of_space("t7") == [Key("s7", "caller-7")]
    assert visited == 1


def test_who_names_no_secret_any_more_leaves_nothing_behind() -> None:
    users = SecretUsers()
    web, acme = Key("acme", "web"), Key("", "acme")
    users.add(web, {"a", "b"})
    users.add(acme, {"a"})
    users.add(web, {"b"})
    assert (users.users("a"), users.users_in("acme", "b"), users.users_in("other", "a")) == ([web, acme], [web], [])
    users.remove(web, {"a", "b", "never"})
    users.remove(acme, {"a"})
    assert users._users.groups == {}


def test_a_child_that_is_held_in_deletion_enqueues_its_space_whoever_owned_it(harness: Harness) -> None:
    """The Space's reconcile takes the host names out of what is abandoned."""
    held = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x.example.net/keep"]}
    harness.drop(DB)
    harness.drop(ACME)
    harness.quiet()
    harness.change(SERVICE, meta=held)
    assert harness.spaces == {"acme"}
    harness.quiet()
    harness.change(WEB, meta=held)
    assert "acme" in harness.spaces, "the App was the owner until now"


def test_the_space_of_an_app_that_is_gone_withdraws_routes_that_are_held(harness: Harness) -> None:
    """Also if the Space is gone already: the namespace's objects end in any order."""
    harness.drop(ACME)
    harness.quiet()
    harness.drop(RIVAL)
    assert "acme" in harness.spaces


def test_nothing_is_remembered_of_an_app_that_is_gone(harness: Harness) -> None:
    harness.caches.superseded_jobs |= {uid_of(WEB): "job-1", uid_of(DB): "job-2"}
    harness.drop(WEB)
    assert harness.caches.superseded_jobs == {uid_of(DB): "job-2"}
