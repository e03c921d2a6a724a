"""Objects that are created again: after somebody deleted them, and because they cannot be changed in place."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from decco.kube.apply import Applier, Result
from decco.kube.entry import Shape
from decco.kube.errors import Invalid, error_of_status
from decco.kube.repair_backoff import FIRST_PAUSE, FREE_REPAIRS, LONGEST_OF_ISOLATION, DriftConflict
from decco.kube.store import Store
from decco.objects import CONFIGMAPS, NETWORK_POLICIES, Obj, Resource
from tests.unit.kube.test_apply import AT, EXISTS, MISSING, OWNER, Script, desired_object, stored, team_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Harness:
    """An Applier whose writes succeed, and somebody who deletes or alters the object."""

    def __init__(self, resource: Resource = CONFIGMAPS, shape: Shape | None = None) -> None:
        self.clock = Clock()
        self.script = Script()
        self.store = Store(resource, shape or Shape())
        self.applier = Applier(self.script, {resource: self.store}, self.clock)
        self.resource = resource
        self.version = 10

    def answer(self, desired: Obj, uid: str = "") -> Obj:
        self.version += 2
        return stored(desired, self.version, uid or f"u{self.version}")

    async def ensure(self, desired: Obj, uid: str = "") -> Result:
        self.script.answers = [self.answer(desired, uid)]
        return (await self.applier.ensure(self.resource, desired)).result

    def delete(self) -> None:
        entry = self.store.get(AT)
        assert entry is not None
        self.version += 2
        self.store.remove(AT, entry.uid, self.version)

    def alter(self) -> str:
        entry = self.store.get(AT)
        assert entry is not None
        self.version += 2
        self.store.put({**entry.obj(), "data": {"a": "x"}, **_version(entry.obj(), self.version)}, own=False)
        return entry.uid

    @property
    def creations(self) -> int:
        return self.script.asked.count("create")


def _version(obj: Obj, version: int) -> Obj:
    return {"metadata": {**obj["metadata"], "resourceVersion": str(version)}}


# -- deleted again and again -------------------------------------------------------------------------------------------


async def test_who_deletes_an_object_again_and_again_is_answered_with_pauses() -> None:
    harness, desired = Harness(), desired_object()
    await harness.ensure(desired)
    for _ in range(FREE_REPAIRS):
        harness.delete()
        assert await harness.ensure(desired) is Result.CREATED
    harness.delete()
    for _ in range(3):
        harness.script.answers = [MISSING]
        with pytest.raises(DriftConflict) as caught:
            await harness.applier.ensure(CONFIGMAPS, desired)
    assert caught.value.deletes
    assert caught.value.seconds == FIRST_PAUSE
    assert harness.creations == 1 + FREE_REPAIRS
    assert harness.script.asked.count("get") == 1, "it is asked once in each pause who that is"
    harness.clock.now += FIRST_PAUSE
    assert await harness.ensure(desired) is Result.CREATED


async def test_each_creation_after_a_deletion_counts_as_a_repair() -> None:
    harness, desired = Harness(), desired_object()
    harness.script.answers = [harness.answer(desired)]
    assert not (await harness.applier.ensure(CONFIGMAPS, desired)).repaired
    harness.delete()
    harness.script.answers = [harness.answer(desired)]
    assert (await harness.applier.ensure(CONFIGMAPS, desired)).repaired


async def test_deletions_and_alterations_share_one_counter() -> None:
    harness, desired = Harness(), desired_object()
    await harness.ensure(desired)
    for number in range(FREE_REPAIRS):
        uid = ""
        if number % 2:
            harness.delete()
        else:
            uid = harness.alter()
        await harness.ensure(desired, uid)
    harness.delete()
    harness.script.answers = [MISSING]
    with pytest.raises(DriftConflict):
        await harness.applier.ensure(CONFIGMAPS, desired)


async def test_an_object_that_loses_its_label_is_answered_with_pauses() -> None:
    """It leaves the cache as if it was deleted; the other writer is named all the same."""
    harness, desired = Harness(), desired_object()
    await harness.ensure(desired)
    for _ in range(FREE_REPAIRS):
        harness.delete()
        live = {**harness.answer(desired), "data": {}}
        harness.script.answers = [EXISTS, live, harness.answer(desired, live["metadata"]["uid"])]
        assert (await harness.applier.ensure(CONFIGMAPS, desired)).result is Result.UPDATED
    harness.delete()
    before = list(harness.script.asked)
    theirs = harness.answer(desired)
    theirs["metadata"]["managedFields"] = [{"manager": "decco"}, {"manager": "mallory"}]
    harness.script.answers = [theirs]
    with pytest.raises(DriftConflict) as caught:
        await harness.applier.ensure(CONFIGMAPS, desired)
    assert (caught.value.managers, caught.value.deletes) == (("mallory",), False)
    assert harness.script.asked == [*before, "get"]


async def test_what_isolates_is_created_again_within_seconds() -> None:
    harness, desired = Harness(NETWORK_POLICIES, Shape(short_repair_backoff=True)), desired_object()
    await harness.ensure(desired)
    for _ in range(FREE_REPAIRS + 20):
        harness.delete()
        harness.clock.now += LONGEST_OF_ISOLATION
        assert await harness.ensure(desired) is Result.CREATED


async def test_another_desired_state_is_no_repair_and_does_not_wait() -> None:
    harness, desired = Harness(), desired_object()
    await harness.ensure(desired)
    for _ in range(FREE_REPAIRS):
        harness.delete()
        await harness.ensure(desired)
    harness.delete()
    claimant = desired_object(ownerReferences=[{**OWNER, "uid": "owner-2"}])
    assert await harness.ensure(claimant) is Result.CREATED


async def test_what_decco_itself_deleted_is_created_at_once() -> None:
    harness, desired = Harness(), desired_object()
    for _ in range(3 * FREE_REPAIRS):
        assert await harness.ensure(desired) is Result.CREATED
        entry = harness.store.get(AT)
        assert entry is not None
        harness.script.answers = [{}]
        await harness.applier.pruner.delete(harness.store, entry)
        harness.delete()


# -- what cannot be changed in place -----------------------------------------------------------------------------------


def invalid(*causes: tuple[str, str]) -> Exception:
    listed = [{"reason": reason, "message": message, "field": "data"} for reason, message in causes]
    return error_of_status({"code": 422, "reason": "Invalid", "message": "no", "details": {"causes": listed}}, 422)


FROZEN = ("FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set")
SCOPES = ("FieldValueInvalid", 'Invalid value: ["NotTerminating"]: field is immutable')
WRONG = ("FieldValueInvalid", 'Invalid value: "x": must be a number')
REPLACING = Shape(recreate=True)


def replacing(*answers: Any, shape: Shape = REPLACING) -> tuple[Applier, Store, Script, Obj]:
    """A live object with other data than desired now, and the answers to the writes."""
    script, store = Script(*answers), Store(CONFIGMAPS, shape)
    store.put(copy.deepcopy(stored(desired_object(data={"a": "old"}))), own=False)
    return Applier(script, {CONFIGMAPS: store}, Clock()), store, script, desired_object(data={"a": "new"})


@pytest.mark.parametrize("causes", [(FROZEN,), (SCOPES,), (FROZEN, SCOPES)])
async def test_an_immutable_object_is_deleted_and_created_again(causes: tuple[tuple[str, str], ...]) -> None:
    desired = desired_object(data={"a": "new"})
    applier, store, script, _ = replacing(invalid(*causes), None, None, stored(desired, 12, "u2"))
    applied = await applier.ensure(CONFIGMAPS, desired)
    assert (applied.result, applied.repaired) == (Result.UPDATED, False)
    assert script.asked == ["replace", "check", "delete configmaps/web u1", "create"]
    entry = store.get(AT)
    assert entry is not None
    assert (entry.uid, entry.deleting) == ("u2", False)
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED


@pytest.mark.parametrize("causes", [(WRONG,), (FROZEN, WRONG), (), (("", "policy x: field is immutable"),)])
async def test_another_refusal_deletes_nothing(causes: tuple[tuple[str, str], ...]) -> None:
    applier, _, script, desired = replacing(invalid(*causes))
    with pytest.raises(Invalid):
        await applier.ensure(CONFIGMAPS, desired)
    assert script.asked == ["replace"]


async def test_what_runs_is_not_deleted_because_it_cannot_be_changed() -> None:
    applier, _, script, desired = replacing(invalid(SCOPES), shape=Shape())
    with pytest.raises(Invalid):
        await applier.ensure(CONFIGMAPS, desired)
    assert script.asked == ["replace"]


async def test_nothing_is_deleted_for_an_object_that_would_be_refused() -> None:
    applier, _, script, desired = replacing(invalid(FROZEN), invalid(WRONG))
    with pytest.raises(Invalid):
        await applier.ensure(CONFIGMAPS, desired)
    assert script.asked == ["replace", "check"]


async def test_an_immutable_object_with_a_finalizer_is_waited_for() -> None:
    applier, store, script, desired = replacing(invalid(FROZEN), None, None, EXISTS)
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.DELETED
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.WAITING
    assert len(script.asked) == 4
    store.remove(AT, "u1", 20)
    script.answers = [stored(desired, 22, "u2")]
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.CREATED


async def test_who_makes_an_object_immutable_again_and_again_is_answered_with_pauses() -> None:
    desired = desired_object(data={"a": "1"})
    store, clock, script = Store(CONFIGMAPS, REPLACING), Clock(), Script(stored(desired, 10, "u10"))
    applier = Applier(script, {CONFIGMAPS: store}, clock)
    await applier.ensure(CONFIGMAPS, desired)
    version = 10
    for _ in range(FREE_REPAIRS):
        frozen = {**stored(desired, version + 1, f"u{version}"), "immutable": True}
        store.put(frozen, own=False)
        version += 2
        script.answers = [invalid(FROZEN), None, None, stored(desired, version, f"u{version}")]
        applied = await applier.ensure(CONFIGMAPS, desired)
        assert (applied.result, applied.repaired) == (Result.UPDATED, True)
    store.put({**stored(desired, version + 1, f"u{version}"), "immutable": True}, own=False)
    script.answers = [stored(desired, version)]
    with pytest.raises(DriftConflict):
        await applier.ensure(CONFIGMAPS, desired)


@pytest.mark.parametrize("remains", [True, False])
async def test_what_somebody_orphaned_is_not_deleted_to_be_replaced(remains: bool) -> None:
    """Its owner was deleted with --cascade=orphan, which only the watch of its children has shown."""
    live = stored(desired_object(data={"a": "old"}, labels={"team": "red"}), ownerReferences=[])
    shape = Shape(replace_if=(("data", "a"),), labelled_owner=team_of)
    script, store = Script(None, None), Store(CONFIGMAPS, shape)
    store.put(live, own=False)
    script.owner = script.owner if remains else None
    applied = await Applier(script, {CONFIGMAPS: store}, Clock()).ensure(
        CONFIGMAPS, desired_object(data={"a": "new"}, labels={"team": "red"})
    )
    assert applied.result is (Result.DELETED if remains else Result.WAITING)
    assert script.asked == ["check", *(["delete configmaps/web u1"] if remains else [])]
