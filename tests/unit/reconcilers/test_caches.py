"""What the caches say of a Space's isolation, and of children that lost their owner reference."""

from __future__ import annotations

import pytest

from decco.desired.ownership import LabelledOwner
from decco.kube.entry import TooLargeError
from decco.objects import CONFIGMAPS, HTTP_ROUTES, JOBS, NAMESPACES, NETWORK_POLICIES, SERVICES, Key, Obj
from decco.reconcilers.caches import Caches
from tests.unit.reconcilers.world import VERSIONS, app, facts_of, make_caches, owned, space, stored

ACME = space("acme")
WEB = app("web", "acme", uid="web-uid")
POLICY = owned(NETWORK_POLICIES, "decco", ACME, spec={"podSelector": {}})
OPENED: Obj = {"podSelector": {}, "ingress": [{}]}


def caches(*children: tuple[Obj, bool]) -> Caches:
    """Children that are there, each with whether it is as decco wrote it last."""
    made = make_caches()
    made.spaces.put(ACME, own=False)
    made.children[NAMESPACES].put(owned(NAMESPACES, "acme", ACME), own=False)
    for obj, settled in children:
        store = next(store for kind, store in made.children.items() if kind.kind == obj["kind"])
        entry = store.put({**obj, "metadata": dict(obj["metadata"])}, own=True)
        if settled:
            store.settled[entry.uid] = (entry.content, entry.meta)
    return made


@pytest.mark.parametrize(
    ("policy", "isolated"),
    [
        (None, False),
        ({}, True),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, False),
        ({"spec": OPENED}, False),
        ({"metadata": {"labels": {"theirs": "1"}}}, True),
    ],
)
def test_whether_a_space_is_isolated(policy: Obj | None, isolated: bool) -> None:
    """As decco wrote it and going to stay."""
    made = caches((POLICY, True))
    store = made.children[NETWORK_POLICIES]
    if policy is None:
        store.remove(Key("acme", "decco"), POLICY["metadata"]["uid"], next(VERSIONS))
    else:
        meta = {**POLICY["metadata"], "resourceVersion": str(next(VERSIONS)), **policy.get("metadata", {})}
        store.put({**POLICY, **policy, "metadata": meta}, own=False)
    assert made.is_isolated(facts_of(made, "acme")) is isolated


def test_a_policy_that_was_not_compared_since_the_start_counts() -> None:
    made = caches((POLICY, False))
    assert made.is_isolated(facts_of(made, "acme"))


def test_what_an_owner_has_includes_what_lost_its_owner_reference() -> None:
    mine = owned(SERVICES, "mine", WEB)
    lost = owned(SERVICES, "lost", WEB, meta={"ownerReferences": []})
    labels = {**WEB["metadata"].get("labels", {}), "app.kubernetes.io/managed-by": "decco"}
    foreign = owned(SERVICES, "foreign", WEB, meta={"ownerReferences": [], "labels": labels})
    made = caches((mine, True), (lost, False), (foreign, False))
    found = made.owned("web-uid", LabelledOwner("acme", "web"), [SERVICES])
    assert {key.name for _, key in found} == {"mine", "lost"}
    assert [entry.key.name for _, entry in made.labelled_for(LabelledOwner("acme", "web"))] == ["lost"]


HELD = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x.example.net/keep"]}


def route(**meta: object) -> Obj:
    made = owned(HTTP_ROUTES, "web", WEB)
    return {**made, "metadata": {**made["metadata"], **meta}}


def test_a_route_in_deletion_is_abandoned_when_its_owner_is_gone_or_going() -> None:
    made = caches((route(**HELD), False))
    assert [entry.key.name for _, entry in made.abandoned("acme")] == ["web"], "there is no App"
    made.apps.put(WEB, own=False)
    made.owners["web-uid"] = Key("acme", "web")
    assert made.abandoned("acme") == [], "the App's own reconcile decides"
    meta = {**WEB["metadata"], "resourceVersion": str(next(VERSIONS)), **HELD}
    made.apps.put({**WEB, "metadata": meta}, own=False)
    assert [entry.key.name for _, entry in made.abandoned("acme")] == ["web"], "the App is being deleted as well"


def test_what_nobody_deletes_and_what_is_in_other_namespaces_is_not_abandoned() -> None:
    assert caches((route(), False)).abandoned("acme") == []
    foreign = caches((route(**HELD, namespace="kube-system"), False))
    assert foreign.abandoned("kube-system") == []


# Objects of others, and large ones


def ballast(labels: Obj, owners: list[Obj] | None = None) -> Obj:
    """A ConfigMap of 0.9 MB in a namespace of a tenant."""
    meta = {"labels": {"app.kubernetes.io/managed-by": "decco", **labels}, "ownerReferences": owners or []}
    return stored(CONFIGMAPS, "big", "acme", meta=meta, data={"x": "".join(map(str, range(160_000)))})


@pytest.mark.parametrize(
    "obj",
    [
        ballast({}),
        ballast({"decco.platform9.com/space": "acme"}),
        ballast({"decco.platform9.com/space": "acme", "decco.platform9.com/app": "web"}),
        ballast({"decco.platform9.com/space": "other"}),
        ballast({"decco.platform9.com/space": "acme"}, owned(SERVICES, "x", WEB)["metadata"]["ownerReferences"]),
    ],
)
def test_what_carries_decco_s_label_costs_a_stub(obj: Obj) -> None:
    entry = make_caches().children[CONFIGMAPS].put(obj, own=False)
    assert entry.partial
    assert len(entry.raw) < 1000


def test_a_child_of_an_ordinary_size_is_kept() -> None:
    entry = make_caches().children[CONFIGMAPS].put(owned(CONFIGMAPS, "web-stunnel", WEB, data={"a": "1"}), own=False)
    assert (entry.partial, entry.obj()["data"]) == (False, {"a": "1"})


def test_a_child_that_was_restored_without_its_owner_is_still_found_by_its_labels() -> None:
    made = make_caches()
    entry = made.children[JOBS].put(owned(JOBS, "web", WEB, meta={"ownerReferences": []}, spec={}), own=False)
    assert entry.partial
    assert entry.labelled_owner == LabelledOwner("acme", "web")
    assert entry.content


@pytest.mark.parametrize("large", [False, True])
def test_an_app_that_is_too_large_is_not_parsed(large: bool) -> None:
    made = make_caches()
    pod = {"containers": [{"name": "main", "image": "x", "args": ["x" * (1_320_000 if large else 2**20)]}]}
    entry = made.apps.put(app("web", "acme", {"name": "web"}, pod=pod), own=False)
    assert isinstance(entry.facts, TooLargeError) is large
    if large:
        assert "1280 KiB" in str(entry.facts)
        assert "spec" not in entry.obj()
