"""A sample of ``make simulate``: random schedules of the whole controller on virtual time, and named seeds.

Each runs in a process of its own, because it replaces the clock.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCHEDULES = int(os.environ.get("SIMULATE", "84"))
"""Half a minute of CPU."""
FIRST = 1
PLANS = Path(__file__).parent / "found"

FOUND = {
    14: "a Space that stopped to claim a name while it was reconciled got a listener for it, and another had the name",
    149: "a copy of a Secret that a restore of etcd brought back was unknown until the next hourly read",
    3058: "copies of Secrets were not read again after a second restore whose list had the version of the first one's",
    50_104: "the answer to a deletion was lost, and the copy of a Secret was believed to exist for up to an hour",
    50_337: "a Job stayed suspended: its watch slept through an outage in which etcd was restored",
    50_004: "a Space was not reconciled: its watch slept through an outage in which etcd was restored",
    300_117: "after one 403 no permission for Secrets was obtained any more",
    1_000_008: "a controller that began to lead gave a name back to the Space that had given it up",
    1_000_145: "copies of Secrets that a restore of etcd had removed were missing until the next hourly read",
    1_000_224: "after a restore of etcd an edit was missed: it had the version that the lost history gave to a status",
    15: "a transferred name went back to its former holder, which gave it up again: in the end nobody had it",
    324: "a watch in its pause slept through an outage in which etcd was restored",
    17: "a Job of the history that a restore of etcd had ended counted as the run of the restored App",
    1_000_122: "children that a restore of etcd brought back still counted as being deleted, and stayed",
    2_000_004: "lines of a watch arrived in another order: a fault of the simulator",
    2_000_746: "a workload that lost its owner reference by --cascade=orphan was deleted for the App, which was gone",
    1_000_134: "a Job that a restore of etcd brought back still counted as being deleted, and was not replaced",
}
"""Seeds that found a fault once, and the fault. Their plans are in the folder ``found``."""

ALLOWED = {
    50_076: "somebody deletes a policy while its watch is silent: a Job may start before the silence is noticed",
}
"""Seeds of what no controller that acts on a cache can prevent, and that the oracles allow only then."""


def simulate(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.simulation", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.timeout(600)
def test_random_schedules_hold() -> None:
    status, text = simulate("--seed", str(FIRST), "-n", str(SCHEDULES), "--jobs", "2")
    assert status == 0, text
    assert f"schedules={SCHEDULES} failed=0" in text
    print(text)


@pytest.mark.parametrize("seed", FOUND)
def test_a_fault_of_former_times_stays_mended(seed: int) -> None:
    status, text = simulate("--plan", f"{PLANS}/{seed}.json")
    assert status == 0, f"{FOUND[seed]}\n{text}"


@pytest.mark.parametrize("seed", ALLOWED)
def test_what_cannot_be_known_is_allowed(seed: int) -> None:
    status, text = simulate("--plan", f"{PLANS}/{seed}.json")
    assert status == 0, f"{ALLOWED[seed]}\n{text}"


def test_a_seed_gives_the_same_history_each_time() -> None:
    first, second = (re.sub(r" seconds=.*", "", simulate("--seed", "77", "-n", "4", "--trace")[1]) for _ in range(2))
    assert len(first.splitlines()) > 100
    assert first == second
