"""The reconciler of Apps as a whole: what an App waits for, and what happens to one that is going."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.names import SPACE_OBJECT
from decco.dns.records import Role
from decco.objects import (
    ANNOTATION_ABANDON_DNS,
    ANNOTATION_PAUSED,
    DEPLOYMENTS,
    FINALIZER_DNS,
    NAMESPACES,
    NETWORK_POLICIES,
    Key,
    Obj,
)
from tests.unit.reconcilers.harness import Harness
from tests.unit.reconcilers.world import app, owned, space

DELETED = {"deletionTimestamp": "2026-01-01T00:00:30Z", "finalizers": [FINALIZER_DNS]}
ENDPOINT = {"name": "db", "createDnsRecord": True}
FORMER = {"endpoints": [{"name": "old", "hostname": "old.example.org"}]}


def home_of(owner: Obj) -> list[Obj]:
    """The namespace of a Space, isolated."""
    return [owned(NAMESPACES, owner["metadata"]["name"], owner), owned(NETWORK_POLICIES, SPACE_OBJECT, owner)]


async def after_the_space(*apps: Obj) -> Harness:
    """With a Space whose namespace decco has made."""
    harness = Harness(space(), *apps)
    await harness.space()
    harness.client.writes.clear()
    return harness


async def test_an_app_gets_its_children_once() -> None:
    harness = await after_the_space(app("web", "acme", {"name": "web", "httpPath": "/"}))
    await harness.app()
    assert {"create Deployment web", "create Service web", "create HTTPRoute web"} <= {*harness.written}
    assert harness.reported.condition("WorkloadReady")[0] == "False"  # no pod is ready
    harness.client.writes.clear()
    await harness.app()
    assert harness.written == []


async def test_a_workload_of_another_kind_comes_after_the_former_one() -> None:
    harness = await after_the_space(app())
    await harness.app()
    harness.client.writes.clear()
    harness.caches.apps.put(app(statefulSet={}), own=False)
    await harness.app()
    assert "delete Deployment web" in harness.written
    assert "create StatefulSet web" not in harness.written
    await harness.app()
    assert "create StatefulSet web" in harness.written


async def test_what_an_edit_leaves_out_is_deleted_and_nothing_else() -> None:
    both = [{"name": "web", "httpPath": "/"}, {"name": "more", "httpPath": "/more"}]
    harness = await after_the_space(app("web", "acme", *both))
    await harness.app()
    harness.client.writes.clear()
    harness.caches.apps.put(app("web", "acme", both[0]), own=False)
    await harness.app()
    deleted = {each for each in harness.written if each.startswith("delete ")}
    assert deleted == {"delete Service more", "delete HTTPRoute more"}


@pytest.mark.parametrize(
    ("owner", "released"),
    [
        ([space()], {"old.example.org", "db.acme.example.net"}),
        ([], {"old.example.org"}),
        ([space(domainName=5)], {"old.example.org"}),
    ],
    ids=["with its Space", "without", "with one that cannot be understood"],
)
async def test_an_app_in_deletion_withdraws_the_names_that_may_be_published(
    owner: list[Obj], released: set[str]
) -> None:
    going = app("web", "acme", ENDPOINT, meta=DELETED)
    going["status"] = FORMER
    harness = Harness(*owner, going)
    await harness.app()
    assert harness.names.released == released
    assert not harness.names.abandoned
    assert harness.written == []


@pytest.mark.parametrize(("meta", "abandoned"), [(DELETED, True), ({}, False)], ids=["going", "staying"])
async def test_records_are_abandoned_with_a_space_that_is_going(meta: dict[str, Any], abandoned: bool) -> None:
    owner = space(meta={**meta, "annotations": {ANNOTATION_ABANDON_DNS: "true"}})
    harness = Harness(owner, app("web", "acme", ENDPOINT, meta=DELETED))
    await harness.app()
    assert harness.names.abandoned == abandoned


async def test_an_app_goes_with_its_space() -> None:
    harness = Harness(space(meta=DELETED), app("web", "acme", ENDPOINT))
    await harness.app()
    assert harness.names.released == {"db.acme.example.net"}
    assert harness.written == []


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([app()], "SpaceNotFound"),
        ([space(domainName=5), app()], "NamespaceNotReady"),
        ([space(), app(pod=5)], "Invalid"),
    ],
    ids=["no Space", "a Space that cannot be understood", "an App that cannot be understood"],
)
async def test_an_app_that_cannot_be_made_says_why_and_changes_nothing(objects: list[Obj], reason: str) -> None:
    harness = Harness(*objects)
    await harness.app()
    assert harness.reported.condition("Ready") == ("False", reason)
    assert harness.written == []


async def test_an_app_of_a_space_that_was_never_reconciled_waits_without_a_word() -> None:
    harness = Harness(space(), app())
    action = await harness.app()
    assert harness.reported.status is None
    assert harness.written == []
    assert action.requeue_after is None


async def test_an_app_of_a_space_whose_namespace_is_lost_says_so() -> None:
    owner = space()
    owner["status"] = {"conditions": [{"type": "Ready", "status": "False", "reason": "NameTaken", "message": ""}]}
    harness = Harness(owner, app())
    await harness.app()
    assert harness.reported.condition("Ready") == ("False", "NamespaceNotReady")


async def test_a_paused_app_stays_as_it_is() -> None:
    owner = space()
    paused = app("web", "acme", ENDPOINT, meta={"annotations": {ANNOTATION_PAUSED: "true"}})
    harness = Harness(owner, *home_of(owner), paused)
    await harness.app()
    assert harness.reported.condition("Paused")[0] == "True"
    assert harness.written == []


ELSEWHERE = {"clusters": [{"id": "elsewhere"}]}


async def test_an_app_that_is_not_placed_has_no_pods_and_one_that_leaves_keeps_them_while_names_lead_here() -> None:
    owner, made = space(placement=ELSEWHERE), app("web", "acme", ENDPOINT)
    harness = Harness(owner, made)
    await harness.space()
    assert harness.names.role is Role.LEAVING
    await harness.app()
    assert harness.names.role is Role.LEAVING
    assert harness.names.asked == [], "one that never had pods waits for nobody"
    deployments = harness.caches.children[DEPLOYMENTS]
    (entry,) = deployments.in_namespace("acme")
    assert entry.obj()["spec"]["replicas"] == 0
    assert harness.reported.condition("WorkloadReady")[1] in ("NotPlaced", "Progressing")

    harness = Harness(space(), app("web", "acme", ENDPOINT))
    await harness.space()
    await harness.app()
    harness.caches.spaces.put(space(placement=ELSEWHERE), own=False)
    harness.names.lead = 5.0
    action = await harness.app()
    assert harness.names.asked == [Key("acme", "web"), Key("", "acme")]
    assert action.requeue_after is not None
    assert harness.reported.condition("WorkloadReady") == ("False", "WaitingForCluster")
    assert "change Deployment web" not in harness.written
    harness.names.lead = None
    harness.client.writes.clear()
    await harness.app()
    assert harness.written == ["change Deployment web"]
    assert harness.reported.condition("WorkloadReady")[1] in ("NotPlaced", "Progressing")


async def test_an_app_that_leaves_by_itself_does_not_wait_for_the_names_of_its_space() -> None:
    harness = Harness(space(), app("web", "acme", ENDPOINT))
    await harness.space()
    await harness.app()
    harness.caches.apps.put(app("web", "acme", ENDPOINT, placement=ELSEWHERE), own=False)
    harness.names.lead = 5.0
    await harness.app()
    assert harness.names.asked == [Key("acme", "web")]
