"""A sample of ``make faults``, and the plans that found a fault once.

The plans run in processes of their own, because these replace parts of decco.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.faults.plans import Fault, Plan, enumerate_plans, kinds_at, sample

PLANS = int(os.environ.get("FAULTS", "18"))
SCENARIOS = ("space-create", "endpoints-rename")
"""Each costs as much as five plans, for its record."""
SEED = 1

FOUND = {
    "space-create:once-404@PUT decco:spaces/PLAN/status#2": "never written again",
}
"""Plans of these scenarios that found a fault once, and the fault."""


def faults(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3000)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.timeout(3000)
def test_a_sample_of_all_plans_ends_as_without_faults() -> None:
    scenarios = [f"--scenario={each}" for each in SCENARIOS]
    found = [f"--plan={each}" for each in FOUND]
    status, text = faults("--seed", str(SEED), "--sample", str(PLANS), *scenarios, *found)
    print(text)
    assert status == 0, text
    assert "divergences=0" in text


def test_an_id_is_its_plan() -> None:
    plan = Plan(
        "app-create",
        (
            Fault("crash-after", "POST core:namespaces/PLAN/services/web", 1),
            Fault("event-late", "WATCH core:services ADDED PLAN/web", 2),
        ),
    )
    assert Plan.parse(str(plan)) == plan
    assert plan.kind == "pair"


def test_each_fault_strikes_at_each_occurrence() -> None:
    record = {"POST core:namespaces/PLAN/services/web": 2, "WATCH core:services ADDED PLAN/web": 1}
    plans = [plan for plan in enumerate_plans("app-create", record) if plan.kind != "pair"]
    wanted = {
        (kind, address, number)
        for address, count in record.items()
        for kind in kinds_at(address)
        for number in range(1, count + 1)
    }
    assert {(each.kind, each.address, each.number) for plan in plans for each in plan.faults} == wanted
    assert len(plans) == len(wanted)


def test_a_sample_has_every_kind() -> None:
    plans = list(enumerate_plans("app-create", {"POST core:namespaces/PLAN/services/web": 9, "DNS apply": 3}))
    kinds = {plan.kind for plan in plans}
    assert {plan.kind for plan in sample(plans, len(kinds))} == kinds
    assert sample(plans, 10) == sample(list(reversed(plans)), 10)
