"""When what was refused is tried again: alone, in a crowd, and after the rule that refused it has changed."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import replace

import pytest

from decco.desired import reasons
from decco.desired.model import Problem
from decco.kube.errors import Conflict, Forbidden, Invalid
from decco.objects import CONFIGMAPS, NETWORK_POLICIES, SERVICES, Key, Resource
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.outcomes import REQUEUE_SECONDS, Refusal, rule_of
from decco.reconcilers.rejections import (
    MIN_RETRY_SECONDS,
    REFUSAL_SECONDS,
    RETRY_SECONDS,
    SPREAD_SECONDS,
    Rejections,
    WriteKey,
)
from tests.sample import thorough
from tests.unit.reconcilers.test_children import INVALID, Clock, Script, child

PROBLEM = Problem(reasons.INVALID, "refused")
POLICY = Invalid(422, "Invalid", "x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no")


def write_key(number: int) -> WriteKey:
    return WriteKey(f"hash-{number}", f"uid-{number}", None)


def place(number: int) -> tuple[Resource, Key]:
    return SERVICES, Key("acme", f"s{number}")


class Crowd:
    """Many objects that one rule refuses, each tried again when it is due or enqueued; counts the attempts."""

    def __init__(self, count: int, *, requeue_after: float | None = None) -> None:
        self.clock = Clock()
        self.rejections = Rejections(self.clock, self._enqueue, random.Random(1).random)
        self.requeue_after = requeue_after
        self.waiting = set(range(count))
        self.due = [(self.clock.now, number) for number in range(count)]
        self.tries = 0
        self.refuses = True

    def _enqueue(self, owner: str, seconds: float) -> None:
        heapq.heappush(self.due, (self.clock.now + seconds, int(owner.removeprefix("uid-"))))

    def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.due and self.due[0][0] <= end:
            due, number = heapq.heappop(self.due)
            self.clock.now = max(self.clock.now, due)
            if number in self.waiting:
                self._try(number)
        self.clock.now = end

    def _try(self, number: int) -> None:
        refusal = self.rejections.cached(place(number), write_key(number))
        if refusal is None:
            self.tries += 1
            if not self.refuses:
                self.rejections.passed(place(number), write_key(number))
                self.waiting.remove(number)
                return
            refusal = self.rejections.refused(
                place(number), write_key(number), Refusal(PROBLEM, self.requeue_after), "policy"
            )
        assert refusal.requeue_after is not None
        heapq.heappush(self.due, (self.clock.now + refusal.requeue_after, number))


@pytest.mark.parametrize("count", [1, 300, pytest.param(10_000, marks=thorough)])
@pytest.mark.parametrize("requeue_after", [None, REQUEUE_SECONDS], ids=["invalid", "forbidden"])
def test_all_proceed_within_a_minute_of_the_rule_s_change(count: int, requeue_after: float | None) -> None:
    crowd = Crowd(count, requeue_after=requeue_after)
    crowd.run(300)
    crowd.refuses = False
    crowd.run(60)
    assert len(crowd.rejections) == 0
    assert crowd.waiting == set()


@thorough
@pytest.mark.parametrize("requeue_after", [None, REQUEUE_SECONDS], ids=["invalid", "forbidden"])
def test_ten_thousand_that_are_refused_cost_a_bounded_number_of_requests(requeue_after: float | None) -> None:
    crowd = Crowd(10_000, requeue_after=requeue_after)
    crowd.run(700)
    before = crowd.tries
    crowd.run(300)
    assert crowd.tries - before <= 5 * 1500, "some 1,200 a minute"


def test_few_that_are_refused_are_tried_twice_a_minute() -> None:
    crowd = Crowd(3)
    crowd.run(0)
    before = crowd.tries
    crowd.run(60)
    assert crowd.tries - before == 3 * 60 / RETRY_SECONDS


def test_a_rule_that_lets_some_through_releases_the_others_once_in_a_while() -> None:
    clock, enqueued = Clock(), []
    rejections = Rejections(clock, lambda owner, _: enqueued.append(owner))
    for number in range(5):
        rejections.refused(place(number), write_key(number), Refusal(PROBLEM, None), "policy")
    rejections.passed(place(0), write_key(0))
    assert sorted(enqueued) == ["uid-1", "uid-2", "uid-3", "uid-4"]
    rejections.passed(place(1), write_key(1))
    assert len(enqueued) == 4
    clock.now += SPREAD_SECONDS
    rejections.passed(place(2), write_key(2))
    assert sorted(enqueued[4:]) == ["uid-3", "uid-4"]


def test_an_object_that_was_corrected_says_nothing_about_the_rule() -> None:
    enqueued: list[str] = []
    rejections = Rejections(Clock(), lambda owner, _: enqueued.append(owner))
    for number in range(2):
        rejections.refused(place(number), write_key(number), Refusal(PROBLEM, None), "policy")
    rejections.passed(place(0), replace(write_key(0), desired_hash="corrected"))
    assert enqueued == []


def test_another_rule_s_refusal_shows_that_the_first_has_changed() -> None:
    enqueued: list[str] = []
    rejections = Rejections(Clock(), lambda owner, _: enqueued.append(owner))
    for number in range(2):
        rejections.refused(place(number), write_key(number), Refusal(PROBLEM, None), "policy")
    rejections.refused(place(0), write_key(0), Refusal(PROBLEM, None), "another")
    assert enqueued == ["uid-1"]


# -- what a reconcile makes of it --------------------------------------------------------------------------------------


async def test_a_child_that_is_gone_after_a_refusal_is_created_at_once() -> None:
    script, clock = Script(Service=INVALID), Clock()
    script.live = ("u1", b"content", b"meta", False)
    writer = ChildWriter(script, clock)
    await writer.write([child(SERVICES)])
    clock.now += MIN_RETRY_SECONDS
    await writer.write([child(SERVICES)])
    assert len(script.asked) == 1
    script.live = None
    await writer.write([child(SERVICES)])
    assert len(script.asked) == 2


@pytest.mark.parametrize("live", [("u2", b"c", b"m", False), ("u1", b"x", b"m", False), ("u1", b"c", b"x", False)])
async def test_another_live_object_is_another_question(live: tuple[str, bytes, bytes, bool]) -> None:
    script, clock = Script(Service=INVALID), Clock()
    script.live = ("u1", b"c", b"m", False)
    writer = ChildWriter(script, clock)
    await writer.write([child(SERVICES)])
    clock.now += MIN_RETRY_SECONDS
    script.live = live
    await writer.write([child(SERVICES)])
    assert len(script.asked) == 2


async def test_a_live_object_that_changes_all_the_time_does_not_make_decco_ask_all_the_time() -> None:
    script, clock = Script(Service=INVALID), Clock()
    writer = ChildWriter(script, clock)
    for number in itertools.count():
        script.live = (f"u{number}", b"c", b"m", False)
        await writer.write([child(SERVICES)])
        clock.now += 0.1
        if clock.now >= 1010:
            break
    assert len(script.asked) <= 10 / MIN_RETRY_SECONDS + 1


async def test_what_a_policy_refuses_is_tried_again_sooner_than_what_is_wrong_in_itself() -> None:
    for error, pause in ((POLICY, RETRY_SECONDS), (INVALID, REFUSAL_SECONDS)):
        script, clock = Script(Service=error), Clock()
        writer = ChildWriter(script, clock)
        assert (await writer.write([child(SERVICES)])).requeue_after == pause
        clock.now += pause
        script.ends = {}
        assert (await writer.write([child(SERVICES)])).outcomes["Service", "web"] is None


async def test_after_a_policy_is_corrected_the_others_that_it_refused_are_enqueued() -> None:
    enqueued: list[str] = []
    script, clock = Script(Service=POLICY), Clock()
    writer = ChildWriter(script, clock, enqueue=lambda owner, _: enqueued.append(owner))
    other = child(SERVICES, "other")
    other.obj["metadata"]["ownerReferences"][0]["uid"] = "other-uid"
    await writer.write([child(SERVICES)])
    await writer.write([other])
    script.ends = {}
    clock.now += RETRY_SECONDS
    await writer.write([child(SERVICES)])
    assert enqueued == ["other-uid"]
    assert (await writer.write([other])).outcomes["Service", "other"] is None


RULES = [
    (POLICY, "p/b"),
    (Forbidden(403, "Forbidden", 'admission webhook "v.example" denied the request: no'), "v.example"),
    (Forbidden(403, "Forbidden", "services is forbidden: exceeded quota: decco, requested: x=1"), "acme/decco"),
    (
        Forbidden(403, "Forbidden", 'User "a" cannot create resource "services" in API group "" in the namespace "b"'),
        "create/services",
    ),
    (Forbidden(403, "Forbidden", "no PriorityClass with name x was found"), "Forbidden/services"),
    (INVALID, ""),
]


@pytest.mark.parametrize(("error", "rule"), RULES, ids=[rule or "none" for _, rule in RULES])
def test_the_rule_that_refused(error: Invalid | Forbidden, rule: str) -> None:
    found = rule_of(error, SERVICES, Key("acme", "web"))
    assert found.endswith(rule)
    assert bool(found) is bool(rule)


def test_rules_of_custom_resources_change_with_their_definitions() -> None:
    route = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
    assert rule_of(INVALID, route, Key("acme", "web")) != ""
    assert rule_of(INVALID, NETWORK_POLICIES, Key("acme", "web")) == ""


async def test_an_error_that_says_nothing_about_the_object_is_not_cached() -> None:
    script = Script(ConfigMap=Conflict(409, "Conflict", "modified"))
    writer = ChildWriter(script, Clock())
    for _ in range(2):
        await writer.write([child(CONFIGMAPS)])
    assert len(script.asked) == 2
