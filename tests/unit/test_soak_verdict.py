"""The judgement of ``make soak``: each leftover is reported, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.soak.verdict import Checkpoint, Limits, complaints, growth, table

FIRST = Checkpoint(
    reconciles=100,
    rss=100_000,
    pss=90_000,
    threads=4,
    tasks=70,
    open={"socket to 127.0.0.1:53": 25, "/dev/null": 1},
    queued=0,
    cached={"apps": 20},
    ready={"App True": 20},
    series=500,
    labels={"decco_objects{kind}": 2},
    census={"Store._entries": 20},
)
LIMITS = Limits(memory=0.05, threads=6, values=5)


def day(**last: object) -> list[Checkpoint]:
    """Ten quiet hours, the last of them with a difference."""
    hours = [replace(FIRST, reconciles=100 + 1000 * hour) for hour in range(10)]
    return [*hours, replace(FIRST, reconciles=10_100, **last)]


def test_a_quiet_day_has_no_complaints() -> None:
    assert list(complaints(day(), LIMITS)) == []
    assert len(list(table(day()))) == 12


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ({"tasks": 71}, "checkpoint 10: tasks 70 at first, 71 now"),
        (
            {"open": {"socket to 127.0.0.1:53": 26, "/dev/null": 1}},
            "checkpoint 10: more open files: {'socket to 127.0.0.1:53': 1}",
        ),
        (
            {"open": {"socket to 127.0.0.1:53": 25, "/dev/null": 1, "/tmp/x": 1}},
            "checkpoint 10: more open files: {'/tmp/x': 1}",
        ),
        ({"cached": {"apps": 21}}, "checkpoint 10: cached objects apps: 20 at first, 21 now"),
        ({"ready": {"App True": 19}}, "checkpoint 10: objects by Ready App True: 20 at first, 19 now"),
        ({"queued": 1}, "checkpoint 10: queued keys 0 at first, 1 now"),
        ({"threads": 11}, "checkpoint 10: 11 threads, 4 at first"),
        (
            {"labels": {"decco_objects{kind}": 8}},
            "decco_objects{kind} has 8 values, 2 after a third: are they without end?",
        ),
        ({"census": {"Store._entries": 73}}, "Store._entries: 20 after a third, 73 at last"),
    ],
)
def test_leftovers_are_reported(last: dict[str, object], message: str) -> None:
    assert list(complaints(day(**last), LIMITS)) == [message]


def test_a_census_may_have_an_entry_for_each_object() -> None:
    """20 objects are cached; the second census is the last."""
    for made, keys, expected in (
        (20, 118, []),
        (20, 131, ["Key: 50 after a third, 131 at last"]),
        (61, 50, ["RepairBackoff._written: 1 after a third, 61 at last"]),
    ):
        hours = day(census={"RepairBackoff._written": made, "Key": keys})
        hours[:-1] = [replace(each, census={"RepairBackoff._written": 1, "Key": 50}) for each in hours[:-1]]
        assert list(complaints(hours, LIMITS)) == expected


def test_a_census_may_have_a_series_for_each_combination_of_labels() -> None:
    name = "prometheus_client.metrics.Counter"
    labels = {"api{verb}": 8, "api{code}": 10, "other{kind}": 5}
    for count, expected in ((85, []), (86, [f"{name}: 30 after a third, 86 at last"])):
        hours = day(census={name: count})
        hours = [replace(each, labels=labels) for each in hours]
        hours[:-1] = [replace(each, census={name: 30}) for each in hours[:-1]]
        assert list(complaints(hours, LIMITS)) == expected


def test_growth_counts_after_the_warm_up() -> None:
    """Growth in the first tenth is not a leak; steady growth is, also where single values jump."""
    warm = [replace(each, rss=50_000) if each.reconciles == 100 else each for each in day()]
    assert list(complaints(warm, LIMITS)) == []
    slow = [replace(each, rss=100_000 + each.reconciles) for each in day()]
    assert growth(slow) == (102_100, 109_100)
    assert list(complaints(slow, LIMITS)) == ["memory grew by 6.9%, from 99.7 to 106.5 MB: at most 5% is flat"]
    assert list(complaints([*day()[:5], replace(FIRST, reconciles=5100, rss=200_000), *day()[6:]], LIMITS)) == []
