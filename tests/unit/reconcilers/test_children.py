"""Writing the children of one owner: what one child's failure means for the others, and when to ask again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from decco.desired import reasons
from decco.desired.model import Child, Problem
from decco.desired.ownership import LabelledOwner
from decco.kube.apply import Applied, Applier, Result
from decco.kube.entry import Entry, Shape, read_entry
from decco.kube.errors import Conflict, Forbidden, Invalid, NotListed, NotServed, ServerError
from decco.kube.identity import Foreign
from decco.kube.prune import Pruner
from decco.kube.repair_backoff import DriftConflict, OtherWriter
from decco.objects import (
    ANNOTATION_HASH,
    CONFIGMAPS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    JOBS,
    NETWORK_POLICIES,
    SERVICES,
    Key,
    Obj,
    Resource,
    key_of,
)
from decco.reconcilers.children import ChildWriter, Written
from decco.reconcilers.outcomes import REQUEUE_SECONDS
from decco.reconcilers.rejections import REFUSAL_SECONDS
from tests.unit.reconcilers.world import app, owned

OWNER = LabelledOwner("acme", "web")
WEB = app("web", "acme", uid="web-uid")
INVALID = Invalid(422, "Invalid", "spec: wrong")
FORBIDDEN = Forbidden(403, "Forbidden", "exceeded quota: decco")
DOWN = ServerError(500, "InternalError", "failed calling webhook")
OVERTAKEN = Conflict(409, "Conflict", "modified")


def child(resource: Resource, name: str = "web", **content: Any) -> Child:
    obj = owned(resource, name, WEB, **content)
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation"):
        del obj["metadata"][field]
    return Child(resource, obj)


class Script(Applier):
    """Stands where the applier does: each kind ends as given, and the calls are recorded."""

    def __init__(
        self, *, repaired: bool = False, changed: Collection[Resource] = (), **ends: Exception | Result
    ) -> None:
        """``changed`` are the kinds whose desired state differs from the last write."""
        self.changed = changed
        self.as_written: Collection[Resource] = ()
        self.ends = ends
        self.repaired = repaired
        self.live: tuple[str, bytes, bytes, bool] | None = None
        self.asked: list[str] = []
        self.entries: dict[Resource, Entry] = {}
        self.pruner: Pruner = Pruning(self)

    async def ensure(self, resource: Resource, desired: Obj) -> Applied:
        self.asked.append(f"{resource.kind}/{key_of(desired).name}")
        end = self.ends.get(resource.kind, Result.UNCHANGED)
        if isinstance(end, Exception):
            raise end
        return Applied(end, self.entries.get(resource), self.repaired and end is Result.UPDATED)

    def changes(self, resource: Resource, desired: Obj) -> bool:
        return resource in self.changed

    def state(self, resource: Resource, key: Key) -> tuple[str, bytes, bytes, bool] | None:
        return self.live

    def is_as_written(self, resource: Resource, desired: Obj) -> bool:
        return resource in self.as_written

    async def check(self, resource: Resource, desired: Obj) -> None:
        self.asked.append(f"check {resource.kind}")
        end = self.ends.get(f"check_{resource.kind}")
        if isinstance(end, Exception):
            raise end


class Pruning(Pruner):
    def __init__(self, script: Script) -> None:
        self.script = script

    async def prune(
        self, owner_uid: str, owner: Key, keep: Collection[tuple[Resource, Key]], labelled_owner: object = None
    ) -> int:
        end = self.script.ends.get("prune", Result.UNCHANGED)
        if isinstance(end, Exception):
            raise end
        return 2

    def left_over(
        self, owner_uid: str, namespace: str, keep: Collection[tuple[Resource, Key]], labelled_owner: object
    ) -> list[tuple[Resource, Entry]]:
        return list(self.script.entries.items())


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def write(script: Script, *children: Child, clock: Clock | None = None) -> Written:
    return await ChildWriter(script, clock or Clock()).write(children)


async def test_in_order_and_counted() -> None:
    script = Script(Service=Result.CREATED, ConfigMap=Result.UPDATED, Job=Result.DELETED)
    written = await write(script, child(SERVICES), child(CONFIGMAPS), child(DEPLOYMENTS), child(JOBS))
    assert script.asked == ["Service/web", "ConfigMap/web", "Deployment/web", "Job/web"]
    assert written.writes == 3
    assert set(written.outcomes.values()) == {None}
    assert (written.requeue_after, written.retryable_errors) == (None, [])


async def test_repairs_are_reported_by_kind() -> None:
    repaired: list[str] = []
    script = Script(repaired=True, Deployment=Result.UPDATED, Service=Result.CREATED)
    await ChildWriter(script, Clock(), repaired.append).write([child(SERVICES), child(DEPLOYMENTS), child(CONFIGMAPS)])
    assert repaired == ["deployments.apps"]


@pytest.mark.parametrize(
    ("end", "reason", "requeue_after", "retryable"),
    [
        (INVALID, reasons.INVALID, REFUSAL_SECONDS, False),
        (FORBIDDEN, reasons.QUOTA_EXCEEDED, REQUEUE_SECONDS, False),
        (Foreign(SERVICES, Key("acme", "web")), reasons.CONFLICT, REQUEUE_SECONDS, False),
        (DOWN, reasons.NOT_WRITTEN, None, True),
    ],
    ids=["invalid", "quota", "foreign", "webhook"],
)
async def test_one_that_fails_keeps_no_other_back(
    end: Exception, reason: str, requeue_after: float | None, retryable: bool
) -> None:
    script = Script(Service=end)
    written = await write(script, child(SERVICES), child(DEPLOYMENTS))
    problem = written.outcomes["Service", "web"]
    assert problem is not None
    assert problem.reason == reason
    assert written.outcomes["Deployment", "web"] is None
    assert written.requeue_after == requeue_after
    assert written.retryable_errors == ([end] if retryable else [])
    assert written.unwritten == ({SERVICES} if retryable else set())


@pytest.mark.parametrize("end", [INVALID, FORBIDDEN, DOWN, OVERTAKEN])
async def test_nothing_runs_while_its_policy_is_not_written(end: Exception) -> None:
    script = Script(NetworkPolicy=end)
    written = await write(script, child(NETWORK_POLICIES), child(SERVICES), child(DEPLOYMENTS), child(JOBS))
    assert script.asked == ["NetworkPolicy/web", "Service/web"]
    assert ("Deployment", "web") not in written.outcomes


async def test_several_rounds_add_up() -> None:
    script = Script(NetworkPolicy=DOWN, Service=Result.CREATED)
    writer = ChildWriter(script, Clock())
    written = await writer.write([child(NETWORK_POLICIES)])
    again = await writer.write([child(SERVICES), child(DEPLOYMENTS)], written)
    assert again is written
    assert script.asked == ["NetworkPolicy/web", "Service/web"], "the policy of the first round counts"
    assert written.writes == 1


async def test_the_sooner_requeue_counts() -> None:
    written = await write(Script(Service=FORBIDDEN, ConfigMap=INVALID), child(CONFIGMAPS), child(SERVICES))
    assert written.requeue_after == REQUEUE_SECONDS


async def test_an_object_deleted_during_the_reconcile_is_requeued_soon() -> None:
    written = await write(Script(Service=Result.WAITING), child(SERVICES))
    assert written.requeue_after == 1.0
    assert written.outcomes["Service", "web"] is None


async def test_another_writer_is_no_news() -> None:
    written = await write(Script(Service=OVERTAKEN, ConfigMap=DOWN), child(CONFIGMAPS), child(SERVICES))
    with pytest.raises(Conflict):
        written.raise_if_overtaken()
    (await write(Script(ConfigMap=DOWN), child(CONFIGMAPS))).raise_if_overtaken()


async def test_a_deletion_that_fails_hides_no_other_news() -> None:
    script = Script(prune=DOWN)
    written = Written()
    await ChildWriter(script, Clock()).prune("web-uid", OWNER, set(), written)
    assert written.retryable_errors == [DOWN]
    await ChildWriter(Script(), Clock()).prune("web-uid", OWNER, set(), written)
    assert written.writes == 2


# -- children that are held in deletion --------------------------------------------------------------------------------


def held(resource: Resource, *finalizers: str) -> Entry:
    meta = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": list(finalizers)}
    return read_entry(owned(resource, "web", WEB, meta=meta), Shape())


@pytest.mark.parametrize("resource", [NETWORK_POLICIES, SERVICES, CONFIGMAPS, DEPLOYMENTS, JOBS])
@pytest.mark.parametrize("end", [Result.WAITING, Result.UPDATED])
async def test_a_child_that_is_held_in_deletion_is_a_problem_that_names_who_holds_it(
    resource: Resource, end: Result
) -> None:
    script = Script(**{resource.kind: end})
    script.entries[resource] = held(resource, "x.example.net/keep", "foregroundDeletion")
    problem = (await write(script, child(resource))).outcomes[resource.kind, "web"]
    assert problem is not None
    assert problem.reason == reasons.BEING_DELETED
    assert f"{resource.kind} acme/web is being deleted and is held by the finalizers x.example.net/keep:" in (
        problem.message
    )


async def test_a_deletion_that_kubernetes_is_about_to_end_only_waits() -> None:
    script = Script(Deployment=Result.WAITING)
    script.entries[DEPLOYMENTS] = held(DEPLOYMENTS, "foregroundDeletion")
    problem = (await write(script, child(DEPLOYMENTS))).outcomes["Deployment", "web"]
    assert problem is not None
    assert problem.reason == reasons.NOT_WRITTEN


async def test_of_a_job_in_deletion_the_record_of_its_run_says_whether_it_comes_back() -> None:
    script = Script(Job=Result.WAITING)
    script.entries[JOBS] = held(JOBS, "foregroundDeletion")
    assert (await write(script, child(JOBS))).outcomes == {("Job", "web"): None}


async def test_no_workload_starts_behind_a_policy_that_is_being_deleted() -> None:
    script = Script(NetworkPolicy=Result.UPDATED)
    script.entries[NETWORK_POLICIES] = held(NETWORK_POLICIES, "x.example.net/keep")
    await write(script, child(NETWORK_POLICIES), child(SERVICES), child(DEPLOYMENTS))
    assert script.asked == ["NetworkPolicy/web", "Service/web"]


async def test_no_workload_starts_while_the_policy_of_the_space_is_not_in_place() -> None:
    script, why = Script(), Problem(reasons.NAMESPACE_NOT_READY, "the policy goes")
    written = await ChildWriter(script, Clock()).write([child(SERVICES), child(DEPLOYMENTS)], Written(waits_for=why))
    assert script.asked == ["Service/web"]
    assert written.outcomes["Deployment", "web"] == why


async def test_what_runs_is_still_repaired_while_a_policy_is_not_in_place() -> None:
    script = Script(NetworkPolicy=DOWN)
    script.as_written = (DEPLOYMENTS,)
    await write(script, child(NETWORK_POLICIES), child(DEPLOYMENTS))
    assert script.asked == ["NetworkPolicy/web", "Deployment/web"]


# -- cached rejections -------------------------------------------------------------------------------------------------


async def test_a_rejection_is_cached_until_something_changes() -> None:
    script, clock = Script(Service=INVALID), Clock()
    writer = ChildWriter(script, clock)
    await writer.write([child(SERVICES)])
    clock.now += 100
    again = await writer.write([child(SERVICES)])
    assert len(script.asked) == 1
    assert again.outcomes["Service", "web"] is not None
    assert again.requeue_after == REFUSAL_SECONDS - 100, "the time that is left"
    await writer.write([child(SERVICES, spec={"other": True})])
    assert len(script.asked) == 2, "another object"


# -- a value that the cluster's version does not serve -----------------------------------------------------------------

FIELD = "spec.optional"
UNSERVED = Invalid(
    422, "Invalid", "Unsupported value", {"causes": [{"reason": "FieldValueNotSupported", "field": FIELD}]}
)


class Older(Script):
    """An API server that refuses the field; ``ends`` are those of the objects without it."""

    async def ensure(self, resource: Resource, desired: Obj) -> Applied:
        if "optional" in desired.get("spec", {}):
            self.asked.append("refused")
            raise UNSERVED
        applied = await super().ensure(resource, desired)
        self.live = ("1", b"", b"", False)
        return applied


def optional(value: str = "new") -> Child:
    plain = child(SERVICES, spec={"port": 1}).obj
    return Child(SERVICES, {**plain, "spec": {"port": 1, "optional": value}}, without=(FIELD, plain))


async def test_an_object_is_written_without_the_value_that_is_not_served() -> None:
    script, clock = Older(Service=Result.CREATED), Clock()
    writer = ChildWriter(script, clock)
    written = await writer.write([optional(), child(CONFIGMAPS)])
    assert script.asked == ["refused", "Service/web", "ConfigMap/web"]
    assert written.writes == 1
    assert written.requeue_after == REFUSAL_SECONDS
    problem = written.outcomes["Service", "web"]
    assert problem is not None
    assert problem.reason == reasons.VALUE_NOT_SERVED

    script.ends = {}
    clock.now += 100
    again = await writer.write([optional()])
    assert script.asked[3:] == ["Service/web"], "the refused one is not asked for again, and the other is kept as it is"
    assert (again.writes, again.outcomes) == (0, {("Service", "web"): problem})
    clock.now += REFUSAL_SECONDS
    await writer.write([optional()])
    assert script.asked[4:] == ["refused", "Service/web"], "after an upgrade it passes"


@pytest.mark.parametrize("end", [FORBIDDEN, Foreign(SERVICES, Key("acme", "web"))])
async def test_what_also_refuses_the_rest_is_the_outcome(end: Exception) -> None:
    written = await write(Older(Service=end), optional())
    problem = written.outcomes["Service", "web"]
    assert problem is not None
    assert problem.reason != reasons.VALUE_NOT_SERVED
    assert not written.retryable_errors


async def test_a_retryable_error_of_the_rest_is_tried_again() -> None:
    written = await write(Older(Service=DOWN), optional())
    assert written.retryable_errors == [DOWN]
    assert written.unwritten == {SERVICES}


async def test_of_another_owner_it_is_another_question() -> None:
    script = Script(Service=INVALID)
    writer = ChildWriter(script, Clock())
    await writer.write([child(SERVICES)])
    claimant = child(SERVICES)
    claimant.obj["metadata"]["ownerReferences"][0]["uid"] = "another"
    await writer.write([claimant])
    assert len(script.asked) == 2


async def test_in_the_end_it_is_asked_again() -> None:
    """A policy of the cluster may have changed, and no event reports it."""
    script, clock = Script(Service=INVALID), Clock()
    writer = ChildWriter(script, clock)
    await writer.write([child(SERVICES)])
    clock.now += REFUSAL_SECONDS
    script.ends = {"Service": Result.CREATED}
    written = await writer.write([child(SERVICES)])
    assert written.outcomes["Service", "web"] is None
    assert written.requeue_after is None
    assert len(script.asked) == 2


@pytest.mark.parametrize("end", [FORBIDDEN, Foreign(SERVICES, Key("acme", "web")), DOWN])
async def test_what_may_end_by_itself_is_asked_each_time(end: Exception) -> None:
    script = Script(Service=end)
    writer = ChildWriter(script, Clock())
    for _ in range(3):
        await writer.write([child(SERVICES)])
    assert len(script.asked) == 3


async def test_a_cached_rejection_of_a_policy_isolates_nothing() -> None:
    script = Script(NetworkPolicy=INVALID)
    writer = ChildWriter(script, Clock())
    for _ in range(2):
        await writer.write([child(NETWORK_POLICIES), child(DEPLOYMENTS)])
    assert script.asked == ["NetworkPolicy/web"]


async def test_unused_entries_are_forgotten() -> None:
    script, clock = Script(Service=INVALID), Clock()
    writer = ChildWriter(script, clock)
    for number in range(5):
        await writer.write([child(SERVICES, f"s{number}")])
    clock.now += 2 * REFUSAL_SECONDS
    await writer.write([child(SERVICES, "last")])
    assert len(writer._rejections) == 1


# -- what pods read, and the pods themselves --------------------------------------------------------------------------

BOTH = (CONFIGMAPS, DEPLOYMENTS)


async def test_what_pods_read_stays_while_their_new_form_is_refused() -> None:
    script = Script(changed=BOTH, check_Deployment=INVALID)
    writer = ChildWriter(script, Clock())
    children = [child(NETWORK_POLICIES), child(CONFIGMAPS), child(SERVICES), child(DEPLOYMENTS)]
    for asked in (["check Deployment"], []):  # the second time the answer is cached
        script.asked.clear()
        written = await writer.write(children)
        assert script.asked == ["NetworkPolicy/web", *asked, "Service/web"]
        refused = written.outcomes["Deployment", "web"]
        assert refused is not None
        assert refused.reason == reasons.INVALID
        assert ("ConfigMap", "web") not in written.outcomes
        assert written.requeue_after == REFUSAL_SECONDS


async def test_both_are_written_if_the_pods_are_accepted() -> None:
    script = Script(changed=BOTH)
    await write(script, child(CONFIGMAPS), child(DEPLOYMENTS))
    assert script.asked == ["check Deployment", "ConfigMap/web", "Deployment/web"]


@pytest.mark.parametrize("changed", [(), (CONFIGMAPS,), (DEPLOYMENTS,)])
async def test_nothing_is_asked_if_one_of_them_stays(changed: tuple[Resource, ...]) -> None:
    script = Script(changed=changed, check_Deployment=INVALID)
    await write(script, child(CONFIGMAPS), child(DEPLOYMENTS))
    assert script.asked == ["ConfigMap/web", "Deployment/web"]


async def test_a_retryable_error_of_the_dry_run_is_tried_again() -> None:
    script = Script(changed=BOTH, check_Deployment=DOWN)
    written = await write(script, child(CONFIGMAPS), child(DEPLOYMENTS))
    assert script.asked == ["check Deployment"]
    assert written.retryable_errors == [DOWN]


async def test_a_kind_that_cannot_be_listed_is_reported_and_not_tried_again_and_again() -> None:
    written = await write(Script(Service=NotListed("Service objects cannot be listed (forbidden)")), child(SERVICES))
    assert (written.retryable_errors, written.unwritten, written.requeue_after) == ([], {SERVICES}, None)
    problem = written.outcomes["Service", "web"]
    assert problem is not None
    assert "Service objects cannot be listed (forbidden)" in problem.message


async def test_a_kind_that_is_not_served_is_no_refusal() -> None:
    error = NotServed(404, "", "404 page not found")
    written = await write(Script(Service=error), child(SERVICES))
    assert (written.retryable_errors, written.unwritten) == ([error], {SERVICES})


# Objects that are no longer desired and held in deletion


class Withdrawing(Pruner):
    def __init__(self, end: Exception | None = None) -> None:
        self.bodies: list[Obj] = []
        self.end = end

    async def withdraw(self, resource: Resource, entry: Entry, reduce: Callable[[Resource, Obj], Obj | None]) -> bool:
        if self.end is not None:
            raise self.end
        body = reduce(resource, entry.obj())
        assert body is not None
        self.bodies.append(body)
        return True


async def withdraw(pruner: Pruner, entry: Entry, written: Written | None = None) -> None:
    script = Script()
    script.pruner = pruner
    await ChildWriter(script, lambda: 0.0).withdraw([(HTTP_ROUTES, entry)], written or Written())


def held_route(**meta: Any) -> Entry:
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x.example.net/keep"]}
    hashed = {"annotations": {ANNOTATION_HASH: "h"}}
    return read_entry(
        owned(HTTP_ROUTES, "web", WEB, spec={"hostnames": ["a.example.net"]}, meta={**going, **hashed, **meta}), Shape()
    )


async def test_the_host_names_of_a_held_route_are_withdrawn() -> None:
    pruner, written = Withdrawing(), Written()
    await withdraw(pruner, held_route(), written)
    assert [body["spec"]["hostnames"] for body in pruner.bodies] == [["withdrawn.invalid"]]
    assert written.writes == 1


@pytest.mark.parametrize("entry", [held_route(deletionTimestamp=None), held_route(annotations={})])
async def test_what_is_not_held_or_not_decco_s_is_left_alone(entry: Entry) -> None:
    pruner = Withdrawing()
    meta = entry.obj()["metadata"]
    entry = replace(entry, deleting=bool(meta["deletionTimestamp"]))
    await withdraw(pruner, entry)
    assert pruner.bodies == []


async def test_who_writes_the_host_names_again_is_answered_with_growing_pauses() -> None:
    written = Written()
    conflict = DriftConflict(HTTP_ROUTES, Key("acme", "web"), OtherWriter(("kubectl",)), 7.0)
    await withdraw(Withdrawing(conflict), held_route(), written)
    assert written.requeue_after == 7.0
    await withdraw(Withdrawing(FORBIDDEN), held_route(), written)
    assert written.retryable_errors == [FORBIDDEN]
