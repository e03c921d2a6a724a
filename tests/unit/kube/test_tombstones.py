"""How long a store remembers what has left, on a clock of the test's own."""

from __future__ import annotations

from decco.kube.store import MOST_TOMBSTONES, TOMBSTONE_SECONDS, Tombstones


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_tombstone_keeps_the_highest_version() -> None:
    stones = Tombstones(Clock())
    stones.record("u1", 9)
    stones.record("u1", 4)
    assert (stones.version("u1"), stones.version("u2")) == (9, 0)


def test_it_is_kept_as_long_as_promised_and_gone_soon_after() -> None:
    clock = Clock()
    stones = Tombstones(clock)
    began = clock.now
    stones.record("u1", 9)
    while clock.now - began < 3 * TOMBSTONE_SECONDS:
        clock.now += TOMBSTONE_SECONDS / 7
        stones.record(f"at {clock.now}", 10)
        age = clock.now - began
        if age <= TOMBSTONE_SECONDS:
            assert stones.version("u1") == 9
        elif age >= 2 * TOMBSTONE_SECONDS + TOMBSTONE_SECONDS / 7:
            assert stones.version("u1") == 0
    assert len(stones) <= 2 * 7 + 1


def test_the_highest_version_outlives_the_generation_in_which_it_was_reported() -> None:
    clock = Clock()
    stones = Tombstones(clock)
    stones.record("u1", 9)
    clock.now += TOMBSTONE_SECONDS
    stones.record("u1", 4)
    clock.now += TOMBSTONE_SECONDS
    stones.record("u2", 10)
    assert stones.version("u1") == 9


def test_after_a_long_quiet_nothing_is_left_but_the_news() -> None:
    clock = Clock()
    stones = Tombstones(clock)
    stones.record("u1", 9)
    clock.now += 2 * TOMBSTONE_SECONDS
    stones.record("u2", 10)
    assert (len(stones), stones.version("u1")) == (1, 0)


def test_many_at_once_do_not_pile_up_and_the_latest_are_kept() -> None:
    stones = Tombstones(Clock())
    for number in range(1, 5 * MOST_TOMBSTONES):
        stones.record(f"u{number}", number)
        stones.record("first", number)  # a new departure of the same object is a late one
    assert len(stones) <= 2 * MOST_TOMBSTONES
    assert all(stones.version(f"u{number}") == number for number in range(4 * MOST_TOMBSTONES + 1, 5 * MOST_TOMBSTONES))
    assert stones.version("first") == 5 * MOST_TOMBSTONES - 1
    assert stones.version("u1") == 0
