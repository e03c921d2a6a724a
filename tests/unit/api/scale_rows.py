"""Wrong replicas, suspend and disruptionBudget, each with a similar good one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.api.rows import Row, app, put

FORM = "must be a number of pods, or a percentage such as 25%"
STOPS = "would forbid every eviction"


def scale_rows() -> Iterator[Row]:
    yield Row(
        "negative replicas", app(replicas=-1), app(replicas=0), "spec.replicas", "should be greater than or equal"
    )
    for field in ("minAvailable", "maxUnavailable"):
        at = f"spec.disruptionBudget.{field}"
        good = app(disruptionBudget={field: "50%"})
        for value in ("50", "101%", "-1%", "5.5%", "050%", "%", "", -1):
            yield Row(f"{field} {value!r}", put(good, at, value), good, at, FORM)
    at = "spec.disruptionBudget.maxUnavailable"
    for value in (0, "0%"):
        good = app(disruptionBudget={"maxUnavailable": 1})
        yield Row(f"no eviction {value!r}", put(good, at, value), good, at, STOPS)
    at = "spec.disruptionBudget.minAvailable"
    good = app(disruptionBudget={"minAvailable": "99%"})
    yield Row("all must stay", put(good, at, "100%"), good, at, STOPS)
    both = {"minAvailable": 1, "maxUnavailable": 1}
    one = app(disruptionBudget={"minAvailable": 1})
    yield Row("both", app(disruptionBudget=both), one, at, "cannot be combined with maxUnavailable")
    none = app(disruptionBudget={"mode": "None"})
    for field in ("minAvailable", "maxUnavailable"):
        bad = app(disruptionBudget={"mode": "None", field: 1})
        yield Row(f"none and {field}", bad, none, "spec.disruptionBudget.mode", "have no effect with mode None")
    wrong = app(disruptionBudget={"mode": "Off"})
    yield Row("unknown mode", wrong, none, "spec.disruptionBudget.mode", '"Auto", "None"')
