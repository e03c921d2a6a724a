"""Nothing that the testbed started outlives it, whatever becomes of the testbed itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.processes import Processes, ProcessFailed

STUBBORN = [
    sys.executable,
    "-c",
    "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def within(seconds: float, ask: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_close_ends_everything_and_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "bed"
    folder.mkdir()
    with Processes(folder) as processes:
        started = [processes.start(name, ["sleep", "600"]) for name in ("one", "two")]
        assert all(alive(process.pid) for process in started)
    assert not any(alive(process.pid) for process in started)
    assert not folder.exists()


def test_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start("stubborn", STUBBORN)
        process.wait_until(lambda: "up" in process.log.read_text() if process.log.exists() else False, 60)
        assert processes.stop(process, 0.05) == -signal.SIGKILL


def assert_killed_with_the_testbed(folder: Path, lines: str, count: int) -> None:
    """``lines`` start so many processes with ``processes`` and print their numbers; then the testbed is killed."""
    folder.mkdir()
    script = (
        "import subprocess, time; from pathlib import Path; from testbed.processes import Processes\n"
        f"processes = Processes(Path({str(folder)!r}))\n{lines}\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True) as testbed:
        assert testbed.stdout is not None
        pids = [int(word) for word in testbed.stdout.readline().split()]
        assert len(pids) == count
        assert all(alive(pid) for pid in pids)
        testbed.kill()
    assert within(10, lambda: not any(alive(pid) for pid in pids))
    assert within(10, lambda: not folder.exists())


def test_the_testbed_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves it no chance to clean up, so its watchdog must."""
    lines = (
        "gone = processes.start('gone', ['true']); processes.stop(gone)\n"
        f"print(*(processes.start(str(i), {STUBBORN!r}).pid for i in range(3)))"
    )
    assert_killed_with_the_testbed(tmp_path / "bed", lines, 3)


def test_what_a_test_started_itself_ends_with_the_testbed(tmp_path: Path) -> None:
    lines = (
        "for seconds in (0, 600):\n"
        "    own = subprocess.Popen(['sleep', str(seconds)], start_new_session=True); processes.end_with_us(own)\n"
        "print(own.pid)"
    )
    assert_killed_with_the_testbed(tmp_path / "bed", lines, 1)


def test_a_number_that_somebody_else_has_now_is_not_killed(tmp_path: Path) -> None:
    """The watchdog is informed of an orderly end; after that the number no longer belongs to the testbed."""
    watchdog = Path(__file__).parents[3] / "testbed" / "watchdog.py"
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        lines = f"pid {stranger.pid}\ngone {stranger.pid}\nfolder {tmp_path / 'none'}\n"
        subprocess.run([sys.executable, "-I", "-S", str(watchdog)], input=lines, text=True, check=True)
        assert alive(stranger.pid)
        lines = f"pid {stranger.pid}\n"
        subprocess.run([sys.executable, "-I", "-S", str(watchdog)], input=lines, text=True, check=True)
        assert stranger.wait(5) == -signal.SIGKILL


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start("broken", ["sh", "-c", "echo unknown flag --wrong; exit 3"])
        with pytest.raises(
            ProcessFailed, match=r"broken ended with status 3 while starting(.|\n)*unknown flag --wrong"
        ):
            process.wait_until(lambda: False, 10)


def test_a_program_that_is_never_ready_is_not_waited_for_in_vain(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start("silent", ["sleep", "600"])
        with pytest.raises(ProcessFailed, match="silent was not ready after 0 s"):
            process.wait_until(lambda: False, 0.05)


def test_without_its_watchdog_nothing_is_started(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes._watchdog.kill()
        processes._watchdog.wait()
        with pytest.raises(ProcessFailed, match="watchdog"):
            processes.start("orphan", ["touch", "orphan-was-here"])
        [orphan] = processes._started
        assert orphan.popen.wait(5) != 0
        assert not (tmp_path / "orphan-was-here").exists()
