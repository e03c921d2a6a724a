"""Confirmation, damping, slots and the hairpin, as tables."""

from __future__ import annotations

import pytest

from decco.probe.model import Observation, Result
from decco.probe.reach import DETECT_SECONDS, Reachability
from decco.probe.verdict import CONFIRM_NEW_RECORD_SECONDS, TICK_SECONDS, History, Verdict, retry_pause, slot

OK = Observation(Result.ANSWERED)
BAD = Observation(Result.CERTIFICATE, "another")
DOWN = Observation(Result.CONNECT, "refused")
MUTE = Observation(Result.SILENT, "no answer within 3 s")


def after(*steps: tuple[float, Observation]) -> History:
    history = History()
    for now, observation in steps:
        history.observe(observation, now)
    return history


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ((), Verdict.WAITING),
        (((0, OK),), Verdict.ANSWERED),
        (((0, BAD),), Verdict.WAITING),
        (((0, OK), (1, BAD), (2, BAD)), Verdict.ANSWERED),
        (((0, OK), (1, BAD), (2, BAD), (3, BAD)), Verdict.FAILED),
        (((0, OK), (1, BAD), (1.1, BAD), (1.2, BAD)), Verdict.ANSWERED),  # not long enough
        (((0, OK), (1, BAD), (2, OK), (3, BAD), (4, BAD)), Verdict.ANSWERED),
        (((0, OK), (1, DOWN), (2, DOWN), (3, DOWN), (4, DOWN)), Verdict.ANSWERED),  # a proxy restarts
        (((0, OK), (1, DOWN), (2, DOWN), (3, DOWN), (5, DOWN)), Verdict.FAILED),
        (((0, OK), (3, MUTE), (7, MUTE)), Verdict.FAILED),
        (((0, OK), (3, MUTE)), Verdict.ANSWERED),
        (((1, BAD), (2, BAD), (3, BAD), (4, OK)), Verdict.ANSWERED),
    ],
)
def test_a_failure_is_confirmed(steps: tuple[tuple[float, Observation], ...], verdict: Verdict) -> None:
    assert after(*steps).verdict is verdict


def test_flapping_is_a_failure_that_lasts() -> None:
    history = after((0, OK))
    for flap in range(3):
        at = 10.0 * (flap + 1)
        for pause in range(3):
            history.observe(BAD, at + pause)
        assert history.verdict is Verdict.FAILED
        if flap < 2:
            history.observe(OK, at + 3)
            assert history.verdict is Verdict.ANSWERED
    for number in range(2):
        history.observe(OK, 40 + number)
        assert history.verdict is Verdict.FAILED
    history.observe(OK, 43)
    assert history.verdict is Verdict.ANSWERED


def test_slots_are_spread_evenly_and_in_the_future() -> None:
    times = sorted(slot(f"uid/{number}", 300, 1000.0) for number in range(3000))
    assert all(1000 < at <= 1300 for at in times)
    for number in range(10):
        assert 200 < sum(1000 + 30 * number < at <= 1030 + 30 * number for at in times) < 400


def test_the_slot_of_a_name_is_always_the_same() -> None:
    first = slot("uid/web", 300, 0.0)
    assert slot("uid/web", 300, first) == pytest.approx(first + 300)


def test_slots_begin_together_at_ticks() -> None:
    times = [slot(f"uid/{number}", 300, 1000.0) for number in range(3000)]
    assert all(at % TICK_SECONDS == 0 for at in times)
    assert len(set(times)) > 900  # of the 1,200 ticks


def test_failed_targets_share_a_quarter_of_the_rate() -> None:
    assert retry_pause(1, 200) == 3
    assert retry_pause(1000, 200) == 20


def test_an_address_that_never_answered_is_not_reached() -> None:
    reach = Reachability()
    assert not reach.observe("192.0.2.1", 0, reached=False)
    assert not reach.unreached("192.0.2.1")
    assert reach.observe("192.0.2.1", DETECT_SECONDS, reached=False)
    assert reach.unreached("192.0.2.1")
    assert reach.observe("192.0.2.1", 20, reached=True)  # any answer
    assert not reach.observe("192.0.2.1", 1000, reached=False)
    assert not reach.unreached("192.0.2.1")  # it was reached once, so it is down


def test_an_address_in_doubt_counts_from_its_first_answer_on() -> None:
    reach = Reachability()
    reach.assume_unreached("zone acme.example", 0)
    assert reach.unreached("zone acme.example")
    assert not reach.observe("zone acme.example", 1, reached=False)
    assert reach.unreached("zone acme.example")
    assert reach.observe("zone acme.example", 2, reached=True)
    reach.assume_unreached("zone acme.example", 3)
    assert not reach.unreached("zone acme.example")


def test_a_new_record_has_time_to_reach_all_servers() -> None:
    other = Observation(Result.RECORD)
    history = History()
    for at in range(0, int(CONFIRM_NEW_RECORD_SECONDS), 2):
        history.observe(other, at)
    assert history.verdict is Verdict.WAITING
    history.observe(other, CONFIRM_NEW_RECORD_SECONDS)
    assert history.verdict is Verdict.FAILED
    history.observe(OK, 70)
    for at in (80, 81, 82):
        history.observe(other, at)
    assert history.verdict is Verdict.FAILED
