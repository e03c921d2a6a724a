"""A shared Secret that is no longer there: its copies stay for a moment if it was deleted, and go if it was revoked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from decco.desired import reasons
from decco.desired.model import SecretState
from decco.desired.secrets import problem_of
from decco.objects import Key, Obj, key_of, uid_of
from decco.reconcilers.deleted_sources import GRACE_SECONDS, RETURNING_SECONDS
from tests.unit.reconcilers.test_secrets import NOW, Stage, copy, source, user

HOME = Key("decco", "x")


def unlabelled() -> Obj:
    obj = source("x")
    del obj["metadata"]["labels"]
    return obj


def leave(stage: Stage, obj: Obj) -> None:
    """The event is the same for a deletion and for a label that is removed."""
    stage.caches.sources.remove(key_of(obj), uid_of(obj), 10**6)


async def kept(stage: Stage) -> tuple[set[str], list[float]]:
    copying = await stage.secrets.copying(stage.space, NOW)
    assert not copying.write
    return copying.keep, copying.requeue_afters


async def test_the_copy_of_a_deleted_secret_stays_for_its_grace_and_goes_then() -> None:
    stage = Stage(user("x"))
    shared = source("x")
    stage.put(shared, copy("x"))
    await stage.secrets.copying(stage.space, NOW)
    leave(stage, shared)
    assert await kept(stage) == ({"x"}, [GRACE_SECONDS])
    stage.now += GRACE_SECONDS - 1
    assert await kept(stage) == ({"x"}, [1.0])
    assert await stage.state("x") is SecretState.DELETED
    stage.now += 1
    assert await kept(stage) == (set(), [])
    assert await stage.state("x") is SecretState.MISSING
    assert stage.server.asked == [HOME], "asked once, whoever wants to know"


async def test_during_the_grace_the_copy_is_used_and_the_condition_says_why() -> None:
    stage = Stage(user("x"))
    stage.put(copy("x"))
    view = (await stage.secrets.views(stage.space, ["x"]))["x"]
    assert view.facts is not None
    assert view.facts.ca_pem is not None
    problem = problem_of(view, space="acme", home="decco", now=datetime.now(UTC))
    assert problem is not None
    assert (problem.reason, "decco/x was deleted" in problem.message) == (reasons.SECRET_DELETED, True)
    assert problem.reason in reasons.WAITING


async def test_the_copy_of_a_secret_that_lost_its_label_goes_at_once() -> None:
    stage = Stage(user("x"), holds=(unlabelled(),))
    shared = source("x")
    stage.put(shared, copy("x"))
    leave(stage, shared)
    assert await kept(stage) == (set(), [])
    assert await stage.state("x") is SecretState.MISSING
    assert stage.server.asked == [HOME]


REVOKED = {"shared with another": source("x", "other"), "shared with nobody": source("x", None)}


@pytest.mark.parametrize("how", REVOKED)
async def test_a_copy_without_consent_goes_at_once(how: str) -> None:
    stage = Stage(user("x"))
    stage.put(REVOKED[how], copy("x"))
    assert await kept(stage) == (set(), [])
    assert stage.server.asked == []


async def test_a_secret_that_comes_back_without_consent_ends_the_grace() -> None:
    stage = Stage(user("x"))
    stage.put(copy("x"))
    assert (await kept(stage))[0] == {"x"}
    stage.put(source("x", "other"))
    assert await kept(stage) == (set(), [])


async def test_a_secret_that_came_back_has_its_whole_grace_the_next_time() -> None:
    stage = Stage(user("x"))
    stage.put(copy("x"))
    await kept(stage)
    stage.now += GRACE_SECONDS - 1
    back = source("x")
    stage.put(back)
    assert set((await stage.secrets.copying(stage.space, NOW)).write) == {"x"}
    leave(stage, back)
    assert await kept(stage) == ({"x"}, [GRACE_SECONDS])


async def test_a_secret_that_kubernetes_is_deleting_has_the_same_grace() -> None:
    """A finalizer keeps it there."""
    stage = Stage(user("x"))
    ending = source("x")
    ending["metadata"]["deletionTimestamp"] = "2026-06-01T12:00:00Z"
    stage.put(ending, copy("x"))
    assert await kept(stage) == ({"x"}, [GRACE_SECONDS])
    stage.now += GRACE_SECONDS
    assert await kept(stage) == (set(), [])
    assert stage.server.asked == []


@pytest.mark.parametrize("revoked", [True, False], ids=["loses its label", "is gone in the end"])
async def test_a_secret_that_is_held_in_deletion_can_still_be_revoked(revoked: bool) -> None:
    stage = Stage(user("x"), holds=(unlabelled(),) if revoked else ())
    ending = source("x")
    ending["metadata"]["deletionTimestamp"] = "2026-06-01T12:00:00Z"
    stage.put(ending, copy("x"))
    assert await kept(stage) == ({"x"}, [GRACE_SECONDS])
    stage.now += 1
    leave(stage, ending)
    assert await kept(stage) == ((set(), []) if revoked else ({"x"}, [GRACE_SECONDS - 1]))
    assert stage.server.asked == [HOME]


async def test_a_secret_that_exists_and_is_labelled_is_waited_for() -> None:
    """It was created again a moment ago, and the watch is behind."""
    stage = Stage(user("x"), holds=(source("x"),))
    stage.put(copy("x"))
    assert await kept(stage) == ({"x"}, [RETURNING_SECONDS])


async def test_what_has_no_copy_is_not_asked_for() -> None:
    stage = Stage()
    assert await kept(stage) == (set(), [])
    assert stage.server.asked == []


async def test_many_who_miss_one_secret_ask_once() -> None:
    stage = Stage()
    await asyncio.gather(*(stage.deleted.seconds_left(HOME) for _ in range(50)))
    assert stage.server.asked == [HOME]


async def test_absences_are_forgotten() -> None:
    stage = Stage()
    await stage.deleted.seconds_left(HOME)
    stage.now += 4000.0
    await stage.deleted.seconds_left(Key("decco", "other"))
    assert set(stage.deleted._absences) == {Key("decco", "other")}
