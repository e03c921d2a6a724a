"""When the copies in a Space's namespace are read, what is kept of them, and what is noticed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from decco.desired.model import SecretFacts
from decco.kube.errors import NotFound, Unreachable
from decco.objects import NAMESPACES, SECRETS, Key, Obj, Resource, key_of
from decco.reconcilers.caches import Caches
from decco.reconcilers.copies import FIRST_PAUSE_SECONDS, READ_SECONDS, UNCONFIRMED_SECONDS, Copies
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.outcomes import REQUEUE_SECONDS
from tests.unit.reconcilers.test_event_handlers import Heard
from tests.unit.reconcilers.world import VERSIONS, app, facts_of, make_caches, owned, space, tls_data

ACME = space("acme", httpCertSecretName="http")
HTTP = Key("acme", "http")


class Server:
    """What the namespace holds, and the requests that were sent."""

    def __init__(self, *holds: Obj) -> None:
        self.holds = {key_of(obj): obj for obj in holds}
        self.asked: list[str] = []
        self.unconfirmed: set[str] = set()

    async def bind(self, space: Any) -> None:
        self.asked.append("bind")

    async def get(self, resource: Resource, key: Key) -> Obj:
        self.asked.append(f"get {key}")
        if key not in self.holds:
            raise NotFound(404, "NotFound", "not found")
        return self._sent(self.holds[key])

    async def copies(self, space: str, *, bind: bool) -> list[Obj]:
        self.asked.append(f"list {space}" + " and bind" * bind)
        await asyncio.sleep(0)
        return [self._sent(obj) for key, obj in self.holds.items() if key.namespace == space]

    @staticmethod
    def _sent(obj: Obj) -> Obj:
        return {**obj, "metadata": dict(obj["metadata"])}


class Harness:
    def __init__(self, *holds: Obj) -> None:
        self.now = 1000.0
        self.caches: Caches = make_caches()
        EventHandlers(self.caches).connect()
        for obj in (ACME, app("web", "acme", {"name": "e", "certAndCaSecretName": "http"})):
            store = self.caches.spaces if obj["kind"] == "Space" else self.caches.apps
            store.put({**obj, "metadata": dict(obj["metadata"])}, own=False)
        self.caches.children[NAMESPACES].put(owned(NAMESPACES, "acme", ACME), own=False)
        self.space = facts_of(self.caches, "acme")
        self.server = Server(*holds)
        self.copies = Copies(self.caches, self.server, lambda: self.now)

    @property
    def store(self) -> Any:
        return self.caches.children[SECRETS]

    def facts(self, key: Key = HTTP) -> SecretFacts | None:
        entry = self.store.get(key)
        return entry.facts if entry is not None else None


def copy(name: str = "http", **meta: Any) -> Obj:
    made = owned(SECRETS, name, ACME, type="kubernetes.io/tls", data=tls_data())
    return {**made, "metadata": {**made["metadata"], **meta}}


async def test_the_first_reconciles_share_one_read() -> None:
    harness = Harness(copy())
    await asyncio.gather(*(harness.copies.read(harness.space) for _ in range(20)))
    assert harness.server.asked == ["list acme and bind"]
    assert isinstance(harness.facts(), SecretFacts)


async def test_a_settled_space_sends_one_request_an_hour() -> None:
    harness = Harness(copy())
    await harness.copies.read(harness.space, hourly=True)
    first = harness.copies.requeue_after(harness.space)
    assert first is not None
    assert 0 < first <= READ_SECONDS
    harness.now += first - 1
    await harness.copies.read(harness.space, hourly=True)
    assert len(harness.server.asked) == 1
    harness.now += 1
    await harness.copies.read(harness.space)
    assert len(harness.server.asked) == 1, "an App does not repeat it"
    await harness.copies.read(harness.space, hourly=True)
    assert len(harness.server.asked) == 2
    assert harness.copies.requeue_after(harness.space) == READ_SECONDS


async def test_the_reads_of_many_spaces_are_spread_over_the_hour() -> None:
    harness, found = Harness(), []
    for number in range(300):
        other = space(f"s{number}")
        harness.caches.spaces.put(other, own=False)
        harness.caches.children[NAMESPACES].put(owned(NAMESPACES, f"s{number}", other), own=False)
        facts = facts_of(harness.caches, f"s{number}")
        await harness.copies.read(facts)
        found.append(harness.copies.requeue_after(facts) or 0.0)
    tenth = READ_SECONDS / 10
    for begin in range(int(FIRST_PAUSE_SECONDS), int(READ_SECONDS), int(tenth)):
        assert 10 <= sum(begin <= each < begin + tenth for each in found) <= 70


async def test_a_space_without_secrets_needs_no_permission_and_no_timer() -> None:
    harness = Harness()
    await harness.copies.read(harness.space, bind=False, hourly=True)
    assert harness.server.asked == ["list acme"]
    assert harness.copies.requeue_after(harness.space) is None
    await harness.copies.read(harness.space, bind=True, hourly=True)
    assert harness.server.asked[1:] == ["bind", "list acme and bind"], "now it names one"


@pytest.mark.parametrize("bind", [False, True])
async def test_a_new_namespace_is_not_read(bind: bool) -> None:
    harness = Harness()
    await harness.copies.begin(harness.space, bind=bind)
    await harness.copies.read(harness.space, bind=bind, hourly=True)
    assert harness.server.asked == ["bind"] * bind
    assert (harness.copies.requeue_after(harness.space) is not None) == bind


async def test_nothing_is_read_where_the_namespace_is_not_the_spaces() -> None:
    harness = Harness(copy())
    other = owned(NAMESPACES, "acme", space("acme", uid="another"))
    harness.caches.children[NAMESPACES].put(other, own=False)
    await harness.copies.read(harness.space)
    await harness.copies.begin(harness.space, bind=True)
    assert harness.server.asked == []


async def test_the_content_is_not_kept() -> None:
    harness = Harness(copy())
    await harness.copies.read(harness.space)
    before = harness.store.get(HTTP)
    assert before.obj()["data"]
    harness.copies.drop_content("acme")
    after = harness.store.get(HTTP)
    assert "data" not in after.obj()
    assert (after.facts, after.content, after.meta) == (before.facts, before.content, before.meta)
    whole = await harness.copies.whole(after)
    assert whole is not None
    assert whole.obj()["data"]
    assert harness.server.asked == ["list acme and bind", "get acme/http"]
    assert await harness.copies.whole(whole) is whole, "no second request"


async def test_a_copy_that_is_gone_at_a_read_is_gone() -> None:
    harness = Harness(copy(), copy("old"))
    await harness.copies.read(harness.space)
    harness.copies.drop_content("acme")
    del harness.server.holds[HTTP]
    entry = harness.store.get(HTTP)
    assert await harness.copies.whole(entry) is None
    assert harness.facts() is None
    harness.now += READ_SECONDS
    harness.server.holds.clear()
    await harness.copies.read(harness.space, hourly=True)
    assert len(harness.store) == 0


async def test_a_read_finds_what_others_did_and_reports_it_to_the_apps() -> None:
    harness = Harness(copy())
    queues = Heard("space"), Heard("app")
    EventHandlers(harness.caches, *queues).connect()
    await harness.copies.read(harness.space)
    assert (queues[0].keys, queues[1].keys) == ({}, {}), "all are reconciled at the start in any case"
    harness.now += READ_SECONDS
    changed = {**copy(resourceVersion=str(next(VERSIONS))), "data": tls_data("another.example.net")}
    harness.server.holds[HTTP] = changed
    await harness.copies.read(harness.space, hourly=True)
    assert set(queues[1].keys) == {"acme/web"}
    facts = harness.facts()
    assert facts is not None
    assert facts.dns_names == ("another.example.net",)


async def test_an_older_version_after_a_restore_counts() -> None:
    harness = Harness(copy(resourceVersion="900000"))
    await harness.copies.read(harness.space)
    harness.now += READ_SECONDS
    harness.server.holds[HTTP] = copy(resourceVersion="7")
    await harness.copies.read(harness.space, hourly=True)
    assert harness.store.get(HTTP).version == 7


async def test_after_a_later_list_of_namespaces_the_next_reconcile_reads_again() -> None:
    """It follows an outage, and etcd may have been restored: its versions may be lower, or higher already."""
    harness = Harness(copy())
    namespaces = harness.caches.children[NAMESPACES]
    entries = {entry.key: entry for entry in namespaces}
    namespaces.replace_all(entries, 5000)
    await harness.copies.read(harness.space)
    await harness.copies.read(harness.space, hourly=True)
    assert len(harness.server.asked) == 1
    for reads, version in ((2, 4000), (3, 6000), (4, 6000)):
        namespaces.begin_list()
        namespaces.replace_all(entries, version)
        await harness.copies.read(harness.space, hourly=True)
        await harness.copies.read(harness.space, hourly=True)
        assert len(harness.server.asked) == reads


async def test_after_a_write_without_an_answer_the_copies_are_read_at_once_and_when_it_is_over() -> None:
    """Seed 50104: the answer to a deletion was lost, and the next App that named the Secret got none."""
    harness = Harness(copy())
    await harness.copies.read(harness.space)
    harness.server.unconfirmed.add("acme")
    harness.server.holds.clear()
    await harness.copies.read(harness.space)
    assert harness.facts() is not None, "an App does not repeat it"
    await harness.copies.read(harness.space, hourly=True)
    assert (harness.facts(), harness.server.unconfirmed) == (None, set())
    assert harness.copies.requeue_after(harness.space) == UNCONFIRMED_SECONDS
    harness.now += UNCONFIRMED_SECONDS
    harness.server.holds[HTTP] = copy()
    await harness.copies.read(harness.space, hourly=True)
    assert harness.facts() is not None, "the write was carried out late"
    assert harness.copies.requeue_after(harness.space) == READ_SECONDS


async def test_a_read_that_fails_after_a_write_without_an_answer_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness(copy())
    await harness.copies.read(harness.space)
    harness.server.unconfirmed.add("acme")
    with monkeypatch.context() as patched:
        patched.setattr(harness.server, "copies", _away)
        with pytest.raises(Unreachable):
            await harness.copies.read(harness.space, hourly=True)
    await harness.copies.read(harness.space, hourly=True)
    assert len(harness.server.asked) == 2


async def _away(_space: str, *, bind: bool) -> list[Obj]:
    raise Unreachable("away")


async def test_a_copy_that_a_finalizer_keeps_is_read_until_it_is_gone() -> None:
    harness = Harness(copy())
    await harness.copies.read(harness.space)
    entry = harness.store.get(HTTP)
    harness.store.mark_deleting(HTTP, entry.uid)
    harness.server.holds[HTTP] = copy(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x/y"])
    await harness.copies.follow_deletions(harness.space)
    assert harness.store.get(HTTP).deleting
    assert harness.copies.requeue_after(harness.space) == REQUEUE_SECONDS
    harness.server.holds.clear()
    await harness.copies.follow_deletions(harness.space)
    assert harness.store.get(HTTP) is None


async def test_another_namespace_of_the_name_is_read_again() -> None:
    harness = Harness(copy())
    await harness.copies.read(harness.space)
    meta = {**owned(NAMESPACES, "acme", ACME)["metadata"], "uid": "another"}
    harness.caches.children[NAMESPACES].put({**owned(NAMESPACES, "acme", ACME), "metadata": meta}, own=False)
    harness.server.holds.clear()
    await harness.copies.read(harness.space)
    assert harness.facts() is None


async def test_another_space_with_the_same_namespace_reads_again() -> None:
    """An orphaning deletion took the references of the copies, and no reconcile saw the moment without a Space."""
    harness = Harness(copy())
    await harness.copies.read(harness.space)
    later = space("acme", uid="later", httpCertSecretName="http")
    harness.caches.spaces.put(later, own=False)
    harness.caches.children[NAMESPACES].put(owned(NAMESPACES, "acme", later), own=False)
    harness.server.holds[HTTP] = copy(ownerReferences=[])
    await harness.copies.read(facts_of(harness.caches, "acme"))
    assert harness.store.get(HTTP).owner_uid == ""


async def test_what_is_known_goes_with_the_space() -> None:
    harness = Harness(copy())
    await harness.copies.read(harness.space)
    harness.copies.forget("acme")
    assert len(harness.store) == 0
    assert harness.copies.requeue_after(harness.space) is None


async def test_another_leader_session_relies_on_nothing_of_the_one_before() -> None:
    harness = Harness(copy())
    await harness.copies.read(harness.space)
    entry = harness.store.get(HTTP)
    harness.store.settled[entry.uid] = entry.content, entry.meta
    Copies(harness.caches, harness.server, lambda: harness.now)
    assert (len(harness.store), harness.store.settled) == (0, {})
