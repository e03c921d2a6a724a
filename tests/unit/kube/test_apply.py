"""The pure half of diff-and-apply as tables, and the races that a real API server shows too rarely.

What the server itself makes of our objects is in tests/integration/test_apply.py; the writer here answers as scripted.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from decco.kube.apply import Applier, Result
from decco.kube.diff import altered, hash_of, rebuild, to_wire
from decco.kube.entry import Entry, Shape
from decco.kube.errors import AlreadyExists, Conflict, NotFound, NotServed, Unreachable
from decco.kube.identity import Foreign
from decco.kube.ownership import EVERYTHING, Path
from decco.kube.repair_backoff import FREE_REPAIRS, DriftConflict
from decco.kube.store import Change, Store
from decco.objects import ANNOTATION_HASH, APPS, CONFIGMAPS, DEPLOYMENTS, Key, Obj, Resource
from tests.sample import thorough

OWNER: Obj = {"apiVersion": "x/v1", "kind": "App", "name": "web", "uid": "owner-1", "controller": True}
AT = Key("acme", "web")


def desired_object(name: str = "web", **parts: Any) -> Obj:
    """A desired object; ``labels`` and ``annotations`` go into its metadata, the rest is content."""
    meta: Obj = {"name": name, "namespace": "acme", "ownerReferences": [OWNER]}
    meta |= {part: parts.pop(part) for part in ("labels", "annotations", "ownerReferences") if part in parts}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **(parts or {"data": {"a": "1"}})}


def stored(desired: Obj, version: int = 10, uid: str = "u1", **meta: Any) -> Obj:
    """What a server would make of a POST of it."""
    live = copy.deepcopy(to_wire(desired))
    managed = [{"manager": "decco", "fieldsV1": {}}]
    live["metadata"] |= {"uid": uid, "resourceVersion": str(version), "managedFields": managed, **meta}
    return live


class Script:
    """A writer: answers each request with the next line of its script, and writes down what it was asked."""

    def __init__(self, *answers: Obj | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.bodies: list[Obj] = []
        self.before_answer: Callable[[], Awaitable[None] | None] = lambda: None
        self.admission: Callable[[Obj], Obj] = lambda obj: obj
        self.previewed = 0
        self.owner: Obj | None = {"metadata": {"uid": OWNER["uid"]}}
        self.owner_reads: list[Key] = []

    async def _answer(self, verb: str) -> Obj:
        self.asked.append(verb)
        await asyncio.sleep(0)
        self.before_answer()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return copy.deepcopy(answer or {})

    async def get(self, resource: Resource, key: Key) -> Obj:
        if resource != APPS:
            return await self._answer("get")
        self.owner_reads.append(key)
        if self.owner is None:
            raise MISSING
        return self.owner

    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        assert strict
        self.bodies.append(obj)
        return await self._answer("create")

    async def check(self, resource: Resource, obj: Obj) -> None:
        self.bodies.append(obj)
        await self._answer("check")

    async def preview(self, resource: Resource, obj: Obj) -> Obj:
        self.previewed += 1
        return self.admission(copy.deepcopy(obj))

    async def replace(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        assert strict
        self.bodies.append(obj)
        return await self._answer("replace")

    async def delete(self, resource: Resource, key: Key, *, uid: str, propagation: str = "Background") -> None:
        await self._answer(f"delete {resource.plural}/{key.name} {uid}")


def team_of(obj: Obj) -> str | None:
    return (obj["metadata"].get("labels") or {}).get("team")


def applier_with(
    *answers: Obj | Exception | None, live: tuple[Obj, ...] = (), shape: Shape | None = None
) -> tuple[Applier, Store, Script]:
    script, store = Script(*answers), Store(CONFIGMAPS, shape or Shape())
    for obj in live:
        store.put(copy.deepcopy(obj), own=False)
    return Applier(script, {CONFIGMAPS: store}), store, script


EXISTS = AlreadyExists(409, "AlreadyExists", "it exists")
MISSING = NotFound(404, "NotFound", "not found")
CONFLICT = Conflict(409, "Conflict", "modified")


# Races


async def test_the_watch_may_deliver_more_than_the_answer() -> None:
    """The answer to our PUT (11) comes after the event of a controller's reaction (12): that costs no second PUT."""
    first, second = desired_object(data={"a": "1"}), desired_object(data={"a": "2"})
    applier, store, script = applier_with(stored(first, 10), stored(second, 11))
    await applier.ensure(CONFIGMAPS, first)
    reaction = stored(second, 12)
    reaction["metadata"]["annotations"]["controller"] = "was here"
    script.before_answer = lambda: store.put(reaction, own=False) and None
    updated = await applier.ensure(CONFIGMAPS, second)
    assert (updated.result, updated.entry) == (Result.UPDATED, store.get(AT))
    assert (await applier.ensure(CONFIGMAPS, second)).result is Result.UNCHANGED
    assert script.asked == ["create", "replace"]


async def test_an_alteration_between_our_write_and_its_answer_is_seen() -> None:
    desired = desired_object(data={"a": "1"})
    applier, store, script = applier_with(stored(desired, 10), stored(desired, 12))
    vandalized = stored(desired, 11)
    vandalized["data"]["a"] = "theirs"
    script.before_answer = lambda: store.put(vandalized, own=False) and None
    await applier.ensure(CONFIGMAPS, desired)
    script.before_answer = lambda: None
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UPDATED
    assert script.asked == ["create", "replace"]


async def test_an_object_that_is_gone_before_the_answer_is_not_remembered() -> None:
    desired = desired_object()
    applier, store, script = applier_with(stored(desired, 10), stored(desired, 12, "u2"))
    script.before_answer = lambda: store.remove(AT, "u1", 11)
    made = await applier.ensure(CONFIGMAPS, desired)
    assert (made.result, made.entry, store.settled) == (Result.CREATED, None, {})
    script.before_answer = lambda: None
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.CREATED


async def test_a_creation_whose_answer_was_lost_costs_no_write() -> None:
    desired = desired_object()
    applier, store, script = applier_with(Unreachable("reset"), EXISTS, stored(desired))
    with pytest.raises(Unreachable):
        await applier.ensure(CONFIGMAPS, desired)
    found = await applier.ensure(CONFIGMAPS, desired)
    assert (found.result, found.entry) == (Result.UNCHANGED, store.get(AT))
    assert found.entry is not None
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    assert script.asked == ["create", "create", "get"]


async def test_an_object_that_comes_and_goes_is_left_to_the_next_reconcile() -> None:
    applier, _, script = applier_with(EXISTS, MISSING)
    waiting = await applier.ensure(CONFIGMAPS, desired_object())
    assert (waiting.result, waiting.entry) == (Result.WAITING, None)
    assert script.asked == ["create", "get"]


async def test_an_object_that_is_gone_when_we_write_is_waited_for() -> None:
    applier, store, script = applier_with(MISSING, MISSING, live=(stored(desired_object()),))
    waiting = await applier.ensure(CONFIGMAPS, desired_object(data={"a": "2"}))
    assert (waiting.result, waiting.entry) == (Result.WAITING, store.get(AT))
    assert waiting.entry is not None
    assert script.asked == ["replace", "get"]


@pytest.mark.parametrize("is_watched", [True, False])
async def test_a_404_for_an_object_that_is_there_is_a_refusal(is_watched: bool) -> None:
    """As from a webhook. No event follows it; and a copy, which is not watched, must not be created again and again."""
    changes: list[Change] = []
    live = stored(desired_object())
    shape = Shape() if is_watched else COPY_SHAPE
    applier, store, script = applier_with(MISSING, live, live=(live,), shape=shape)
    store.subscribe(changes.append)
    with pytest.raises(NotFound):
        await applier.ensure(CONFIGMAPS, desired_object(data={"a": "2"}))
    assert script.asked == ["replace", "get"]
    assert changes == [], "a status that says that it is missing would be written"


@pytest.mark.parametrize("is_watched", [True, False])
async def test_a_404_because_another_object_has_the_name_is_waited_for(is_watched: bool) -> None:
    changes: list[Change] = []
    shape = Shape() if is_watched else COPY_SHAPE
    applier, store, script = applier_with(
        MISSING, stored(desired_object(), 12, "u2"), live=(stored(desired_object()),), shape=shape
    )
    store.subscribe(changes.append)
    assert (await applier.ensure(CONFIGMAPS, desired_object(data={"a": "2"}))).result is Result.WAITING
    assert script.asked == ["replace", "get"]
    assert bool(changes) is not is_watched, "without a watch, this change starts the next reconcile"


async def test_a_conflict_is_the_callers() -> None:
    applier, store, _ = applier_with(CONFLICT, live=(stored(desired_object()),))
    with pytest.raises(Conflict):
        await applier.ensure(CONFIGMAPS, desired_object(data={"a": "2"}))
    assert store.settled == {}


@thorough
async def test_foreign_names_are_forgotten_one_day() -> None:
    applier, _, script = applier_with()
    theirs = {"metadata": {"name": "x", "namespace": "acme", "uid": "t", "resourceVersion": "1"}}
    script.answers = [EXISTS, theirs] * 5000
    for number in range(5000):
        with pytest.raises(Foreign):
            await applier.ensure(CONFIGMAPS, desired_object(f"n{number}"))
    assert len(applier._foreign) <= 4096


async def test_an_owner_reference_on_an_unmarked_object_is_ignored() -> None:
    """Any writer of the object can set the reference; only decco can set what ``marked`` checks."""
    live = stored(desired_object())
    del live["metadata"]["annotations"][ANNOTATION_HASH]
    applier, store, _ = applier_with(live=(live,), shape=Shape(marked=lambda _obj: False))
    assert store.owned_by("owner-1", "acme") == []
    with pytest.raises(Foreign):
        await applier.ensure(CONFIGMAPS, desired_object())


# Stubs


async def test_of_a_stub_the_live_object_is_compared_and_kept() -> None:
    """A large child of decco's own, and one that was restored without its owner reference."""
    desired = desired_object(data={"a": "1"})
    live = stored(desired, labels={"theirs": "1"})
    live["data"]["a"] = "theirs"
    live["metadata"]["managedFields"].append({"manager": "kubectl", "fieldsV1": {"f:data": {"f:a": {}}}})
    applier, _, script = applier_with(live, stored(desired, 11), live=(live,), shape=Shape(most_bytes=10))
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UPDATED
    assert script.asked == ["get", "replace"]
    assert script.bodies[0]["metadata"]["labels"] == {"theirs": "1"}
    assert script.bodies[0]["data"] == {"a": "1"}
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    assert script.asked == ["get", "replace"], "what is settled is not requested"


async def test_a_stub_of_an_object_that_is_gone_is_waited_for() -> None:
    live = stored(desired_object(data={"a": "2"}))
    applier, _, script = applier_with(MISSING, live=(live,), shape=Shape(most_bytes=10))
    assert (await applier.ensure(CONFIGMAPS, desired_object())).result is Result.WAITING
    assert script.asked == ["get"]


async def test_of_a_stub_another_object_may_be_in_its_place() -> None:
    live, again = stored(desired_object(data={"a": "2"})), stored(desired_object(), 11, uid="u2")
    applier, store, script = applier_with(again, live=(live,), shape=Shape(most_bytes=10))
    for _ in range(2):
        assert (await applier.ensure(CONFIGMAPS, desired_object())).result is Result.UNCHANGED
    assert script.asked == ["get"]
    entry = store.get(AT)
    assert entry is not None
    assert (entry.uid, entry.partial) == ("u2", True)


async def test_an_object_that_the_watch_does_not_select_is_requested_once() -> None:
    """It is found by its name, and a stub of it would be all that the store keeps."""
    desired = desired_object()
    live = stored(desired, labels={"theirs": "1"})
    live["data"]["a"] = "theirs"
    applier, _, script = applier_with(EXISTS, live, stored(desired, 11), shape=Shape(kept=lambda _obj: False))
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UPDATED
    assert script.asked == ["create", "get", "replace"]
    assert script.bodies[1]["metadata"]["labels"] == {"theirs": "1"}


# Objects that are being deleted


@pytest.mark.parametrize("kept", [True, False])
async def test_an_object_that_is_held_in_deletion_is_kept_as_desired(kept: bool) -> None:
    desired = desired_object(data={"a": "1"})
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x.example.net/keep"]}
    live = stored(desired, **going)
    live["data"]["a"] = "theirs"
    live["metadata"]["managedFields"].append({"manager": "kubectl", "fieldsV1": {"f:data": {"f:a": {}}}})
    applier, _, script = applier_with(stored(desired, 11, **going), live=(live,), shape=Shape(kept_while_deleting=kept))
    first = await applier.ensure(CONFIGMAPS, desired)
    assert first.result is (Result.UPDATED if kept else Result.WAITING)
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.WAITING
    assert script.asked == (["replace"] if kept else [])
    if kept:
        assert script.bodies[0]["data"] == {"a": "1"}
        assert script.bodies[0]["metadata"]["finalizers"] == ["x.example.net/keep"]


async def test_an_object_whose_deletion_decco_asked_for_is_left_until_the_event_of_it() -> None:
    applier, store, script = applier_with(live=(stored(desired_object(data={"a": "1"})),))
    store.mark_deleting(AT, "u1")
    assert (await applier.ensure(CONFIGMAPS, desired_object(data={"a": "2"}))).result is Result.WAITING
    assert script.asked == []


async def test_a_settled_object_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests are compared, and that is all: an App has ten children, and is reconciled at every event of each."""
    desired = desired_object()
    applier, store, script = applier_with(live=(stored(desired),))
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    changes: list[Change] = []
    store.subscribe(changes.append)
    monkeypatch.delattr(Entry, "obj")
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    assert (changes, script.asked) == ([], [])


async def test_a_repair_differs_from_a_new_desired_state() -> None:
    desired, new = desired_object(data={"a": "1"}), desired_object(data={"a": "2"})
    vandalized = stored(desired, 11)
    vandalized["data"]["a"] = "theirs"
    applier, store, _ = applier_with(stored(desired, 10), stored(desired, 12), stored(new, 13))
    assert not (await applier.ensure(CONFIGMAPS, desired)).repaired
    store.put(vandalized, own=False)
    assert (await applier.ensure(CONFIGMAPS, desired)).repaired
    assert not (await applier.ensure(CONFIGMAPS, desired)).repaired
    changed = await applier.ensure(CONFIGMAPS, new)
    assert (changed.result, changed.repaired) == (Result.UPDATED, False)


# Whose object it is


@pytest.mark.parametrize("settled", [False, True], ids=["after a restart", "in the same process"])
@pytest.mark.parametrize(
    ("owners", "same_hash", "label", "ours"),
    [
        ([OWNER], False, None, True),
        ([OWNER], False, "blue", True),
        ([{**OWNER, "uid": "other"}], True, "red", False),
        ([], True, None, True),
        ([], False, "red", True),
        ([], False, "blue", False),
        ([], False, None, False),
        ([{**OWNER, "controller": False}], True, None, True),
        ([{**OWNER, "uid": "other", "controller": False}], False, None, False),
    ],
)
async def test_whose_object_it_is(
    owners: list[Obj], same_hash: bool, label: str | None, ours: bool, settled: bool
) -> None:
    """By proof in the object alone: what this process remembers of it changes nothing."""
    desired = desired_object(labels={"team": "red"})
    live = stored(desired, ownerReferences=owners, labels={"team": label} if label else {})
    if not same_hash:
        live["metadata"]["annotations"][ANNOTATION_HASH] = "other"
    applier, store, script = applier_with(stored(desired, 11), live=(live,), shape=Shape(labelled_owner=team_of))
    if settled:
        store.settled["u1"] = (b"", b"")
    if ours:
        assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UPDATED
    else:
        with pytest.raises(Foreign):
            await applier.ensure(CONFIGMAPS, desired)
        assert script.asked == []


@pytest.mark.parametrize(
    ("owner", "written"),
    [
        ({"metadata": {"uid": "owner-1"}}, True),
        (
            {"metadata": {"uid": "owner-1", "deletionTimestamp": "2026-11-30T00:00:00Z", "finalizers": ["orphan"]}},
            False,
        ),
        ({"metadata": {"uid": "owner-2"}}, False),
        (None, False),
    ],
)
async def test_an_owner_reference_is_given_back_while_the_owner_exists(owner: Obj | None, written: bool) -> None:
    """With the reference of an owner that is gone, the garbage collector would delete what it was removed to keep."""
    desired = desired_object()
    applier, _, script = applier_with(stored(desired, 11), live=(stored(desired, ownerReferences=[]),))
    script.owner = owner
    applied = await applier.ensure(CONFIGMAPS, desired)
    assert (applied.result, script.asked) == ((Result.UPDATED, ["replace"]) if written else (Result.WAITING, []))
    assert script.owner_reads == [AT]


async def test_the_owner_is_not_read_for_an_object_that_has_its_reference() -> None:
    applier, _, script = applier_with(stored(desired_object(), 11), live=(stored(desired_object(data={"a": "0"})),))
    assert (await applier.ensure(CONFIGMAPS, desired_object())).result is Result.UPDATED
    assert script.owner_reads == []


async def test_a_desired_object_without_a_controller_is_a_defect() -> None:
    applier, _, _ = applier_with(live=(stored(desired_object()),))
    with pytest.raises(AssertionError, match="has no controller"):
        await applier.ensure(CONFIGMAPS, desired_object(ownerReferences=[]))


# Hash and wire


def test_the_hash_is_of_what_is_wanted_and_for_whom() -> None:
    base = desired_object(labels={"a": "1"}, annotations={"n": "1"})
    other_owner = desired_object(
        labels={"a": "1"}, annotations={"n": "1"}, ownerReferences=[{**OWNER, "uid": "owner-2"}]
    )
    second_owner = desired_object(labels={"a": "1"}, annotations={"n": "1"}, ownerReferences=[OWNER, {"uid": "n"}])
    variants = [
        desired_object(labels={"a": "2"}, annotations={"n": "1"}),
        desired_object(labels={"a": "1", "b": None}, annotations={"n": "1"}),
        desired_object(labels={"a": "1"}, annotations={"n": "2"}),
        desired_object(labels={"a": "1"}, annotations={"n": "1"}, data={"a": "2"}),
        desired_object(labels={"a": "1"}, annotations={"n": "1"}, data={"a": "1"}, immutable=True),
        other_owner,
    ]
    hashes = {hash_of(variant) for variant in [base, *variants]}
    assert len(hashes) == 7
    assert hash_of(second_owner) == hash_of(base), "the references themselves are compared one by one"
    assert hash_of(dict(reversed(base.items()))) == hash_of(base)


def test_to_wire_leaves_out_what_must_be_absent() -> None:
    desired = desired_object(labels={"a": "1", "b": None}, annotations={"n": None})
    before = copy.deepcopy(desired)
    sent = to_wire(desired)
    assert sent["metadata"]["labels"] == {"a": "1"}
    assert sent["metadata"]["annotations"] == {ANNOTATION_HASH: hash_of(desired)}
    assert desired == before


# What a PUT says

REPLICAS: Path = ("spec", "replicas")
POD_NOTES: Path = ("spec", "template", "metadata", "annotations")
SCALED = Shape(unmanaged=(REPLICAS, POD_NOTES), unmanaged_while=((REPLICAS, "initial"),))


def put(live: Obj, desired: Obj, shape: Shape = SCALED) -> Obj:
    before = copy.deepcopy((live, desired))
    body = rebuild(live, desired, shape)
    assert (live, desired) == before, "neither is changed"
    return body


def test_a_put_keeps_what_is_others() -> None:
    desired = desired_object(labels={"ours": "2", "gone": None}, annotations={"note": "2", "gone": None})
    live = stored(
        desired_object(labels={"ours": "1"}, annotations={"note": "1"}, data={"a": "0", "theirs": "1"}),
        labels={"ours": "1", "gone": "1", "theirs": "1"},
        annotations={"note": "1", "gone": "1", "theirs": "1"},
        finalizers=["theirs"],
        creationTimestamp="2026-01-01T00:00:00Z",
        generation=4,
    )
    live["status"] = {"x": 1}
    body = put(live, desired)
    assert body == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "web",
            "namespace": "acme",
            # With the UID, a PUT of a Service that is gone is refused instead of creating it again.
            "uid": "u1",
            "resourceVersion": "10",
            "finalizers": ["theirs"],
            "labels": {"ours": "2", "theirs": "1"},
            "annotations": {"note": "2", "theirs": "1", ANNOTATION_HASH: hash_of(desired)},
            "ownerReferences": [OWNER],
        },
        "data": {"a": "1"},
    }


OWNERS: list[tuple[str, list[Obj], list[Obj]]] = [
    ("none", [], [OWNER]),
    ("ours", [OWNER], [OWNER]),
    ("ours, changed", [{**OWNER, "controller": False, "name": "x"}], [OWNER]),
    ("another", [{"uid": "x"}], [{"uid": "x"}, OWNER]),
    ("two", [OWNER, {"uid": "x", "controller": False}], [{"uid": "x", "controller": False}, OWNER]),
]


@pytest.mark.parametrize(("live", "expected"), [row[1:] for row in OWNERS], ids=[row[0] for row in OWNERS])
def test_a_put_names_our_owner_beside_others(live: list[Obj], expected: list[Obj]) -> None:
    body = put(stored(desired_object(), ownerReferences=live), desired_object())
    assert body["metadata"]["ownerReferences"] == expected


def scaled(replicas: int, initial: str | None, *, image: str = "a", notes: Obj | None = None) -> Obj:
    template: Obj = {"spec": {"image": image}}
    if notes is not None:
        template["metadata"] = {"annotations": notes}
    spec = {"replicas": replicas, "template": template}
    return desired_object(annotations={} if initial is None else {"initial": initial}, spec=spec)


UNMANAGED = {
    # name: live as decco made it, what others did to it, the new desired state, replicas in the PUT
    "an HPA scaled it": (scaled(1, "1"), {"replicas": 7}, {}, scaled(1, "1", image="b"), 7),
    "decco wants another initial number": (scaled(1, "1"), {"replicas": 7}, {}, scaled(3, "3"), 3),
    "somebody changed the annotation": (scaled(1, "1"), {"replicas": 7}, {"initial": "9"}, scaled(1, "1"), 7),
    "an older decco wrote no annotation": (scaled(1, None), {"replicas": 7}, {}, scaled(1, "1"), 7),
    "it has no replicas": (scaled(1, "1"), {"replicas": None}, {}, scaled(1, "1", image="b"), 1),
    "scaled to zero": (scaled(1, "1"), {"replicas": 0}, {}, scaled(1, "1", image="b"), 0),
}


@pytest.mark.parametrize("name", UNMANAGED)
def test_a_put_keeps_unmanaged_fields_until_decco_changes_them(name: str) -> None:
    made, spec, annotations, desired, replicas = UNMANAGED[name]
    live = stored(made)
    live["spec"] = {key: value for key, value in {**live["spec"], **spec}.items() if value is not None}
    live["metadata"]["annotations"] |= annotations
    assert put(live, desired)["spec"]["replicas"] == replicas


NOTES = [
    # live, wanted -> in the PUT
    ({"theirs": "1"}, None, {"theirs": "1"}),
    ({"theirs": "1", "ours": "0"}, {"ours": "1"}, {"theirs": "1", "ours": "1"}),
    (None, {"ours": "1"}, {"ours": "1"}),
]


@pytest.mark.parametrize(("live", "wanted", "expected"), NOTES)
def test_a_yielded_map_holds_both(live: Obj | None, wanted: Obj | None, expected: Obj) -> None:
    body = put(stored(scaled(1, "1", notes=live)), scaled(1, "1", notes=wanted))
    assert body["spec"]["template"]["metadata"]["annotations"] == expected


def test_of_a_kind_with_few_mutable_fields_the_rest_stays() -> None:
    shape = Shape(mutable=(("spec", "parallelism"), ("spec", "suspend"), ("spec", "backoffLimit")))
    live = stored(
        desired_object(spec={"parallelism": 1, "suspend": True, "selector": {"s": 1}, "template": {"old": 1}})
    )
    body = put(live, desired_object(spec={"parallelism": 2, "backoffLimit": 3, "template": {"new": 1}}), shape)
    assert body["spec"] == {"parallelism": 2, "backoffLimit": 3, "selector": {"s": 1}, "template": {"old": 1}}


def test_a_mutable_field_that_admission_may_set_stays_unless_decco_wants_it_or_repairs() -> None:
    """A Job's TTL: the cluster's admission sets it, and the write that resumes the Job keeps it."""
    ttl = ("spec", "ttl")
    shape = Shape(mutable=(("spec", "suspend"), ttl), admitted=(ttl,))
    live = stored(desired_object(spec={"suspend": True, "ttl": 5}))
    assert put(live, desired_object(spec={}), shape)["spec"] == {"ttl": 5}
    assert put(live, desired_object(spec={"ttl": 7}), shape)["spec"] == {"ttl": 7}
    wanted = desired_object(spec={"suspend": True})
    altered = stored(wanted)
    altered["spec"]["ttl"] = 5
    assert put(altered, wanted, shape)["spec"] == {"suspend": True}


# Was it altered? Seen from the live object alone, as after a restart


def pod(**fields: Any) -> Obj:
    return {"kind": "Deployment", "spec": {"containers": [{"name": "main", **fields}]}}


def main(*path: Any) -> Path:
    return ("spec", "containers", frozenset({("name", "main")}), *path)


ALTERED: dict[str, tuple[Obj, Obj, tuple[Path, ...], bool]] = {
    # live, desired, paths of others -> altered
    "the same": (pod(image="a"), pod(image="a"), (), False),
    "defaults added": (pod(image="a", imagePullPolicy="Always"), pod(image="a"), (), False),
    "a value written otherwise": (pod(limits={"cpu": "500m"}), pod(limits={"cpu": 0.5}), (), False),
    "a quantity of the same form": (pod(limits={"memory": "1Gi"}), pod(limits={"memory": "1024Mi"}), (), False),
    "another quantity": (pod(limits={"cpu": "500m"}), pod(limits={"cpu": "5"}), (), True),
    "no quantity": (pod(env=[{"name": "A", "value": "1"}]), pod(env=[{"name": "A", "value": "1000m"}]), (), True),
    "another value under decco's name": (pod(image="b"), pod(image="a"), (), True),
    "another field under decco's name": (pod(image="a", tty=True), pod(image="a"), (), True),
    "another key under decco's name": ({"data": {"a": "1", "b": "2"}}, {"data": {"a": "1"}}, (), True),
    "a key named as a default": ({"data": {"protocol": "TCP"}}, {"data": {}}, (), True),
    "another peer": (
        {"from": [{"podSelector": {}, "namespaceSelector": {}}]},
        {"from": [{"podSelector": {}}]},
        (),
        True,
    ),
    "a default that is not the server's": (pod(imagePullPolicy="Never"), pod(), (), True),
    "an init container that stays": (
        {"initContainers": [{"restartPolicy": "Always"}]},
        {"initContainers": [{}]},
        (),
        True,
    ),
    "a default for an empty text": (pod(imagePullPolicy="Always"), pod(imagePullPolicy=""), (), False),
    "a default for nothing": (pod(resources={}), pod(resources=None), (), False),
    "no default for an empty text": (pod(workingDir="/x"), pod(workingDir=""), (), True),
    "a target port": ({"ports": [{"port": 80, "targetPort": 80}]}, {"ports": [{"port": 80}]}, (), False),
    "another target port": ({"ports": [{"port": 80, "targetPort": 81}]}, {"ports": [{"port": 80}]}, (), True),
    "defaults of limits": (
        {"limits": [{"default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}]},
        {"limits": [{"default": {"cpu": "1000m"}}]},
        (),
        False,
    ),
    "other defaults of limits": (
        {"limits": [{"default": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}}]},
        {"limits": [{"default": {"cpu": "1"}}]},
        (),
        True,
    ),
    "another service account": (
        {"spec": {"serviceAccountName": "a", "serviceAccount": "b"}},
        {"spec": {"serviceAccountName": "a"}},
        (),
        True,
    ),
    "a value of others": (pod(image="b"), pod(image="a"), (main("image"),), True),
    "others' value is what we want": (pod(image="a"), pod(image="a"), (main("image"),), False),
    "others added a field": (pod(image="a", tty=True), pod(image="a"), (main("tty"),), True),
    "others' field is gone again": (pod(image="a"), pod(image="a"), (main("tty"),), False),
    "others' empty list": (pod(), pod(args=[]), (main("args"),), False),
    "its writer is unknown": (pod(image="a", tty=True), pod(image="a"), EVERYTHING, True),
    "a field gone": (pod(), pod(image="a"), (), True),
    "a map gone": ({"spec": {}}, {"spec": {"a": {"b": 1}}}, (), True),
    "a list gone": (pod(), pod(env=[{"name": "A"}]), (), True),
    "a list longer": (pod(args=["a", "b"]), pod(args=["a"]), (), True),
    "a list shorter": (pod(args=["a"]), pod(args=["a", "b"]), (), True),
    "a list in another order": (
        pod(env=[{"name": "B"}, {"name": "A"}]),
        pod(env=[{"name": "A"}, {"name": "B"}]),
        (),
        True,
    ),
    "a map where a text was": (pod(x={}), pod(x="a"), (), True),
    "a text where a map was": (pod(x="a"), pod(x={"b": 1}), (), True),
    "a text where a list was": (pod(x="a"), pod(x=["b"]), (), True),
    "false left out": (pod(), pod(stdin=False), (), False),
    "false removed": (pod(), pod(privileged=False), (), True),
    "zero left out": (pod(), pod(hostPort=0), (), False),
    "zero removed": (pod(), pod(runAsUser=0), (), True),
    "empty text left out": (pod(), pod(workingDir=""), (), False),
    "empty list and map left out": (pod(), pod(args=[], nodeSelector={}), (), False),
    "null left out": (pod(), pod(command=None), (), False),
    "an empty value of the user's own key": ({"data": {"b": "1"}}, {"data": {"a": "", "b": "1"}}, (), True),
    "a yielded field": ({"spec": {"yielded": 1}}, {"spec": {"yielded": 2}}, (("spec", "yielded"),), False),
    "a yielded field gone": ({"spec": {}}, {"spec": {"yielded": 2}}, (), False),
    "metadata and status": ({"metadata": {}, "status": {}}, {"metadata": {"x": 1}, "status": {"x": 1}}, (), False),
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered(name: str) -> None:
    live, desired, foreign, expected = ALTERED[name]
    assert altered(live, desired, foreign, Shape(unmanaged=(("spec", "yielded"),))) is expected


def test_of_a_kind_with_few_mutable_fields_only_those_count() -> None:
    shape = Shape(mutable=(("spec", "parallelism"),))
    live, desired = {"spec": {"parallelism": 1, "template": {}}}, {"spec": {"parallelism": 1, "template": {"a": 1}}}
    assert not altered(live, desired, (("spec", "template", "b"),), shape)
    assert altered({"spec": {}}, desired, (), shape)
    assert altered({"spec": {"parallelism": 2}}, desired, (("spec", "parallelism"),), shape)
    none_of_them = {"spec": {"template": {"a": 1}}}
    assert not altered(live, none_of_them, (), shape), "the default of the server"
    assert altered({"spec": {"parallelism": 2}}, none_of_them, (), shape)


def test_foreign_says_which_object() -> None:
    assert str(Foreign(DEPLOYMENTS, AT)) == "Deployment acme/web exists and was not made by decco for this owner"


# RepairBackoff


async def test_who_alters_an_object_again_and_again_is_named_and_not_answered_at_once() -> None:
    desired = desired_object(data={"a": "1"})
    live = stored(desired, 100, managedFields=[{"manager": m} for m in ("decco", "mallory")])
    repairs = [stored(desired, 11 + 2 * number) for number in range(FREE_REPAIRS)]
    applier, store, script = applier_with(stored(desired, 8), *repairs, live)

    def alter(version: int) -> None:
        store.put({**stored(desired, version), "data": {"a": "by mallory"}}, own=False)

    await applier.ensure(CONFIGMAPS, desired)
    for number in range(FREE_REPAIRS):
        alter(10 + 2 * number)
        assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UPDATED
    for version in (98, 99):
        alter(version)
        with pytest.raises(DriftConflict) as caught:
            await applier.ensure(CONFIGMAPS, desired)
    assert caught.value.managers == ("mallory",)
    assert 0 < caught.value.seconds <= 2
    assert script.asked == ["create", *["replace"] * FREE_REPAIRS, "get"], "it is asked once who that is"


async def test_an_edit_of_the_owner_is_no_repair() -> None:
    desired_objects = [desired_object(data={"a": str(number)}) for number in range(2 * FREE_REPAIRS)]
    applier, _, _ = applier_with(*[stored(each, 10 + number) for number, each in enumerate(desired_objects)])
    for each in desired_objects:
        assert (await applier.ensure(CONFIGMAPS, each)).result is not Result.UNCHANGED


# Kinds that are not served, or in another version


NOT_SERVED = NotServed(404, "", "404 page not found")


async def test_a_write_is_in_the_version_that_the_store_follows() -> None:
    desired = desired_object(data={"a": "1"})
    applier, store, script = applier_with(stored(desired, 10), stored(desired, 11))
    store.set_api_version(dataclasses.replace(CONFIGMAPS, version="v2"))
    made = await applier.ensure(CONFIGMAPS, desired)
    assert (made.result, script.bodies[0]["apiVersion"]) == (Result.CREATED, "v2")
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    await applier.ensure(CONFIGMAPS, desired_object(data={"a": "2"}))
    assert script.bodies[1]["apiVersion"] == "v2"


async def test_a_kind_that_is_not_served_does_not_mean_that_the_object_is_deleted() -> None:
    desired = desired_object(data={"a": "1"})
    applier, store, _ = applier_with(NOT_SERVED, NOT_SERVED, live=(stored(desired),))
    with pytest.raises(NotServed):
        await applier.ensure(CONFIGMAPS, desired_object(data={"a": "2"}))
    with pytest.raises(NotServed):
        await applier.pruner.prune(OWNER["uid"], AT, ())
    entry = store.get(AT)
    assert entry is not None
    assert not entry.deleting


# Without a watch: copies of Secrets, whose content the store drops

COPY_SHAPE = Shape(watched=False, recreate=True)


def dropped(desired: Obj, *answers: Obj | Exception | None) -> tuple[Applier, Store, Script]:
    applier, store, script = applier_with(*answers, live=(stored(desired),), shape=COPY_SHAPE)
    store.strip("acme")
    entry = store.get(AT)
    assert entry is not None
    assert "data" not in entry.obj()
    return applier, store, script


async def test_a_settled_copy_needs_neither_its_content_nor_a_request() -> None:
    desired = desired_object()
    applier, store, script = applier_with(stored(desired), shape=COPY_SHAPE)
    await applier.ensure(CONFIGMAPS, desired)
    store.strip("acme")
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    assert script.asked == ["create"]


async def test_a_change_reads_the_copy_first() -> None:
    first, second = desired_object(data={"a": "1"}), desired_object(data={"a": "2"})
    live = stored(first, 12)
    live["metadata"]["labels"] = {"team": "a"}
    applier, _, script = dropped(first, live, stored(second, 13))
    assert (await applier.ensure(CONFIGMAPS, second)).result is Result.UPDATED
    assert script.asked == ["get", "replace"]
    assert script.bodies[0]["metadata"]["resourceVersion"] == "12"
    assert script.bodies[0]["metadata"]["labels"]["team"] == "a", "what others added stays"


async def test_a_copy_that_is_gone_when_it_is_to_be_changed_is_created() -> None:
    first, second = desired_object(data={"a": "1"}), desired_object(data={"a": "2"})
    applier, store, script = dropped(first, MISSING, stored(second, 13, "u2"))
    assert (await applier.ensure(CONFIGMAPS, second)).result is Result.CREATED
    assert script.asked == ["get", "create"]
    entry = store.get(AT)
    assert entry is not None
    assert entry.uid == "u2"


async def test_a_copy_that_goes_at_the_write_is_created() -> None:
    first, second = desired_object(data={"a": "1"}), desired_object(data={"a": "2"})
    answers = (MISSING, MISSING, stored(second, 13, "u2"))
    applier, _, script = applier_with(*answers, live=(stored(first),), shape=COPY_SHAPE)
    assert (await applier.ensure(CONFIGMAPS, second)).result is Result.CREATED
    assert script.asked == ["replace", "get", "create"]


async def test_somebody_elses_object_in_the_place_of_a_copy_is_not_written() -> None:
    first, second = desired_object(data={"a": "1"}), desired_object(data={"a": "2"})
    theirs = stored(first, 12, "u2")
    theirs["metadata"]["ownerReferences"] = [{**OWNER, "uid": "another"}]
    applier, _, script = dropped(first, theirs)
    with pytest.raises(Foreign):
        await applier.ensure(CONFIGMAPS, second)
    assert script.asked == ["get"]


async def test_a_copy_that_a_restore_of_etcd_brought_back_is_known_again() -> None:
    """It has the version of before its deletion, which the store remembers."""
    desired = desired_object()
    applier, store, script = applier_with(EXISTS, stored(desired, 10), shape=COPY_SHAPE)
    store.remove(AT, "u1", 20)
    assert (await applier.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    assert script.asked == ["create", "get"]
    assert store.get(AT) is not None
