"""What is removed, what is left over, and host names of objects in deletion."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest

from decco.kube.apply import Applier
from decco.kube.entry import Shape, read_entry
from decco.kube.errors import Forbidden, NotFound, NotListed
from decco.kube.repair_backoff import FREE_REPAIRS, DriftConflict
from decco.kube.store import Store
from decco.objects import CONFIGMAPS, SECRETS, Key, Obj, Resource
from tests.unit.kube.test_apply import AT, OWNER, Script, applier_with, desired_object, stored, team_of


async def test_prune_asks_all_although_one_refuses() -> None:
    refused = Forbidden(403, "Forbidden", "no")
    applier, store, script = applier_with(
        None, refused, None, live=tuple(stored(desired_object(n), 1, n) for n in "abcd")
    )
    with pytest.raises(Forbidden):
        await applier.pruner.prune("owner-1", AT, {(CONFIGMAPS, Key("acme", "c"))})
    assert script.asked == [f"delete configmaps/{name} {name}" for name in "abd"]
    assert {entry.key.name: entry.deleting for entry in store} == {"a": True, "b": False, "c": False, "d": True}
    script.answers = [None]
    assert await applier.pruner.prune("owner-1", AT, {(CONFIGMAPS, Key("acme", "c"))}) == 1


async def test_prune_survives_a_kind_that_appears_meanwhile() -> None:
    script, stores = Script(None, None), {CONFIGMAPS: Store(CONFIGMAPS)}
    stores[CONFIGMAPS].put(stored(desired_object()), own=False)
    script.before_answer = lambda: stores.setdefault(SECRETS, Store(SECRETS)) and None
    assert await Applier(script, stores).pruner.prune("owner-1", AT, set()) == 1


async def test_a_copied_owner_reference_in_another_namespace_is_nobodys() -> None:
    elsewhere = stored(
        desired_object("copied"), 1, "copied", namespace="other", deletionTimestamp="2026-01-01T00:00:00Z"
    )
    applier, _, script = applier_with(live=(elsewhere, stored(desired_object("x"), 1, "x", namespace="other")))
    assert await applier.pruner.prune("owner-1", AT, set()) == 0
    assert applier.pruner.left_over("owner-1", "acme", set(), "red") == []
    assert script.asked == []


def orphan(name: str, manager: str = "decco", *, label: str = "red", with_hash: bool = True) -> Obj:
    live = stored(desired_object(name, labels={"team": label}), 1, name, ownerReferences=[])
    live["metadata"]["managedFields"] = [{"manager": manager, "fieldsV1": {}}]
    if not with_hash:
        del live["metadata"]["annotations"]
    return live


async def test_prune_removes_what_lost_its_owner_reference_only_if_it_is_proven() -> None:
    live = (
        orphan("proven"),
        orphan("kept"),
        orphan("other", label="blue"),
        orphan("by-hand", "kubectl"),
        orphan("bare", with_hash=False),
    )
    applier, _, script = applier_with(None, live=live, shape=Shape(labelled_owner=team_of))
    keep = {(CONFIGMAPS, Key("acme", "kept"))}
    assert await applier.pruner.prune("owner-1", AT, keep, "red") == 1
    assert script.asked == ["delete configmaps/proven proven"]
    assert script.owner_reads == [AT]
    left = applier.pruner.left_over("owner-1", "acme", keep, "red")
    assert sorted(entry.key.name for _, entry in left if not entry.deleting) == ["bare", "by-hand"]


@pytest.mark.parametrize(
    "owner",
    [None, {"metadata": {"uid": "owner-2"}}, {"metadata": {"uid": "owner-1", "deletionTimestamp": "2026-01-01"}}],
    ids=["gone", "another", "in deletion"],
)
async def test_prune_keeps_what_somebody_orphaned(owner: Obj | None) -> None:
    """The owner was deleted with --cascade=orphan, and only the watch of its children has shown that."""
    live = (orphan("a"), orphan("b"), stored(desired_object("owned"), 1, "owned"))
    applier, _, script = applier_with(None, live=live, shape=Shape(labelled_owner=team_of))
    script.owner = owner
    assert await applier.pruner.prune("owner-1", AT, set(), "red") == 1
    assert script.asked == ["delete configmaps/owned owned"]
    assert script.owner_reads == [AT]


async def test_prune_tries_again_if_it_cannot_be_known_whether_the_owner_exists() -> None:
    live = (orphan("a"), stored(desired_object("owned"), 1, "owned"))
    applier, _, script = applier_with(None, live=live, shape=Shape(labelled_owner=team_of))

    async def get(resource: Resource, key: Key) -> Obj:
        raise Forbidden(403, "Forbidden", "no")

    script.get = get  # type: ignore[method-assign]
    with pytest.raises(Forbidden):
        await applier.pruner.prune("owner-1", AT, set(), "red")
    assert script.asked == ["delete configmaps/owned owned"]


async def test_what_is_not_wanted_and_held_in_deletion_is_left_over() -> None:
    going = stored(desired_object(), deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x.example.net/keep"])
    applier, _, script = applier_with(live=(going,))
    assert await applier.pruner.prune("owner-1", AT, set()) == 0
    assert [entry.key.name for _, entry in applier.pruner.left_over("owner-1", "acme", set(), "red")] == ["web"]
    assert applier.pruner.left_over("owner-1", "acme", {(CONFIGMAPS, AT)}, "red") == []
    assert script.asked == []


# Host names of objects in deletion


async def test_the_reduced_form_is_written_once_and_repeated_with_pauses() -> None:
    going = stored(desired_object(), deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x.example.net/keep"])
    reduced = {**going, "data": {}}
    answers = [{**reduced, "metadata": {**going["metadata"], "resourceVersion": str(n)}} for n in range(11, 40)]
    applier, store, script = applier_with(*answers, going, live=(going,))

    def reduce(_: Resource, obj: Obj) -> Obj | None:
        return {**obj, "data": {}} if obj["data"] else None

    assert await applier.pruner.withdraw(CONFIGMAPS, store.deleting_in("acme")[0], reduce)
    assert not await applier.pruner.withdraw(CONFIGMAPS, store.deleting_in("acme")[0], reduce)
    entry = read_entry(copy.deepcopy(going), Shape())
    for _ in range(FREE_REPAIRS):
        assert await applier.pruner.withdraw(CONFIGMAPS, entry, reduce), "somebody has written it again"
    script.answers = [going]  # asked who that is
    with pytest.raises(DriftConflict):
        await applier.pruner.withdraw(CONFIGMAPS, entry, reduce)
    assert len(script.bodies) == 1 + FREE_REPAIRS


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_404_for_a_reduced_form_is_a_refusal_if_the_object_is_there(is_there: bool) -> None:
    """As from a webhook: no event follows it, and what the object opens would stay open."""
    going = stored(desired_object(), deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x.example.net/keep"])
    missing = NotFound(404, "NotFound", "no")
    applier, store, script = applier_with(missing, going if is_there else missing, live=(going,))
    with pytest.raises(NotFound) if is_there else nullcontext():
        entry = store.deleting_in("acme")[0]
        assert not await applier.pruner.withdraw(CONFIGMAPS, entry, lambda _, obj: {**obj, "data": {}})
    assert script.asked == ["replace", "get"]


async def test_nothing_is_pruned_of_a_kind_that_is_not_listed() -> None:
    applier, store, script = applier_with(live=(stored(desired_object()),))
    store.unlisted = "the cluster does not serve it"
    assert await applier.pruner.prune(OWNER["uid"], AT, ()) == 0
    with pytest.raises(NotListed):
        await applier.ensure(CONFIGMAPS, desired_object())
    assert script.asked == []
