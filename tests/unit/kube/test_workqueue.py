"""The queue's contract: nothing lost, nothing twice at once, urgent first, Spaces in turn, failures ever later."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable

import pytest

from decco.kube.workqueue import Closed, Priority, WorkQueue
from tests.sample import seeds

EDIT, CHANGE, LIST = Priority.EDIT, Priority.CHANGE, Priority.LIST
pytestmark = pytest.mark.looptime


def space_of(key: str) -> str:
    """Keys are written ``space/app`` in these tables."""
    return key.partition("/")[0]


def queue_of(adds: Iterable[tuple[str, Priority]] = (), **options: object) -> WorkQueue[str]:
    queue: WorkQueue[str] = WorkQueue("test", group=space_of, **options)  # type: ignore[arg-type]
    for key, priority in adds:
        queue.add(key, priority)
    return queue


async def take(queue: WorkQueue[str]) -> str:
    """The next key; fails at once, rather than waiting, if there is none."""
    return await asyncio.wait_for(queue.get(), 0.001)


async def drain(queue: WorkQueue[str]) -> list[str]:
    served = []
    while len(queue):
        key = await take(queue)
        served.append(key)
        queue.done(key)
    with pytest.raises(TimeoutError):  # the wait for more also clears the old places of overtaken keys away
        await take(queue)
    return served


async def settle() -> None:
    """Lets everything that is ready run, without letting time pass."""
    for _ in range(5):
        await asyncio.sleep(0)


def is_empty(queue: WorkQueue[str]) -> bool:
    """No key is left in any corner: what is done leaves nothing behind."""
    return not (
        len(queue)
        or queue.processing
        or queue.waiting
        or queue._again
        or queue._failures
        or queue._getters
        or any(queue._levels)
    )


ORDERS = {
    "one key, however often": ([("a", CHANGE), ("a", CHANGE), ("a", LIST)], ["a"]),
    "first come, first served in a group": ([("a/1", CHANGE), ("a/2", CHANGE), ("a/3", CHANGE)], ["a/1", "a/2", "a/3"]),
    "urgent first": ([("a", LIST), ("b", CHANGE), ("c", EDIT)], ["c", "b", "a"]),
    "an edit overtakes the list": ([("a", LIST), ("b", LIST), ("b", EDIT)], ["b", "a"]),
    "a list does not slow an edit down": ([("a", CHANGE), ("b", EDIT), ("b", LIST)], ["b", "a"]),
    "overtaken twice": ([("a", LIST), ("b", CHANGE), ("a", CHANGE), ("a", EDIT)], ["a", "b"]),
    "groups take turns": (
        [("a/1", LIST), ("a/2", LIST), ("a/3", LIST), ("b/1", LIST), ("c/1", LIST), ("c/2", LIST)],
        ["a/1", "b/1", "c/1", "a/2", "c/2", "a/3"],
    ),
    "priority goes before turn": (
        [("a/1", CHANGE), ("a/2", CHANGE), ("b/1", LIST), ("b/2", CHANGE)],
        ["a/1", "b/2", "a/2", "b/1"],
    ),
    "an overtaken key's old place does not delay its group": (
        [("a/1", CHANGE), ("b/1", CHANGE), ("b/2", CHANGE), ("a/2", CHANGE), ("a/1", EDIT)],
        ["a/1", "a/2", "b/1", "b/2"],
    ),
}


@pytest.mark.parametrize("name", ORDERS)
async def test_order(name: str) -> None:
    adds, expected = ORDERS[name]
    queue = queue_of(adds)
    assert await drain(queue) == expected
    assert is_empty(queue)


async def test_a_large_space_delays_a_small_one_by_one_reconcile_only() -> None:
    queue = queue_of([(f"large/{number}", LIST) for number in range(2000)])
    assert await take(queue) == "large/0"
    queue.add("small/1", LIST)
    assert "small/1" in [await take(queue) for _ in range(2)]


async def test_endless_urgent_work_does_not_starve_others() -> None:
    queue = queue_of([("quiet/1", LIST), ("quiet/2", CHANGE)])
    served = []
    for number in range(32):
        queue.add(f"noisy/{number}", EDIT)
        queue.add(f"noisy/{number + 1000}", EDIT)
        served.append(await take(queue))
    assert {"quiet/1", "quiet/2"} <= set(served)
    assert Counter(space_of(key) for key in served)["noisy"] == 30, "urgent work gets all but a guaranteed share"


async def test_a_key_that_is_worked_on_waits_until_it_is_done() -> None:
    queue = queue_of([("a", LIST)])
    key = await take(queue)
    queue.add("a", LIST)
    queue.add("a", EDIT)
    queue.add("a", CHANGE)
    queue.add("b", CHANGE)
    assert (len(queue), queue.processing) == (1, 1)
    queue.done(key)
    # Once, and as urgent as the most urgent of the three.
    assert await drain(queue) == ["a", "b"]
    assert is_empty(queue)


async def test_done_of_an_idle_key_is_a_defect() -> None:
    queue = queue_of([("a", CHANGE)])
    with pytest.raises(KeyError):
        queue.done("a")


async def test_add_after_waits_and_the_earliest_counts() -> None:
    queue, loop = queue_of(), asyncio.get_running_loop()
    start = loop.time()
    queue.add_after("a", 30)
    queue.add_after("a", 10)
    queue.add_after("a", 20)
    queue.add_after("b", 12)
    assert queue.waiting == 2
    times = {}
    for _ in range(2):
        key = await queue.get()
        times[key] = loop.time() - start
        queue.done(key)
    assert times == {"a": pytest.approx(10), "b": pytest.approx(12)}
    await asyncio.sleep(100)
    assert is_empty(queue), "the later timers are gone too"


async def test_a_reconcile_cancels_the_timer() -> None:
    queue = queue_of()
    queue.add_after("a", 10)
    queue.add("a")
    assert await take(queue) == "a"
    assert queue.waiting == 0
    queue.done("a")
    await asyncio.sleep(20)
    assert is_empty(queue)


async def test_a_timer_set_during_the_reconcile_stays() -> None:
    queue = queue_of([("a", CHANGE)])
    key = await take(queue)
    queue.add_after(key, 10)
    queue.done(key)
    assert queue.waiting == 1
    assert await queue.get() == "a"


async def test_a_timer_that_ends_during_the_reconcile_queues_the_key_again() -> None:
    queue = queue_of([("a", CHANGE)])
    key = await take(queue)
    queue.add_after(key, 10, EDIT)
    await asyncio.sleep(11)
    assert (len(queue), queue.waiting) == (0, 0)
    queue.done(key)
    assert await drain(queue) == ["a"]


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.75), (0.5, 1.0), (1.0, 1.25)])
async def test_retry_doubles_up_to_a_limit(jitter: float, factor: float) -> None:
    queue = queue_of(retry_base=0.25, retry_max=30.0, jitter=lambda: jitter)
    pauses = [queue.retry("a") for _ in range(10)]
    assert pauses == [pytest.approx(factor * pause) for pause in (0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30)]
    assert queue.retry("b") == pytest.approx(factor * 0.25), "each key has its own failures"


async def test_retry_never_overflows_and_stays_in_its_bounds() -> None:
    queue = queue_of(retry_base=0.25, retry_max=300.0)
    pauses = [queue.retry("a") for _ in range(2000)]
    assert all(0.75 * 300 <= pause <= 1.25 * 300 for pause in pauses[11:])
    assert len({round(pause, 6) for pause in pauses[11:]}) > 100, "keys that fail together must not return together"


async def test_conflicts_in_a_row_have_pauses_of_their_own() -> None:
    queue = queue_of(retry_base=1.0, jitter=lambda: 0.5)
    pauses = [queue.retry_conflict("a") for _ in range(12)]
    assert pauses == pytest.approx([0, 0, 0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
    assert queue.retry("a") == 1.0, "they are not failures"
    queue.forget("a")
    assert queue.retry_conflict("a") == 0.0
    assert 5.0 in {queue.retry_conflict("a") for _ in range(2000)}, "and never overflow"


async def test_retry_comes_back_after_its_pause() -> None:
    queue = queue_of([("a", CHANGE)], jitter=lambda: 0.5)
    loop = asyncio.get_running_loop()
    key = await take(queue)
    pause = queue.retry(key)
    queue.done(key)
    start = loop.time()
    assert await queue.get() == "a"
    assert loop.time() - start == pytest.approx(pause)


async def test_forget_resets_the_backoff() -> None:
    queue = queue_of(retry_base=1.0, jitter=lambda: 0.5)
    assert [queue.retry("a"), queue.retry("a")] == [1.0, 2.0]
    queue.forget("a")
    queue.forget("unknown")
    assert queue.retry("a") == 1.0


async def test_get_waits_for_work() -> None:
    queue = queue_of()
    getters = [asyncio.create_task(queue.get()) for _ in range(3)]
    await settle()
    queue.add("a")
    queue.add("b")
    await settle()
    assert sorted(getter.result() for getter in getters if getter.done()) == ["a", "b"]
    queue.add("c")
    await settle()
    assert getters[2].result() == "c"


async def test_close_ends_the_waiting_getters_and_accepts_no_keys() -> None:
    queue = queue_of()
    getters = [asyncio.create_task(queue.get()) for _ in range(3)]
    await settle()
    queue.add_after("a", 10)
    queue.close()
    queue.add("b")
    queue.add_after("c", 10)
    queue.retry("d")
    results = await asyncio.gather(*getters, return_exceptions=True)
    assert [type(result) for result in results] == [Closed] * 3
    assert (len(queue), queue.waiting) == (0, 0)
    with pytest.raises(Closed):
        await queue.get()


async def test_close_gives_out_no_more_of_what_is_queued() -> None:
    queue = queue_of([("a", CHANGE), ("b", CHANGE)])
    key = await take(queue)
    queue.add(key)
    queue.close()
    queue.done(key)
    with pytest.raises(Closed):
        await queue.get()


async def test_a_cancelled_getter_passes_the_key_on() -> None:
    queue = queue_of()
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await settle()
    queue.add("a")  # resumes the first, which is cancelled before it can run
    first.cancel()
    await settle()
    assert first.cancelled()
    assert second.result() == "a"


async def test_a_getter_that_is_cancelled_while_work_arrives_ends_as_cancelled() -> None:
    queue = queue_of()
    getter = asyncio.create_task(queue.get())
    await settle()
    getter.cancel()
    queue.add("a")  # finds the cancelled one waiting
    await settle()
    assert getter.cancelled()
    assert await take(queue) == "a"


async def test_a_closed_queue_holds_nothing_and_says_so() -> None:
    witness = Witness()
    queue = queue_of(observer=witness)
    queue.add("running")
    await queue.get()
    for key in ("running", "waiting", "failed"):
        queue.add(key)
    queue.retry("later")
    queue.close()
    await asyncio.sleep(5)
    assert (len(queue), queue.waiting, queue.oldest()) == (0, 0, 0.0)
    queue.done("running")
    assert len(queue) == 0
    assert ("closed", "test") in witness.seen


async def test_a_getter_that_is_cancelled_while_the_queue_closes_ends_as_cancelled() -> None:
    queue = queue_of()
    getter = asyncio.create_task(queue.get())
    await settle()
    getter.cancel()
    queue.close()
    await settle()
    assert getter.cancelled()


async def test_ages_for_health_and_metrics() -> None:
    queue = queue_of()
    assert (queue.oldest(), queue.longest_running()) == (0.0, 0.0)
    queue.add("a", LIST)
    await asyncio.sleep(3)
    queue.add("b", EDIT)
    queue.add("a", EDIT)  # overtaking does not make it younger
    await asyncio.sleep(2)
    assert queue.oldest() == pytest.approx(5)
    assert [await take(queue), await take(queue)] == ["b", "a"]
    await asyncio.sleep(4)
    assert (queue.oldest(), queue.longest_running()) == (0.0, pytest.approx(4, abs=0.1))


class Witness:
    """An observer that records what it receives."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def queue_added(self, name: str, depth: int) -> None:
        self.seen.append(("added", name, depth))

    def queue_taken(self, name: str, depth: int, waited: float) -> None:
        self.seen.append(("taken", name, depth, round(waited, 3)))

    def queue_done(self, name: str, worked: float) -> None:
        self.seen.append(("done", name, round(worked, 3)))

    def queue_retried(self, name: str) -> None:
        self.seen.append(("retried", name))

    def queue_closed(self, name: str) -> None:
        self.seen.append(("closed", name))


async def test_the_observer_receives_each_step_once() -> None:
    witness = Witness()
    queue = queue_of(observer=witness)
    queue.add("a", LIST)
    queue.add("a", LIST)
    queue.add("a", EDIT)
    await asyncio.sleep(2)
    key = await queue.get()
    await asyncio.sleep(3)
    queue.retry(key)
    queue.done(key)
    assert witness.seen == [("added", "test", 1), ("taken", "test", 0, 2.0), ("retried", "test"), ("done", "test", 3.0)]


async def test_old_places_of_overtaken_keys_do_not_pile_up() -> None:
    queue = queue_of([("quiet/1", EDIT)])
    for _ in range(1000):
        queue.add("a/1", LIST)
        queue.add("a/1", EDIT)
        queue.add("b/1", EDIT)
        for _ in range(2):
            queue.done(await take(queue))
    assert sum(len(places) for level in queue._levels for places in level.values()) < 50


class Model:
    """What must be true of any history: counts of additions against counts of reconciles, per key."""

    def __init__(self) -> None:
        self.added: Counter[str] = Counter()
        self.owed: dict[str, int] = {}
        self.working: set[str] = set()

    def add(self, key: str) -> None:
        """The key needs a reconcile that starts after now."""
        self.added[key] += 1
        self.owed[key] = self.added[key]

    def start(self, key: str) -> None:
        assert key not in self.working, f"{key} is worked on twice at once"
        self.working.add(key)
        self.owed.pop(key, None)

    def done(self, key: str) -> None:
        self.working.remove(key)


@pytest.mark.parametrize("seed", seeds(150, sample=20))
async def test_random_histories_lose_nothing(seed: int) -> None:
    """Random additions, timers, failures, ends of reconciles and cancelled getters, with and without time to react."""
    dice = random.Random(seed)
    keys = [f"{space}/{app}" for space in "abc" for app in range(4)]
    queue = queue_of(jitter=dice.random, retry_base=0.5, retry_max=4.0)
    model = Model()
    getters: list[asyncio.Task[str]] = []
    working: deque[str] = deque()

    async def work() -> str:
        key = await queue.get()
        model.start(key)
        working.append(key)
        return key

    for _ in range(300):
        match dice.randrange(10):
            case 0 | 1 | 2:
                key = dice.choice(keys)
                queue.add(key, dice.choice(list(Priority)))
                model.add(key)
            case 3:
                queue.add_after(dice.choice(keys), dice.uniform(0, 3), dice.choice(list(Priority)))
            case 4 | 5:
                getters.append(asyncio.create_task(work()))
            case 6 | 7 if working:
                key = working[0] if dice.random() < 0.5 else working[-1]
                working.remove(key)
                if dice.random() < 0.3:
                    queue.retry(key)
                else:
                    queue.forget(key)
                model.done(key)
                queue.done(key)
            case 8 if getters:
                dice.choice(getters).cancel()
            case 9:
                await asyncio.sleep(dice.choice([0, 0, 0.1, 2.0]))
            case _:
                await asyncio.sleep(0)
        assert queue.processing == len(working)

    await settle()
    for getter in getters:
        getter.cancel()
    results = await asyncio.gather(*getters, return_exceptions=True)
    assert all(isinstance(result, str | asyncio.CancelledError) for result in results), results
    while working:
        key = working.popleft()
        queue.forget(key)
        model.done(key)
        queue.done(key)
    await asyncio.sleep(10)  # all timers are over
    for key in await drain(queue):
        model.start(key)
        model.done(key)
        queue.forget(key)
    assert model.owed == {}, "an addition was lost"
    assert is_empty(queue)


@pytest.mark.parametrize("seed", range(20))
async def test_random_order_matches_a_slow_queue(seed: int) -> None:
    """Against a model that compares all keys at each step: lowest number first, then the group served longest ago."""
    dice = random.Random(seed)
    queue = queue_of()
    waiting: dict[str, tuple[Priority, int]] = {}  # key -> priority, place
    turns: dict[Priority, list[str]] = {priority: [] for priority in Priority}  # groups in the order of their service
    place = 0
    for served in range(7):  # the eighth key is the least urgent one, see its own test
        for _ in range(dice.randrange(1, 6)):
            key, priority = f"{dice.choice('abc')}/{dice.randrange(3)}", dice.choice(list(Priority))
            queue.add(key, priority)
            place += 1
            if key not in waiting or waiting[key][0] > priority:
                waiting[key] = (priority, place)
                if space_of(key) not in turns[priority]:
                    turns[priority].append(space_of(key))
        urgent = min(priority for priority, _ in waiting.values())
        group = next(g for g in turns[urgent] if any(space_of(k) == g and w[0] == urgent for k, w in waiting.items()))
        expected = min(
            (k for k, w in waiting.items() if space_of(k) == group and w[0] == urgent), key=lambda k: waiting[k][1]
        )
        assert await take(queue) == expected, f"step {served}"
        queue.done(expected)
        del waiting[expected]
        # A group that has nothing left in a level leaves the round, and joins it again at its end.
        members = {g for g in turns[urgent] if any(space_of(k) == g and w[0] == urgent for k, w in waiting.items())}
        turns[urgent] = [g for g in turns[urgent] if g in members and g != group] + (
            [group] if group in members else []
        )


# Fairness between groups


async def test_a_group_that_is_edited_without_pause_does_not_delay_the_repairs_of_others() -> None:
    queue = queue_of(urgent_budget=(10, 0.1))
    for number in range(5000):
        queue.add(f"noisy/{number}", EDIT)
    queue.add("calm/web", CHANGE)
    served = [await take(queue) for _ in range(12)]
    assert "calm/web" in served
    queue.close()


async def test_its_first_edits_are_urgent_and_later_ones_again() -> None:
    queue = queue_of([(f"many/{n}", LIST) for n in range(50)], urgent_budget=(2, 1.0))
    for number in range(3):
        queue.add(f"one/{number}", EDIT)
    assert [await take(queue) for _ in range(2)] == ["one/0", "one/1"]
    await asyncio.sleep(1.5)
    queue.add("one/9", EDIT)
    assert await take(queue) == "one/9"
    queue.close()


async def test_slow_work_of_one_group_leaves_workers_to_others() -> None:
    queue = queue_of([(f"slow/{n}", EDIT) for n in range(10)], max_per_group=3)
    slow = [await take(queue) for _ in range(3)]
    with pytest.raises(TimeoutError):
        await take(queue)
    queue.add("calm/web", LIST)
    assert await take(queue) == "calm/web"
    waiting = asyncio.create_task(queue.get())
    await settle()
    queue.done(slow[0])
    assert await asyncio.wait_for(waiting, 0.001) == "slow/3"
    for key in (*slow[1:], "calm/web", "slow/3"):
        queue.done(key)
    assert sorted(await drain(queue)) == sorted(f"slow/{n}" for n in range(4, 10))
    assert not queue._busy


async def test_slow_work_of_some_groups_leaves_workers_to_those_without_any() -> None:
    adds = [(f"{group}/{n}", EDIT) for n in range(5) for group in ("slow", "slower")]
    queue = queue_of(adds, max_per_group=3, shared=4)
    slow = [await take(queue) for _ in range(4)]
    with pytest.raises(TimeoutError):
        await take(queue)
    waiting = asyncio.create_task(queue.get())
    await settle()
    queue.add("calm/web", LIST)
    assert await asyncio.wait_for(waiting, 0.001) == "calm/web"
    queue.add("calm/other", LIST)
    with pytest.raises(TimeoutError):
        await take(queue)
    waiting = asyncio.create_task(queue.get())
    await settle()
    queue.done("calm/web")
    assert await asyncio.wait_for(waiting, 0.001) == "calm/other"
    for key in (*slow, "calm/other"):
        queue.done(key)
    assert len(await drain(queue)) == 6
    assert not queue._busy
