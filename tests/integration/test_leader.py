"""Leader election on a real API server: one works at a time, whatever happens to connections, loops and the Lease."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from decco.errors import ConfigError
from decco.kube import fence, leader
from decco.kube import lease as lease_module
from decco.kube.client import Client
from decco.kube.clock import boot_time
from decco.kube.config import connect
from decco.kube.fence import Fence
from decco.kube.leader import Leader
from decco.kube.lease import Times
from decco.objects import LEASES, Key, Obj
from testbed.controlplane import ControlPlane
from testbed.faults import Delay, LoseReply, refuse
from testbed.proxy import FaultProxy
from tests.promises import PATIENCE, promised, timed

TIMES = Times(lease=3.0, renew=2.0, retry=0.25)
WAIT = PATIENCE


class Candidate:
    """One process' part; notes when its work ran."""

    def __init__(
        self,
        kubeconfig: Path,
        name: str,
        identity: str,
        *,
        times: Times = TIMES,
        stubborn: float = 0.0,
        fence: Fence | None = None,
    ) -> None:
        """``stubborn`` work continues for so many seconds after the request to stop."""
        self._kubeconfig = kubeconfig
        self._stubborn = stubborn
        self.sessions: list[list[float]] = []
        """Begin and end of each time of work, on the monotonic clock; inf while it goes on."""
        self.changes: list[bool] = []
        self.aborted: list[float] = []
        self.leads = asyncio.Event()
        self.rests = asyncio.Event()
        self.leader = Leader(
            self._client,
            Key("default", name),
            identity,
            times=times,
            fence=fence or Fence(),
            on_change=self.changes.append,
            abort=lambda: self.aborted.append(time.monotonic()),
        )
        self.task: asyncio.Task[None] | None = None

    async def _client(self) -> Client:
        return Client(await connect(str(self._kubeconfig)), user_agent="decco-leader", in_flight=1)

    async def work(self) -> None:
        session = [time.monotonic(), float("inf")]
        self.sessions.append(session)
        self.rests.clear()
        self.leads.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.leads.clear()
            await asyncio.sleep(self._stubborn)
            session[1] = time.monotonic()
            self.rests.set()

    def start(self, work: Callable[[], Awaitable[None]] | None = None) -> Candidate:
        self.task = asyncio.create_task(self.leader.run(work or self.work))
        return self

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def make_candidate(control_plane: ControlPlane, proxy: FaultProxy, name: str) -> AsyncIterator[Any]:
    """Makes candidates for one Lease, and ends them."""
    made: list[Candidate] = []

    def candidate(identity: str, *, through_proxy: bool = False, **options: Any) -> Candidate:
        kubeconfig = proxy.kubeconfig if through_proxy else control_plane.kubeconfig
        made.append(Candidate(kubeconfig, name, identity, **options))
        return made[-1]

    yield candidate
    for one in made:
        await one.stop()
    sessions = sorted(tuple(session) for one in made for session in one.sessions)
    for (_, end), (begin, _) in itertools.pairwise(sessions):
        assert end <= begin, f"two worked at once: {sessions}"


async def lease(control_plane: ControlPlane, name: str) -> Obj:
    async with Client(await connect(str(control_plane.kubeconfig)), user_agent="test") as client:
        return await client.get(LEASES, Key("default", name))


async def within(seconds: float, awaitable: Awaitable[Any]) -> None:
    async with asyncio.timeout(seconds):
        await awaitable


async def test_one_leads_and_hands_over(make_candidate: Any, control_plane: ControlPlane, name: str) -> None:
    a, b = make_candidate("a").start(), make_candidate("b")
    await within(WAIT, a.leads.wait())
    b.start()
    await asyncio.sleep(1.5 * TIMES.lease)  # longer than a lease: it is renewed
    assert a.leads.is_set()
    assert not b.leads.is_set()
    spec = (await lease(control_plane, name))["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 3, 0)
    await a.stop()
    await within(TIMES.lease, b.leads.wait())  # given back, so no candidate waits for its end
    assert (await lease(control_plane, name))["spec"]["leaseTransitions"] >= 1
    assert a.changes == [True, False]
    assert b.changes == [True]


@timed
async def test_who_is_cut_off_stops_before_another_begins(make_candidate: Any, proxy: FaultProxy) -> None:
    a, b = make_candidate("a", through_proxy=True).start(), make_candidate("b")
    await within(WAIT, a.leads.wait())
    b.start()
    cut = time.monotonic()
    await proxy.stop_listening()
    await within(WAIT, b.leads.wait())
    assert a.rests.is_set()
    promised("the end of work after the connection was cut", a.sessions[0][1] - cut, TIMES.lease)
    assert b.sessions[0][0] >= a.sessions[0][1]
    await proxy.start_listening()
    await b.stop()
    await within(WAIT, a.leads.wait())  # a is a candidate again
    assert a.changes == [True, False, True]


@pytest.mark.parametrize("fault", [LoseReply(), refuse(500), refuse(409, reason="Conflict")])
async def test_trouble_that_passes_costs_no_leadership(make_candidate: Any, proxy: FaultProxy, fault: Any) -> None:
    a = make_candidate("a", through_proxy=True).start()
    await within(WAIT, a.leads.wait())
    rule = proxy.add(fault, method="PUT", times=3)
    await within(WAIT, rule.hit(3))
    calm = proxy.add(Delay(0.0), method="PUT")
    await within(WAIT, calm.hit(3))
    assert a.changes == [True]


async def test_a_busy_event_loop_costs_no_leadership(make_candidate: Any) -> None:
    a, b = make_candidate("a").start(), make_candidate("b").start()
    async with asyncio.timeout(WAIT):
        await asyncio.wait([asyncio.ensure_future(c.leads.wait()) for c in (a, b)], return_when=asyncio.FIRST_COMPLETED)
    first = a if a.leads.is_set() else b
    time.sleep(2 * TIMES.lease)  # noqa: ASYNC251 - that is the point
    await asyncio.sleep(0.5)
    assert first.leads.is_set()
    assert len(a.sessions) + len(b.sessions) == 1


async def test_a_dead_event_loop_leads_no_more(make_candidate: Any) -> None:
    times = Times(lease=2.0, renew=1.5, retry=0.25, dead=2.0)
    a = make_candidate("a", times=times).start()
    await within(WAIT, a.leads.wait())
    time.sleep(6.0)  # noqa: ASYNC251 - that is the point
    assert a.aborted, "the process must end: its work cannot be stopped"
    await within(WAIT, a.rests.wait())


class Suspensions:
    """Lets the clock that counts suspended time jump, as it does when a machine goes on; all others stand still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        for module in (fence, leader, lease_module):
            monkeypatch.setattr(module, "now", lambda: boot_time() + self.seconds)


class Renewals(Fence):
    """Counts the renewals of the lease."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def open_until(self, stop_at: float, end_at: float) -> bool:
        opened = super().open_until(stop_at, end_at)
        self.count += opened
        return opened


async def test_a_machine_that_was_suspended_for_less_than_the_lease_goes_on_leading(
    make_candidate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop sent no heartbeat for longer than the limit: it was suspended with the machine."""
    suspensions, renewals = Suspensions(monkeypatch), Renewals()
    times = Times(lease=60.0, renew=50.0, retry=0.25, dead=5.0)
    a = make_candidate("a", times=times, fence=renewals).start()
    await within(WAIT, a.leads.wait())
    for _ in range(20):  # one jump alone could hit the moment between a sign of life and its check
        known = renewals.count
        suspensions.seconds += 20.0
        async with asyncio.timeout(WAIT):
            # Two jumps without a renewal between them would be 40 s, three too many. Another thread renews.
            while renewals.count == known:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert a.changes == [True]
    assert a.leads.is_set()


async def test_a_machine_that_was_suspended_past_the_renewal_writes_nothing_more(
    make_candidate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspensions = Suspensions(monkeypatch)
    right = Fence()
    a = make_candidate("a", times=Times(lease=60.0, renew=50.0, retry=0.25), fence=right).start()
    await within(WAIT, a.leads.wait())
    assert right.allows()
    suspensions.seconds += 55.0
    assert not right.allows(), "in that very moment, before any timer has fired"
    await within(WAIT, a.rests.wait())
    await within(WAIT, a.leads.wait())
    assert a.changes == [True, False, True]
    assert right.allows()


@timed
async def test_work_that_does_not_stop_ends_the_process(make_candidate: Any, proxy: FaultProxy) -> None:
    a = make_candidate("a", through_proxy=True, stubborn=3.0).start()
    await within(WAIT, a.leads.wait())
    cut = time.monotonic()
    await proxy.stop_listening()
    await within(WAIT, a.rests.wait())
    assert len(a.aborted) == 1
    promised("the abort after the connection was cut", a.aborted[0] - cut, TIMES.lease + 0.5)
    assert a.aborted[0] < a.sessions[0][1]


async def test_a_lease_taken_away_by_hand_stops_the_work(
    make_candidate: Any, control_plane: ControlPlane, name: str
) -> None:
    a = make_candidate("a").start()
    await within(WAIT, a.leads.wait())
    patch = '{"spec":{"holderIdentity":"somebody","leaseDurationSeconds":2}}'
    await asyncio.to_thread(control_plane.kubectl, "patch", "lease", name, "--type=merge", "-p", patch)
    await within(WAIT, a.rests.wait())
    await within(WAIT, a.leads.wait())  # it was not renewed
    assert a.aborted == []


async def test_work_that_ends_by_itself_gives_the_lease_back(
    make_candidate: Any, control_plane: ControlPlane, name: str
) -> None:
    a = make_candidate("a")

    async def short() -> None:
        await asyncio.sleep(0.1)

    a.start(short)
    await within(WAIT, a.task)
    assert a.changes == [True, False]
    assert (await lease(control_plane, name))["spec"]["holderIdentity"] == ""


async def test_work_that_fails_is_not_hidden(make_candidate: Any, control_plane: ControlPlane, name: str) -> None:
    a = make_candidate("a")

    async def broken() -> None:
        raise ValueError("broken work")

    a.start(broken)
    with pytest.raises(ValueError, match="broken work"):
        await a.task
    assert (await lease(control_plane, name))["spec"]["holderIdentity"] == ""


async def test_no_connection_to_begin_with_is_said() -> None:
    async def impossible() -> Client:
        raise ConfigError("no cluster to connect to")

    with pytest.raises(ConfigError, match="no cluster"):
        await Leader(impossible, Key("default", "x"), "a").run(asyncio.Event().wait)  # type: ignore[arg-type]


@pytest.mark.parametrize("times", [(1, 2, 0.5), (3, 1, 2), (3, 2, 0)])
def test_times_that_cannot_be(times: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="lease > renew > retry > 0"):
        Times(*times)
