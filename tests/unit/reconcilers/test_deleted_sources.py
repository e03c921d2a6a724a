"""A shared Secret that is no longer there: its copies stay for a moment if it was deleted, and go if it was revoked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from decco.desired import reasons
from decco.desired.model import SecretState
from decco.desired.secrets import problem_of
from decco.objects import Key, Obj, key_of, uid_of
from decco.reconcilers.requested_secrets import GRACE_SECONDS, RETURNING_SECONDS
from tests.unit.reconcilers.test_secrets import NOW, Harness, copy, source, user

SOURCE = Key("decco", "x")


def unlabelled() -> Obj:
    obj = source("x")
    del obj["metadata"]["labels"]
    return obj


def leave(harness: Harness, obj: Obj) -> None:
    """The event is the same for a deletion and for a label that is removed."""
    harness.caches.sources.remove(key_of(obj), uid_of(obj), 10**6)


async def kept(harness: Harness) -> tuple[set[str], list[float]]:
    copying = await harness.secrets.copying(harness.space, NOW)
    assert not copying.write
    return copying.keep, copying.requeue_after


async def test_the_copy_of_a_deleted_secret_stays_for_its_grace_and_goes_then() -> None:
    harness = Harness(user("x"))
    shared = source("x")
    harness.put(shared, copy("x"))
    await harness.secrets.copying(harness.space, NOW)
    leave(harness, shared)
    assert await kept(harness) == ({"x"}, [GRACE_SECONDS])
    harness.now += GRACE_SECONDS - 1
    assert await kept(harness) == ({"x"}, [1.0])
    assert await harness.state("x") is SecretState.DELETED
    harness.now += 1
    assert await kept(harness) == (set(), [])
    assert await harness.state("x") is SecretState.MISSING
    assert harness.server.asked == [SOURCE], "one request for all users"


async def test_during_the_grace_the_copy_is_used_and_the_condition_says_why() -> None:
    harness = Harness(user("x"))
    harness.put(copy("x"))
    view = (await harness.secrets.views(harness.space, ["x"]))["x"]
    assert view.facts is not None
    assert view.facts.ca_pem is not None
    problem = problem_of(
        view, space="acme", fqdn="acme.example.net", controller_namespace="decco", now=datetime.now(UTC)
    )
    assert problem is not None
    assert (problem.reason, "decco/x was deleted" in problem.message) == (reasons.SECRET_DELETED, True)
    assert problem.reason in reasons.WAITING


async def test_the_copy_of_a_secret_that_lost_its_label_goes_at_once() -> None:
    harness = Harness(user("x"), holds=(unlabelled(),))
    shared = source("x")
    harness.put(shared, copy("x"))
    leave(harness, shared)
    assert await kept(harness) == (set(), [])
    assert await harness.state("x") is SecretState.MISSING
    assert harness.server.asked == [SOURCE]


REVOKED = {"shared with another": source("x", "other"), "not shared": source("x", None)}


@pytest.mark.parametrize("how", REVOKED)
async def test_a_copy_without_consent_goes_at_once(how: str) -> None:
    harness = Harness(user("x"))
    harness.put(REVOKED[how], copy("x"))
    assert await kept(harness) == (set(), [])
    assert harness.server.asked == []


async def test_a_secret_that_comes_back_without_consent_ends_the_grace() -> None:
    harness = Harness(user("x"))
    harness.put(copy("x"))
    assert (await kept(harness))[0] == {"x"}
    harness.put(source("x", "other"))
    assert await kept(harness) == (set(), [])


async def test_a_secret_that_came_back_has_its_whole_grace_the_next_time() -> None:
    harness = Harness(user("x"))
    harness.put(copy("x"))
    await kept(harness)
    harness.now += GRACE_SECONDS - 1
    back = source("x")
    harness.put(back)
    assert set((await harness.secrets.copying(harness.space, NOW)).write) == {"x"}
    leave(harness, back)
    assert await kept(harness) == ({"x"}, [GRACE_SECONDS])


async def test_a_secret_that_kubernetes_is_deleting_has_the_same_grace() -> None:
    """A finalizer keeps it there."""
    harness = Harness(user("x"))
    ending = source("x")
    ending["metadata"]["deletionTimestamp"] = "2026-06-01T12:00:00Z"
    harness.put(ending, copy("x"))
    assert await kept(harness) == ({"x"}, [GRACE_SECONDS])
    harness.now += GRACE_SECONDS
    assert await kept(harness) == (set(), [])
    assert harness.server.asked == []


@pytest.mark.parametrize("revoked", [True, False], ids=["loses its label", "is gone in the end"])
async def test_a_secret_that_is_held_in_deletion_can_still_be_revoked(revoked: bool) -> None:
    harness = Harness(user("x"), holds=(unlabelled(),) if revoked else ())
    ending = source("x")
    ending["metadata"]["deletionTimestamp"] = "2026-06-01T12:00:00Z"
    harness.put(ending, copy("x"))
    assert await kept(harness) == ({"x"}, [GRACE_SECONDS])
    harness.now += 1
    leave(harness, ending)
    assert await kept(harness) == ((set(), []) if revoked else ({"x"}, [GRACE_SECONDS - 1]))
    assert harness.server.asked == [SOURCE]


async def test_a_secret_that_exists_and_is_labelled_is_waited_for() -> None:
    """It was created again a moment ago, and the watch is behind."""
    harness = Harness(user("x"), holds=(source("x"),))
    harness.put(copy("x"))
    assert await kept(harness) == ({"x"}, [RETURNING_SECONDS])


async def test_what_has_no_copy_is_not_asked_for() -> None:
    harness = Harness()
    assert await kept(harness) == (set(), [])
    assert harness.server.asked == []


async def test_many_who_miss_one_secret_ask_once() -> None:
    harness = Harness()
    await asyncio.gather(*(harness.deleted.seconds_left(SOURCE) for _ in range(50)))
    assert harness.server.asked == [SOURCE]


async def test_absences_are_forgotten() -> None:
    harness = Harness()
    await harness.deleted.seconds_left(SOURCE)
    harness.now += 4000.0
    await harness.deleted.seconds_left(Key("decco", "other"))
    assert set(harness.deleted._absences) == {Key("decco", "other")}
