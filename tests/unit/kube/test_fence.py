"""The right to write, on a clock and with an alarm of the test's own; and with the kernel's, in another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from decco.kube import fence as fence_module
from decco.kube import leader, lease
from decco.kube.clock import boot_time
from decco.kube.errors import Fenced
from decco.kube.fence import PAUSED_STATUS, Fence, now
from tests.sample import thorough


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The present, in its only item."""
    present = [1000.0]
    monkeypatch.setattr(fence_module, "now", lambda: present[0])
    return present


def test_it_is_closed_to_begin_with_and_ends_by_itself(clock: list[float]) -> None:
    fence = Fence()
    with pytest.raises(Fenced, match="no longer leads"):
        fence.check()
    assert fence.open_until(1010.0, 1015.0)
    fence.check()
    clock[0] = 1009.999
    fence.check()
    clock[0] = 1010.0
    with pytest.raises(Fenced):
        fence.check()


def test_closing_ends_the_right_at_once_and_leaves_the_alarm(clock: list[float]) -> None:
    alarms: list[float] = []
    fence = Fence(alarms.append)
    fence.open_until(1010.0, 1015.0)
    clock[0] = 1002.0
    fence.open_until(1012.0, 1017.0)
    fence.close()
    assert not fence.allows()
    assert alarms == [15.0, 15.0]
    fence.settle()
    assert alarms == [15.0, 15.0, 0.0]


def test_what_is_over_already_is_not_opened(clock: list[float]) -> None:
    alarms: list[float] = []
    fence = Fence(alarms.append)
    assert not fence.open_until(1000.0, 1005.0)
    assert not fence.allows()
    assert alarms == []


def test_the_right_ends_in_the_moment_in_which_a_suspended_machine_goes_on(clock: list[float]) -> None:
    fence = Fence()
    fence.open_until(1010.0, 1015.0)
    clock[0] += 3600  # the clock that counts suspended time jumps; the event loop's does not
    assert not fence.allows()
    assert not fence.open_until(1012.0, 1017.0), "an answer that comes then is too late"


@thorough
@pytest.mark.skipif(
    not Path("/proc/self/timers").exists(), reason="a kernel without /proc/<pid>/timers: CHECKPOINT_RESTORE"
)
def test_the_alarm_counts_suspended_time() -> None:
    """The kernel itself says which clock its timer is on; that of setitimer is not even listed."""
    code = "from decco.kube.fence import process_alarm; process_alarm()(60); print(open('/proc/self/timers').read())"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    timers = [line for line in listed.stdout.splitlines() if line.startswith(("signal", "ClockID"))]
    assert [line.partition("/")[0] for line in timers] == [
        f"signal: {signal.SIGALRM.value}",
        f"ClockID: {time.CLOCK_BOOTTIME}",
    ]


WITHOUT_THE_TIMER = """
import time
from decco.kube import clock, fence
clock.BOOT_CLOCK = 99  # as a kernel that lacks it: EINVAL
fence.process_alarm()(0.1)
time.sleep(30)
"""


@thorough
def test_without_such_a_timer_there_is_still_an_alarm() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_THE_TIMER], capture_output=True, text=True, check=False)
    assert done.returncode == PAUSED_STATUS
    assert "no timer counts suspended time" in done.stdout + done.stderr


def test_the_lease_and_the_fence_are_on_one_clock_that_counts_suspended_time() -> None:
    assert fence_module.now is leader.now is lease.now is boot_time
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= now() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_the_clock_counts_and_is_not_set_back() -> None:
    first = now()
    assert now() >= first


STOPPED = """
import time
from decco.kube.fence import Fence, now, process_alarm
fence = Fence(process_alarm())
fence.open_until(now() + 0.3, now() + 0.5)
print("leads", flush=True)
while True:
    if fence.allows():
        print(time.time(), flush=True)
    time.sleep(0.001)
"""

IN_THE_ACT = """
import os, signal
from decco.kube.fence import Fence, now, process_alarm
fence = Fence(process_alarm())
fence.open_until(now() + 0.3, now() + 0.5)
fence.check()
os.kill(os.getpid(), signal.SIGSTOP)
print("written", flush=True)
"""

CALLED_OFF = """
import time
from decco.kube.fence import Fence, now, process_alarm
fence = Fence(process_alarm())
fence.open_until(now() + 0.1, now() + 0.2)
fence.settle()
time.sleep(0.4)
"""


def ends(process: subprocess.Popen[str]) -> int:
    """Its exit status, or -9 if it does not end."""
    try:
        return process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@thorough
def test_a_process_that_was_stopped_past_the_end_does_nothing_more() -> None:
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "leads\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.8)  # longer than the lease: what is waited for is time itself
        continued = time.time()
        process.send_signal(signal.SIGCONT)
        assert ends(process) == PAUSED_STATUS
        assert [line for line in process.stdout if float(line) > continued] == []


@thorough
def test_a_process_that_was_stopped_between_question_and_act_does_not_act() -> None:
    with subprocess.Popen([sys.executable, "-c", IN_THE_ACT], stdout=subprocess.PIPE, text=True) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        time.sleep(0.8)
        process.send_signal(signal.SIGCONT)
        assert ends(process) == PAUSED_STATUS
        assert process.stdout is not None
        assert process.stdout.read() == ""


@thorough
def test_a_cancelled_alarm_ends_no_process() -> None:
    done = subprocess.run([sys.executable, "-c", CALLED_OFF], check=False)
    assert done.returncode == 0
