"""Reports: which changes of a status are written, and which become Events."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import pytest

from decco.kube.client import Client
from decco.kube.controller import Postponed
from decco.kube.entry import Entry, Shape, read_entry
from decco.kube.errors import Conflict, Invalid, NotFound, ServerError
from decco.kube.events import Recorder
from decco.kube.store import Store
from decco.objects import APPS, SERVICES, Key, Obj, Resource, key_of
from decco.reconcilers.report import STATUS_BURST, STATUS_SECONDS, Reporter, ready_counts, status_of
from tests.unit.reconcilers.world import VERSIONS, app, make_caches, owned

WEB = app("web")


class Events(Recorder):
    """Records what it receives."""

    def __init__(self, *, busy: bool = False) -> None:
        self.is_busy = busy
        self.published: list[str] = []

    def may_send_minor_event(self) -> bool:
        return not self.is_busy

    def event(self, obj_ref: Obj, type: str, reason: str, message: str, action: str) -> None:  # noqa: A002
        assert obj_ref["metadata"]["uid"]
        self.published.append(f"{type} {reason} {message}")


class Server(Client):
    """Stores a status, or fails on demand."""

    def __init__(self, error: Exception | None = None, live: Obj | None = None) -> None:
        self.error, self.live = error, live
        self.bodies: list[Obj] = []

    async def get(self, resource: Resource, key: Key) -> Obj:
        if self.live is None:
            raise NotFound(404, "NotFound", "gone")
        return self.live

    async def replace_status(self, resource: Resource, obj: Obj) -> Obj:
        self.bodies.append(copy.deepcopy(obj))
        if self.error is not None:
            raise self.error
        meta = {**WEB["metadata"], "resourceVersion": str(next(VERSIONS))}
        return {**WEB, "metadata": meta, "status": obj["status"]}


def left(deleting: bool = False, **meta: Any) -> list[tuple[Resource, Entry]]:
    meta |= {"ownerReferences": [], **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {})}
    return [(SERVICES, read_entry(owned(SERVICES, "db", WEB, meta=meta), Shape()))]


def test_what_is_left_over_is_said_once_with_the_way_out() -> None:
    events = Events()
    reporter = Reporter(Server(), events)
    for _ in range(3):
        reporter.left_over(APPS, WEB, left())
    (published,) = events.published
    assert published == (
        "Warning LeftOver Service acme/db has decco's labels and no owner, and no object requires it now. While a "
        "backup is being restored, wait: decco takes it back when its Space or App is there. decco removes only what "
        "it surely made: if nobody needs it and what is in it, kubectl delete services db --namespace acme"
    )


def test_what_is_left_over_in_deletion_is_said_with_who_holds_it() -> None:
    events = Events()
    reporter = Reporter(Server(), events)
    reporter.left_over(APPS, WEB, left(deleting=True, finalizers=["foregroundDeletion"]))
    assert events.published == [], "it is about to go"
    reporter.left_over(APPS, WEB, left(deleting=True, finalizers=["x.example.net/keep"]))
    (published,) = events.published
    assert published == (
        "Warning LeftOver Service acme/db is no longer desired, but is held in deletion by the finalizers "
        "x.example.net/keep: remove them"
    )


def status(**conditions: str | tuple[str, str]) -> Obj:
    """Type -> "True", a reason, or a reason and a message."""
    found = []
    for kind, what in conditions.items():
        reason, message = what if isinstance(what, tuple) else (what, f"{kind} says {what}")
        good = reason == "True"
        found.append(
            {"type": kind, "status": str(good), "reason": "Reconciled" if good else reason, "message": message}
        )
    return {"conditions": found}


async def report(before: Obj | None, after: Obj, *, busy: bool = False, error: Exception | None = None) -> list[str]:
    """The Events that come of it."""
    caches, events = make_caches(), Events(busy=busy)
    obj = {**WEB, **({"status": before} if before is not None else {})}
    entry = caches.apps.put(copy.deepcopy(obj), own=False)
    await Reporter(Server(error), events).report(caches.apps, entry, entry.obj(), after)
    return events.published


async def test_an_equal_status_is_no_write() -> None:
    caches, server, events = make_caches(), Server(), Events()
    entry = caches.apps.put({**copy.deepcopy(WEB), "status": status(Ready="True")}, own=False)
    assert not await Reporter(server, events).report(caches.apps, entry, entry.obj(), status(Ready="True"))
    assert (server.bodies, events.published) == ([], [])


async def test_one_write_with_the_version_that_it_was_worked_out_from() -> None:
    caches, server = make_caches(), Server()
    entry = caches.apps.put(copy.deepcopy(WEB), own=False)
    assert await Reporter(server, Events()).report(caches.apps, entry, entry.obj(), status(Ready="True"))
    (body,) = server.bodies
    assert body["metadata"] == {
        "name": "web",
        "namespace": "acme",
        "uid": entry.uid,
        "resourceVersion": str(entry.version),
    }
    assert body["status"] == status(Ready="True")
    again = caches.apps.get(key_of(WEB))
    assert again is not None
    assert again.ready == "True", "the cache has it at once"


SECRET_MISSING = ("SecretMissing", "no Secret a")

CHANGES: dict[str, tuple[Obj | None, Obj, list[str]]] = {
    "a new object": (
        None,
        status(Ready="Progressing", WorkloadReady="Progressing", CertificatesReady="True"),
        [
            "Normal Progressing WorkloadReady: WorkloadReady says Progressing",
            "Normal Reconciled CertificatesReady: CertificatesReady says True",
        ],
    ),
    "a new object that is ready at once": (
        None,
        status(Ready="True", WorkloadReady="True"),
        [
            "Normal Reconciled WorkloadReady: WorkloadReady says True",
            "Normal Reconciled Ready: Ready says True",
        ],
    ),
    "an object of which nothing can be made": (
        None,
        status(Ready="SpaceNotFound"),
        ["Warning SpaceNotFound Ready: Ready says SpaceNotFound"],
    ),
    "it becomes ready": (
        status(Ready="Progressing", WorkloadReady="Progressing"),
        status(Ready="True", WorkloadReady="True"),
        [
            "Normal Reconciled WorkloadReady: WorkloadReady says True",
            "Normal Reconciled Ready: Ready says True",
        ],
    ),
    "it is no longer ready": (
        status(Ready="True", WorkloadReady="True"),
        status(Ready="Unavailable", WorkloadReady="Unavailable"),
        [
            "Warning Unavailable WorkloadReady: WorkloadReady says Unavailable",
            "Warning Unavailable Ready: Ready says Unavailable",
        ],
    ),
    "another reason": (
        status(Ready="Progressing", WorkloadReady="Progressing"),
        status(Ready="Invalid", WorkloadReady="Invalid"),
        ["Warning Invalid WorkloadReady: WorkloadReady says Invalid"],
    ),
    "the same reason about something else": (
        status(CertificatesReady=("SecretMissing", "no Secret a")),
        status(CertificatesReady=("SecretMissing", "no Secret b")),
        ["Warning SecretMissing CertificatesReady: no Secret b"],
    ),
    "it waits for something else": (
        status(RoutesReady=("WaitingForEdge", "a, b")),
        status(RoutesReady=("WaitingForEdge", "b")),
        [],
    ),
    "good in other words": (status(Ready=("True", "a")), status(Ready=("True", "b")), []),
    "a condition that no longer applies": (
        status(Ready="True", RoutesReady="True"),
        status(Ready="True"),
        [],
    ),
    "paused": (
        status(Ready="True", WorkloadReady="True"),
        status(Ready="True", WorkloadReady="True", Paused="True"),
        ["Normal Reconciled Paused: Paused says True"],
    ),
    "resumed, and found wanting": (
        status(Ready="True", WorkloadReady="True", Paused="True"),
        status(Ready="Progressing", WorkloadReady="Progressing"),
        [
            "Normal Resumed no longer paused: decco reconciles all changes made meanwhile",
            "Normal Progressing WorkloadReady: WorkloadReady says Progressing",
            "Normal Progressing Ready: Ready says Progressing",
        ],
    ),
    "only a number": ({**status(Ready="True"), "replicas": 1}, {**status(Ready="True"), "replicas": 2}, []),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_events(what: str) -> None:
    before, after, published = CHANGES[what]
    assert await report(before, after) == published


async def test_where_thousands_begin_the_normal_beginning_is_not_reported() -> None:
    new = status(
        Ready="SecretMissing", WorkloadReady="Progressing", CertificatesReady=SECRET_MISSING, RoutesReady="True"
    )
    assert await report(None, new, busy=True) == ["Warning SecretMissing CertificatesReady: no Secret a"]
    paused = status(Ready="True"), status(Ready="True", Paused="True")
    assert await report(*paused, busy=True) == ["Normal Reconciled Paused: Paused says True"]
    turned = status(Ready="True"), status(Ready="Progressing")
    assert await report(turned[1], turned[0], busy=True) == ["Normal Reconciled Ready: Ready says True"]


@pytest.mark.parametrize(
    ("error", "published"),
    [
        (Invalid(422, "Invalid", "spec: too old"), ["Warning Invalid Ready: x"]),
        (NotFound(404, "NotFound", "gone"), []),
    ],
    ids=["breaks a younger rule", "gone"],
)
async def test_a_status_that_cannot_be_written(error: Exception, published: list[str]) -> None:
    assert await report(None, status(Ready=("Invalid", "x")), error=error) == published


async def test_a_404_for_an_object_that_is_there_is_tried_again() -> None:
    """As from a webhook: no event follows it, and the status would stay as it is for ever."""
    missing = NotFound(404, "NotFound", "no")
    entry = read_entry(WEB, Shape())
    for uid, is_refused in ((entry.uid, True), ("another", False)):
        live = {**WEB, "metadata": {**WEB["metadata"], "uid": uid}}
        reporter = Reporter(Server(missing, live), Events())
        with pytest.raises(NotFound) if is_refused else nullcontext():
            assert not await reporter.report(Store(APPS, Shape()), entry, WEB, status(Ready="True"))


BY_POLICY = Invalid(422, "Invalid", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no")


@pytest.mark.parametrize("error", [Conflict(409, "Conflict", "x"), ServerError(500, "InternalError", "x"), BY_POLICY])
async def test_what_may_pass_is_tried_again(error: Exception) -> None:
    with pytest.raises(type(error)):
        await report(None, status(Ready="True"), error=error)


@pytest.mark.parametrize(
    "junk",
    [None, "text", [], {"conditions": "x"}, {"conditions": [1]}, {"conditions": [{"type": "Ready"}]}],
)
def test_somebody_elses_status_is_none(junk: Any) -> None:
    assert status_of({"status": junk}) == {}


def test_counts_of_ready() -> None:
    caches = make_caches()
    for name, after in (
        ("a", status(Ready="True")),
        ("b", status(Ready="True")),
        ("c", status(Ready="Invalid")),
        ("d", {}),
    ):
        caches.apps.put({**app(name), "status": after}, own=False)
    assert ready_counts(caches.apps) == {"True": 2, "False": 1, "Unknown": 1}


async def test_the_status_writes_of_one_space_wait_in_turn_and_others_do_not() -> None:
    caches, server, now = make_caches(), Server(), 0.0
    reporter = Reporter(server, Events(), lambda: now)

    async def write(namespace: str) -> bool:
        entry = caches.apps.put(app("web", namespace), own=False)
        return await reporter.report(caches.apps, entry, entry.obj(), status(Ready="True"))

    for _ in range(STATUS_BURST):
        assert await write("noisy")
    with pytest.raises(Postponed) as postponed:
        await write("noisy")
    assert postponed.value.seconds == 2 * STATUS_SECONDS
    assert await write("calm")
    now += postponed.value.seconds
    assert await write("noisy")
    assert len(server.bodies) == STATUS_BURST + 2


async def test_a_status_of_an_object_that_has_changed_meanwhile_is_not_sent() -> None:
    """The API server would refuse it: half of all writes, where an App is edited without pause."""
    server, caches = Server(), make_caches()
    entry = caches.apps.put(copy.deepcopy(WEB), own=False)
    meta = {**WEB["metadata"], "resourceVersion": str(next(VERSIONS))}
    fresh = caches.apps.put({**copy.deepcopy(WEB), "metadata": meta}, own=False)
    with pytest.raises(Conflict):
        await Reporter(server, Events()).report(caches.apps, entry, WEB, status(Ready="True"))
    assert server.bodies == []
    assert await Reporter(server, Events()).report(caches.apps, fresh, WEB, status(Ready="True"))
