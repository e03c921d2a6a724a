"""The cache against its rules: forward only, deleted objects stay deleted, a list replaces all but later own writes."""

from __future__ import annotations

import copy
import dataclasses
import random
from typing import Any

import pytest

from decco.kube.entry import (
    Entry,
    Shape,
    TooLargeError,
    content_of,
    digest,
    managed_content,
    read_entry,
    with_value,
    without,
)
from decco.kube.ownership import EVERYTHING
from decco.kube.store import Change, Store
from decco.objects import ANNOTATION_HASH, CONFIGMAPS, Key, Obj
from tests.sample import seeds

AT = Key("acme", "web")


def cm(version: int, uid: str = "u1", *, name: str = "web", namespace: str = "acme", **more: Any) -> Obj:
    """A ConfigMap as the server would send it; ``owner`` is its controller's UID, ``data`` its content."""
    meta: Obj = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(version)}
    if owner := more.pop("owner", ""):
        meta["ownerReferences"] = [{"uid": "bystander"}, {"uid": owner, "controller": True}]
    meta.update(more.pop("metadata", {}))
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"v": str(version)}, **more}


def store_of(*objects: Obj, shape: Shape | None = None) -> Store:
    store = Store(CONFIGMAPS, shape or Shape())
    for obj in objects:
        store.put(obj, own=False)
    return store


def listing(*objects: Obj) -> dict[Key, Entry]:
    entries = [read_entry(obj, Shape()) for obj in objects]
    return {entry.key: entry for entry in entries}


def versions(store: Store) -> dict[str, int]:
    return {entry.key.name: entry.version for entry in store}


class Log:
    """A subscriber that writes each step down, as (old version, new version, own, initial)."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.steps: list[tuple[int | None, int | None, bool, bool]] = []
        store.subscribe(self)

    def __call__(self, change: Change) -> None:
        # What a step brings is visible to its subscribers.
        assert self.store.get(change.entry.key) is change.new
        old = change.old.version if change.old else None
        self.steps.append((old, change.new.version if change.new else None, change.own, change.initial))


# Forward only


def test_versions_only_move_forward() -> None:
    store = store_of()
    log = Log(store)
    for version, own in ((5, False), (5, True), (4, True), (7, True), (7, False), (6, False), (8, False)):
        store.put(cm(version), own=own)
    assert log.steps == [(None, 5, False, False), (5, 7, True, False), (7, 8, False, False)]
    assert versions(store) == {"web": 8}


def test_versions_are_compared_as_numbers() -> None:
    store = store_of(cm(99))
    store.put(cm(100), own=False)
    assert versions(store) == {"web": 100}


def test_put_returns_what_it_read_also_if_it_was_no_news() -> None:
    store = store_of(cm(5))
    kept = store.get(AT)
    assert store.put(cm(5), own=True) is kept
    assert store.put(cm(3), own=True).version == 3
    assert store.get(AT) is kept
    assert store.read(cm(5)) is kept
    assert store.read(cm(5, "another")).uid == "another"


def test_an_older_object_of_the_same_name_does_not_come_back() -> None:
    store = store_of(cm(10, "old"), cm(20, "new"))
    store.put(cm(15, "old"), own=True)
    assert store.get(AT).uid == "new"  # type: ignore[union-attr]


# Departures


def test_an_object_leaves_with_its_last_version() -> None:
    store = store_of(cm(5))
    log = Log(store)
    store.remove(AT, "u1", 6)
    assert (len(store), log.steps) == (0, [(5, None, False, False)])
    store.remove(AT, "u1", 6)
    assert len(log.steps) == 1, "it leaves once"


def test_the_answer_to_our_write_may_come_after_the_deletion() -> None:
    store = store_of(cm(5))
    store.remove(AT, "u1", 7)
    log = Log(store)
    store.put(cm(6), own=True)
    assert (len(store), log.steps) == (0, [])


def test_the_deletion_may_come_before_we_know_the_object() -> None:
    store = store_of()
    store.remove(AT, "u1", 7)
    store.put(cm(6), own=True)
    assert len(store) == 0


def test_an_object_that_regains_its_label_comes_back() -> None:
    store = store_of(cm(5))
    store.remove(AT, "u1", 6)
    store.put(cm(7), own=True)
    assert versions(store) == {"web": 7}


def test_a_late_departure_does_not_take_away_what_our_write_has_put_back() -> None:
    """The label is lost (6), our write restores it (7), and only then the watch delivers 6."""
    store = store_of(cm(5))
    log = Log(store)
    store.put(cm(7), own=True)
    store.settled["u1"] = (b"content", b"meta")
    store.remove(AT, "u1", 6)
    assert versions(store) == {"web": 7}
    assert "u1" in store.settled
    store.put(cm(7), own=False)
    assert log.steps == [(5, 7, True, False)]


def test_the_departure_of_the_former_object_leaves_the_new_one() -> None:
    store = store_of(cm(5, "old"))
    store.put(cm(8, "new"), own=True)
    log = Log(store)
    store.remove(AT, "old", 7)
    assert (versions(store), log.steps) == ({"web": 8}, [])


def test_what_is_known_of_our_writes_goes_with_the_object() -> None:
    store = store_of(cm(5), cm(6, "u2", name="api"), cm(7, "u3", name="db"))
    for uid in ("u1", "u2", "u3"):
        store.settled[uid] = (b"content", b"meta")
    store.remove(AT, "u1", 8)
    store.put(cm(9, "other", name="api"), own=False)
    store.replace_all({}, 10)
    assert store.settled == {}


# Deletions that decco asked for


def test_a_deletion_that_was_asked_for_is_never_taken_back() -> None:
    store = store_of(cm(5))
    before = store.get(AT)
    store.mark_deleting(AT, "u1")
    assert store.get(AT).deleting  # type: ignore[union-attr]
    assert before is not None
    assert not before.deleting, "what a reader has in hand does not change"
    store.put(cm(6), own=False)  # somebody's change, made just before
    assert store.get(AT).deleting  # type: ignore[union-attr]
    store.put(cm(7, "u2"), own=False)
    assert not store.get(AT).deleting, "the next object of that name is another"  # type: ignore[union-attr]


@pytest.mark.parametrize(("key", "uid"), [(AT, "other"), (Key("acme", "unknown"), "u1")])
def test_only_this_very_object_is_marked(key: Key, uid: str) -> None:
    store = store_of(cm(5))
    store.mark_deleting(key, uid)
    assert not store.get(AT).deleting  # type: ignore[union-attr]


def test_the_server_says_that_it_is_being_deleted() -> None:
    store = store_of(cm(5, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}))
    assert store.get(AT).deleting  # type: ignore[union-attr]


# Lists


def test_a_list_replaces_everything_in_one_go() -> None:
    store = store_of(cm(1, "a", name="a"), cm(2, "b", name="b"), cm(3, "c", name="c"))
    log = Log(store)
    store.replace_all(listing(cm(2, "b", name="b"), cm(8, "c", name="c"), cm(9, "d", name="d")), 10)
    assert versions(store) == {"b": 2, "c": 8, "d": 9}
    assert log.steps == [(1, None, False, False), (3, 8, False, True), (None, 9, False, True)]


def test_a_list_spares_what_was_written_after_it() -> None:
    store = store_of(cm(5))
    store.put(cm(12, "u2", name="made-later"), own=True)
    store.put(cm(11), own=True)
    store.replace_all(listing(cm(5)), 10)
    assert versions(store) == {"web": 11, "made-later": 12}


def test_a_list_does_not_bring_an_older_object_of_the_name_back() -> None:
    store = store_of(cm(12, "new"))
    store.replace_all(listing(cm(4, "old")), 10)
    assert store.get(AT).uid == "new"  # type: ignore[union-attr]


def test_a_list_shows_another_object_of_the_same_name() -> None:
    store = store_of(cm(5, "old", owner="o1"))
    log = Log(store)
    store.replace_all(listing(cm(8, "new", owner="o2")), 10)
    assert log.steps == [(5, 8, False, True)]
    assert ([e.uid for e in store.owned_by("o1", "acme")], [e.uid for e in store.owned_by("o2", "acme")]) == (
        [],
        ["new"],
    )


def test_what_a_list_does_not_show_is_dead() -> None:
    store = store_of(cm(5))
    store.replace_all({}, 10)
    store.put(cm(9), own=True)
    assert len(store) == 0


def test_an_answer_older_than_the_list_is_no_news() -> None:
    """The object was created and deleted without a watch; the list no longer shows it, and then our answer arrives."""
    store = store_of()
    store.replace_all({}, 10)
    store.put(cm(9, "never-seen"), own=True)
    store.put(cm(10, "never-seen"), own=True)
    assert len(store) == 0
    store.put(cm(11), own=True)
    assert versions(store) == {"web": 11}


def test_the_same_list_twice_is_no_news() -> None:
    store = store_of()
    store.replace_all(listing(cm(5), cm(6, "u2", name="api")), 10)
    log = Log(store)
    kept = [store.get(AT), store.get(Key("acme", "api"))]
    store.replace_all({e.key: e for e in map(store.read, (cm(5), cm(6, "u2", name="api")))}, 20)
    assert log.steps == []
    assert [store.get(AT), store.get(Key("acme", "api"))] == kept


# A list after a restore of etcd


def test_a_complete_list_replaces_higher_versions() -> None:
    """Versions went back, or another history has overtaken what was cached: the list is right either way."""
    for list_version in (8, 100):
        store = store_of(cm(20), cm(21, "u2", name="lost"))
        store.remove(Key("acme", "back"), "u3", 30)
        store.settled["u1"] = (b"content", b"meta")
        log = Log(store)
        store.begin_list()
        store.replace_all(listing(cm(5), cm(6, "u3", name="back")), list_version)
        assert versions(store) == {"web": 5, "back": 6}
        assert log.steps == [(21, None, False, False), (20, 5, False, True), (None, 6, False, True)]
        assert store.settled == {}, "the server's result of a lost write is ignored"


def test_what_was_written_while_the_list_was_under_way_stays() -> None:
    store = store_of(cm(20, "u2", name="lost"))
    store.put(cm(25, "u4", name="lost-too"), own=True)
    store.begin_list()
    store.put(cm(110, "u1"), own=True)
    store.put(cm(111, "u3", name="made"), own=True)
    store.replace_all(listing(cm(100)), 105)
    assert versions(store) == {"web": 110, "made": 111}


def test_a_deletion_of_a_lost_history_is_taken_back() -> None:
    store = store_of(cm(5), cm(6, "u2", name="api"))
    store.mark_deleting(AT, "u1")
    store.begin_list()
    store.mark_deleting(Key("acme", "api"), "u2")
    store.replace_all(listing(cm(5), cm(6, "u2", name="api")), 10)
    assert {entry.key.name: entry.deleting for entry in store} == {"web": False, "api": True}


def test_an_object_that_a_restore_brought_back_with_its_version_is_not_being_deleted() -> None:
    """decco deleted it, its watch had not reported that, and the restored object is the cached one byte for byte."""
    store = store_of(cm(5), cm(6, "u2", name="api"))
    store.mark_deleting(AT, "u1")
    log = Log(store)
    store.begin_list()
    listed = {entry.key: entry for entry in map(store.read, [cm(5), cm(6, "u2", name="api")])}
    store.mark_deleting(Key("acme", "api"), "u2")
    store.replace_all(listed, 10)
    assert {entry.key.name: entry.deleting for entry in store} == {"web": False, "api": True}
    assert log.steps == [(5, 5, False, True)], "its owner is reconciled, which deletes it again"


def test_an_answer_from_before_a_list_is_no_news_after_it() -> None:
    store = store_of(cm(5))
    store.remove(AT, "u1", 7)
    store.begin_list()
    store.replace_all({}, 10)
    store.put(cm(6), own=True)
    assert len(store) == 0


def test_another_version_of_the_kind_is_read_again_and_is_no_news() -> None:
    store = store_of(cm(5))
    store.settled["u1"] = (b"content", b"meta")
    log = Log(store)
    other = {**cm(5), "data": {"in": "another form"}}
    store.set_api_version(dataclasses.replace(CONFIGMAPS, version="v2"))
    store.begin_list()
    store.replace_all({entry.key: entry for entry in [store.read(copy.deepcopy(other))]}, 10)
    assert (store.resource.version, store.settled, log.steps) == ("v2", {}, [])
    assert store.get(AT).obj()["data"] == {"in": "another form"}  # type: ignore[union-attr]
    kept = store.get(AT)
    assert store.read(cm(5)) is kept, "only once"


def test_a_version_of_another_history_is_another_state() -> None:
    """etcd was restored to version 4, and both histories gave version 5 to a change of this object."""
    store = store_of(cm(5), cm(3, "u2", name="db"))
    store.settled["u1"] = (b"content", b"meta")
    log, kept = Log(store), store.get(Key("acme", "db"))
    restored = {**cm(5), "data": {"v": "of the user"}}
    store.begin_list()
    store.replace_all({entry.key: entry for entry in map(store.read, [restored, cm(3, "u2", name="db")])}, 6)
    assert store.get(AT).obj()["data"] == {"v": "of the user"}  # type: ignore[union-attr]
    assert (store.settled, log.steps) == ({}, [(5, 5, False, True)])
    assert store.get(Key("acme", "db")) is kept


def test_a_version_of_another_history_is_noticed_in_a_kind_without_a_watch() -> None:
    store = store_of(cm(5))
    store.strip("acme")
    log = Log(store)
    store.replace_namespace("acme", listing(cm(5)), initial=False)
    assert log.steps == []
    store.replace_namespace("acme", listing({**cm(5), "data": {"v": "of the user"}}), initial=False)
    assert log.steps == [(5, 5, True, False)]


# Indices and readers


def test_owners_and_namespaces_find_their_objects() -> None:
    store = store_of(
        cm(1, "a", name="a", owner="o1"),
        cm(2, "b", name="b", owner="o1", namespace="other"),
        cm(3, "c", name="c"),
    )
    assert [e.uid for e in store.owned_by("o1", "acme")] == ["a"]
    assert [e.uid for e in store.in_namespace("acme")] == ["a", "c"]
    assert store.owned_by("bystander", "acme") == store.owned_by("", "acme") == store.in_namespace("none") == []
    store.put(cm(4, "a", name="a", owner="o2"), own=True)
    store.remove(Key("acme", "c"), "c", 5)
    assert ([e.uid for e in store.owned_by("o1", "other")], store.owned_by("o1", "acme")) == (["b"], [])
    assert [e.uid for e in store.owned_by("o2", "acme")] == [e.uid for e in store.in_namespace("acme")] == ["a"]
    store.replace_all({}, 10)
    assert (store._by_owner, store._by_namespace, store._entries) == ({}, {}, {})


def test_readers_cannot_change_what_others_see() -> None:
    store = store_of(cm(5))
    entry = store.get(AT)
    assert entry is not None
    entry.obj()["data"]["v"] = "changed"
    assert entry.obj()["data"] == {"v": "5"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.version = 9  # type: ignore[misc]


def test_iteration_survives_changes() -> None:
    store = store_of(*(cm(n, f"u{n}", name=f"n{n}") for n in range(1, 5)))
    for entry in store:
        store.remove(entry.key, entry.uid, 100)
    assert len(store) == 0


def test_all_subscribers_see_the_same_steps_in_order() -> None:
    store = store_of()
    first, second = Log(store), Log(store)
    store.put(cm(1), own=False)
    store.put(cm(2), own=True)
    store.remove(AT, "u1", 3)
    assert first.steps == second.steps == [(None, 1, False, False), (1, 2, True, False), (2, None, False, False)]


def test_stores_are_distinguished_by_identity() -> None:
    one, other = store_of(), store_of()
    assert one != other
    assert len({one, other}) == 2


# Entries


def test_an_entry_holds_what_is_asked_for_often() -> None:
    obj = cm(
        7,
        owner="o1",
        metadata={
            "generation": 3,
            "annotations": {ANNOTATION_HASH: "abc"},
            "managedFields": [{"manager": "decco"}, {"manager": "kubectl", "fieldsV1": {"f:data": {"f:x": {}}}}],
        },
    )
    entry = read_entry(obj, Shape(facts=lambda o: o["data"]["v"]))
    assert (entry.key, entry.uid, entry.version, entry.generation) == (AT, "u1", 7, 3)
    assert (entry.owner_uid, entry.written, entry.facts, entry.deleting) == ("o1", "abc", "7", False)
    assert entry.foreign == (("data", "x"),)
    assert "managedFields" not in entry.obj()["metadata"]


def test_an_object_without_extras_has_an_entry_too() -> None:
    entry = read_entry(
        {"kind": "Namespace", "metadata": {"name": "acme", "uid": "u", "resourceVersion": "1"}}, Shape(digests=False)
    )
    assert entry.key == Key("", "acme")
    assert (entry.generation, entry.owner_uid, entry.written, entry.facts) == (0, "", "", None)
    assert (entry.content, entry.meta, entry.foreign) == (b"", b"", ())


def test_facts_that_cannot_be_worked_out_are_the_error() -> None:
    def refuse(_: Obj) -> None:
        raise ValueError("no such field")

    entry = read_entry(cm(1), Shape(facts=refuse))
    assert isinstance(entry.facts, ValueError)


CHANGES: dict[str, tuple[Obj, bool, bool]] = {
    # what is changed -> (patch, content digest differs, meta digest differs)
    "data": ({"data": {"v": "other"}}, True, False),
    "another top-level field": ({"immutable": True}, True, False),
    "status": ({"status": {"phase": "x"}}, False, False),
    "label": ({"metadata": {"labels": {"a": "b"}}}, False, True),
    "annotation": ({"metadata": {"annotations": {"a": "b"}}}, False, True),
    "finalizer": ({"metadata": {"finalizers": ["a"]}}, False, True),
    "owner": ({"metadata": {"ownerReferences": [{"uid": "x"}]}}, False, True),
    "generation": ({"metadata": {"generation": 9}}, False, False),
    "managed fields": ({"metadata": {"managedFields": [{"manager": "decco"}]}}, False, False),
    "yielded": ({"spec": {"replicas": 7}}, False, False),
    "beside the unmanaged field": ({"spec": {"paused": True}}, True, False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_digests_see_what_they_should(name: str) -> None:
    patch, content, meta = CHANGES[name]
    shape = Shape(unmanaged=(("spec", "replicas"),))
    base = cm(1, spec={"replicas": 1})
    changed = copy.deepcopy(base)
    for field, value in patch.items():
        changed[field] = {**changed[field], **value} if field in {"metadata", "spec"} else value
    one, other = read_entry(base, shape), read_entry(changed, shape)
    assert (one.content != other.content, one.meta != other.meta) == (content, meta)


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest(["a", "b"]) != digest(["b", "a"])


def test_of_a_job_only_the_mutable_part_is_guarded() -> None:
    shape = Shape(mutable=(("spec", "parallelism"), ("spec", "suspend")))
    job = {"kind": "Job", "metadata": {}, "spec": {"parallelism": 2, "completions": 5, "template": {}}}
    assert managed_content(job, shape) == {"spec": {"parallelism": 2}}
    assert managed_content({"kind": "Job", "metadata": {}}, shape) == {}


PATHS = [
    # (node, path, value, expected)
    ({"a": {"b": 1, "c": 2}}, ("a", "b"), 9, {"a": {"b": 9, "c": 2}}),
    ({}, ("a", "b"), 9, {"a": {"b": 9}}),
    ({"a": None}, ("a", "b"), 9, {"a": {"b": 9}}),
]


@pytest.mark.parametrize(("node", "path", "value", "expected"), PATHS)
def test_with_value_copies(node: Obj, path: tuple[str, ...], value: object, expected: Obj) -> None:
    before = copy.deepcopy(node)
    assert with_value(node, path, value) == expected
    assert node == before


WITHOUT = [
    ({"a": {"b": 1, "c": 2}}, (("a", "b"),), {"a": {"c": 2}}),
    ({"a": {"b": 1}}, (("a", "x"), ("x", "y"), ("a", "b", "c")), {"a": {"b": 1}}),
    ({"a": 1, "b": {"c": 1, "d": 2}}, (("a",), ("b", "c")), {"b": {"d": 2}}),
]


@pytest.mark.parametrize(("node", "paths", "expected"), WITHOUT)
def test_without_copies(node: Obj, paths: tuple[tuple[str, ...], ...], expected: Obj) -> None:
    before = copy.deepcopy(node)
    assert without(node, paths) == expected
    assert node == before


def test_content_is_neither_metadata_nor_status() -> None:
    assert content_of({"apiVersion": "v1", "kind": "K", "metadata": {}, "status": {}, "spec": 1, "data": 2}) == {
        "spec": 1,
        "data": 2,
    }


# Objects made to do harm; a tenant may write both of these into an object of a kind that decco watches


def nested(levels: int) -> Obj:
    deep: Obj = {}
    for _ in range(levels):
        deep = {"a": deep}
    return deep


@pytest.mark.parametrize("levels", [240, 260, 900])
def test_an_object_of_any_depth_has_an_entry(levels: int) -> None:
    obj = cm(1, spec={"pod": nested(levels), "name": "kept"})
    entry = read_entry(obj, Shape(facts=lambda o: o["spec"]["name"]))
    assert entry.obj()["spec"]["name"] == entry.facts == "kept"


@pytest.mark.parametrize(
    "fields",
    [
        {"f:data": {'k:{"name":["x"]}': {"f:z": {}}}},
        {"f:data": {'k:{"name":{"a":1}}': {"f:z": {}}}},
        {"f:data": nested(900)},
    ],
)
def test_no_managed_fields_do_harm(fields: Obj) -> None:
    managed = [{"manager": "decco"}, {"manager": "evil", "fieldsV1": fields}]
    assert read_entry(cm(1, metadata={"managedFields": managed}), Shape()).foreign


def test_an_object_without_writers_may_be_anybodys() -> None:
    assert read_entry(cm(1), Shape()).foreign == EVERYTHING


# Any history


class Server:
    """What a server would send: its objects, the events not yet delivered, the answers still on their way."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.version = 0
        self.live: dict[str, Obj] = {}
        self.events: list[tuple[bool, Obj]] = []
        self.answers: list[Obj] = []
        self.announced = dice.random() < 0.7
        """Whether the store is informed of a list before it is requested."""

    def write(self, name: str) -> None:
        """Somebody writes; if it is we, there is an answer as well."""
        self.version += 1
        uid = self.live[name]["metadata"]["uid"] if name in self.live else f"{name}-{self.version}"
        obj = self.live[name] = cm(self.version, uid, name=name, owner=self.dice.choice(["o1", "o2"]))
        self.events.append((True, obj))
        if self.dice.random() < 0.6:
            self.answers.append(obj)

    def remove(self, name: str) -> None:
        """Deleted, or its label removed."""
        if name in self.live:
            self.version += 1
            last = copy.deepcopy(self.live.pop(name))
            last["metadata"]["resourceVersion"] = str(self.version)
            self.events.append((False, last))

    def deliver_event(self, store: Store) -> None:
        if not self.events:
            return
        there, obj = self.events.pop(0)
        meta = obj["metadata"]
        if there:
            store.put(copy.deepcopy(obj), own=False)
        else:
            store.remove(Key(meta["namespace"], meta["name"]), meta["uid"], int(meta["resourceVersion"]))

    def deliver_answer(self, store: Store) -> None:
        if self.answers:
            answer = self.answers.pop(self.dice.randrange(len(self.answers)))
            store.put(copy.deepcopy(answer), own=True)

    def list_again(self, store: Store) -> None:
        """The watch is lost, and its events with it; answers arrive while the pages come in."""
        self.events.clear()
        if self.announced:
            store.begin_list()
        entries = {entry.key: entry for entry in map(store.read, copy.deepcopy(list(self.live.values())))}
        at = self.version
        for _ in range(self.dice.randrange(3)):
            self.write(self.dice.choice("abc"))
            self.deliver_answer(store)
        store.replace_all(entries, at)


@pytest.mark.parametrize("seed", seeds(200, sample=40))
def test_any_order_of_events_answers_and_lists_ends_in_the_truth(seed: int) -> None:
    """A server's history comes by watch (in order), by lists, and by answers to our writes (at any time)."""
    dice = random.Random(seed)
    server, store = Server(dice), store_of()
    log = Log(store)
    for _ in range(120):
        match dice.randrange(20):
            case 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7:
                server.write(dice.choice("abc"))
            case 8 | 9 | 10:
                server.remove(dice.choice("abc"))
            case 11 | 12 | 13 | 14:
                server.deliver_answer(store)
            case 19:
                server.list_again(store)
            case _:
                server.deliver_event(store)
    while server.events or server.answers:
        server.deliver_event(store)
        server.deliver_answer(store)
    truth = {n: (obj["metadata"]["uid"], int(obj["metadata"]["resourceVersion"])) for n, obj in server.live.items()}
    assert {e.key.name: (e.uid, e.version) for e in store} == truth
    assert sorted(e.key.name for uid in ("o1", "o2") for e in store.owned_by(uid, "acme")) == sorted(truth)
    reported = [new for _, new, _, _ in log.steps if new is not None]
    assert len(reported) == len(set(reported)), "a version is reported twice"


# Another version of the kind

OTHER_VERSION = dataclasses.replace(CONFIGMAPS, version="v2")


def in_v2(obj: Obj) -> Obj:
    """The same state of an object as another version shows it: with a default that the former version did not have."""
    return {**obj, "apiVersion": "v2", "data": {**obj["data"], "defaulted": "yes"}}


def switched(store: Store, *objects: Obj) -> None:
    store.set_api_version(OTHER_VERSION)
    store.begin_list()
    store.replace_all({entry.key: entry for entry in map(store.read, objects)}, 20)


def test_the_cache_stays_until_the_list_in_another_version_is_complete() -> None:
    store = store_of(cm(5))
    store.set_api_version(OTHER_VERSION)
    store.begin_list()
    assert (versions(store), store.unlisted, store.resource.api_version) == ({"web": 5}, "", "v2")


def test_another_version_of_an_unwritten_object_is_no_alteration() -> None:
    store = store_of(cm(5))
    before = store.get(AT)
    assert before is not None
    store.settled["u1"] = (before.content, before.meta)
    switched(store, in_v2(cm(5)))
    after = store.get(AT)
    assert after is not None
    assert after.obj()["data"] == {"v": "5", "defaulted": "yes"}
    assert store.settled["u1"] == (after.content, after.meta) != (before.content, before.meta)


def test_what_was_written_during_a_change_of_version_is_compared_again() -> None:
    store = store_of(cm(5))
    before = store.get(AT)
    assert before is not None
    store.settled["u1"] = (before.content, before.meta)
    switched(store, in_v2(cm(6)))
    assert store.settled == {}


def test_an_alteration_is_not_taken_for_the_work_of_another_version() -> None:
    store = store_of(cm(5))
    store.settled["u1"] = (b"what decco wrote", b"")
    switched(store, in_v2(cm(5)))
    assert store.settled == {}


# Stubs


def big(**meta: Any) -> Obj:
    secret = {
        "data": {"v": "x" * 5000},
        "metadata": {"labels": {"team": "red", "decco.platform9.com/app": "a"}, **meta},
    }
    return cm(7, **secret)


def test_of_what_is_not_decco_s_only_a_stub_is_kept() -> None:
    entry = read_entry(big(finalizers=["x.example.net/keep"]), Shape(kept=lambda _: False, facts=lambda o: len(o)))
    assert entry.partial
    assert (entry.key, entry.uid, entry.version) == (AT, "u1", 7)
    assert "data" not in entry.obj()
    assert entry.obj()["metadata"]["labels"] == {"decco.platform9.com/app": "a"}
    assert entry.obj()["metadata"]["finalizers"] == ["x.example.net/keep"]
    assert (entry.content, entry.meta) == (b"", b""), "nothing is computed for an object that is nobody's"
    assert len(entry.raw) < 300


def test_an_object_that_is_too_large_is_a_stub_with_a_message_and_real_digests() -> None:
    small, large = (
        read_entry(big(ownerReferences=[{"uid": "o1", "controller": True}]), Shape(most_bytes=most, facts=lambda _: 1))
        for most in (10_000, 2000)
    )
    assert (small.partial, large.partial) == (False, True)
    assert (large.content, large.meta, large.owner_uid) == (small.content, small.meta, "o1")
    assert isinstance(large.facts, TooLargeError)
    assert "6 KiB" in str(large.facts)
    assert "at most 1 KiB" in str(large.facts)


def test_a_status_does_not_count() -> None:
    obj = {**big(), "data": {}, "status": {"text": "x" * 5000}}
    assert not read_entry(obj, Shape(most_bytes=2000)).partial


@pytest.mark.parametrize("part", ["annotations", "labels", "finalizers", "ownerReferences"])
def test_a_stub_is_small_whatever_is_in_the_object(part: str) -> None:
    names = [f"decco.platform9.com/{number}-{random.random()}" for number in range(5000)]
    parts: Obj = {
        "finalizers": names,
        "ownerReferences": [{"uid": name, "controller": True} for name in names],
        "annotations": dict.fromkeys(names, "x"),
        "labels": dict.fromkeys(names, "x"),
    }
    entry = read_entry(cm(7, metadata={part: parts[part]}), Shape(most_bytes=2000))
    assert entry.partial
    assert len(entry.raw) < 1000
