"""The runs of a scenario without faults: where faults can strike, how many writes are usual, how it has to end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from tests.faults import state
from tests.faults.plans import Plan
from tests.faults.run import Outcome, Reference, Runner, writes_of
from tests.integration.harness import APIS, Obj

RUNS = 2
"""The order of what happens at the same time is different in each; the most writes of all are the usual ones."""
_OF_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "finalizers")


async def record(runner: Runner, scenario: str) -> tuple[Reference, list[str]]:
    """The reference, and what is wrong already without faults."""
    plan = Plan(scenario)
    outcomes = await asyncio.gather(*(runner.run(plan) for _ in range(RUNS)))
    found = [f"without faults: {each}" for outcome in outcomes for each in outcome.found]
    first = outcomes[0]
    for other in outcomes[1:]:
        found += [f"two runs without faults end apart: {each}" for each in state.differences(other.end, first.end)]
    counts: dict[str, int] = dict(first.counts)
    for other in outcomes[1:]:
        counts = {address: min(count, other.counts.get(address, 0)) for address, count in counts.items()}
    writes: Counter[str] = Counter()
    for outcome in outcomes:
        writes |= writes_of(outcome.sent)
    fresh = await runner.fresh(plan, _as_given(first))
    found += [f"in a fresh deployment: {each}" for each in fresh.found]
    found += [f"a fresh deployment ends apart: {each}" for each in state.differences(first.end, fresh.end)]
    reference = Reference(first.end, {name: count for name, count in counts.items() if count}, dict(writes))
    return reference, found


def _as_given(outcome: Outcome) -> list[Obj]:
    """Spaces and then Apps as a person would apply them again; their names have PLAN in the place of the token."""
    given: list[Obj] = []
    for key in sorted(outcome.end, key=lambda key: not key.startswith("space ")):
        obj: Any = outcome.end[key]
        if key.startswith(("space ", "apps ")):
            meta = {name: value for name, value in obj["metadata"].items() if name not in _OF_SERVER}
            api = {"apiVersion": APIS.removeprefix("/apis/"), "kind": "Space" if key.startswith("space ") else "App"}
            given.append({**api, "metadata": meta, "spec": obj["spec"]})
    return given
