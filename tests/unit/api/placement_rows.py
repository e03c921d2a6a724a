"""Wrong placements of Spaces and Apps, each with a similar good one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.unit.api.rows import Obj, Row, app, put, space

LABEL = "must be a DNS label: lower-case letters"
TWICE = "holds a cluster twice"


def _placed(*clusters: Any) -> Obj:
    return {"clusters": [each if isinstance(each, dict) else {"id": each} for each in clusters]}


def placement_rows() -> Iterator[Row]:
    at = "spec.placement.clusters"
    for kind, make in (("Space", space), ("App", app)):
        good = make(placement=_placed("east", {"id": "west", "role": "Standby"}))
        yield Row(f"{kind} in no cluster", make(placement=_placed()), good, at, "should have at least 1 item")
        many = make(placement=_placed(*(f"c{number}" for number in range(33))))
        most = put(many, at, many["spec"]["placement"]["clusters"][:32])
        yield Row(f"{kind} in 33 clusters", many, most, at, "at most 32 items")
        yield Row(f"{kind} in one cluster twice", make(placement=_placed("east", "west", "east")), good, at, TWICE)
        for bad in ("East", "a.b", "", "a b", "a/b", "-"):
            yield Row(f"{kind} in cluster {bad!r}", put(good, f"{at}[0].id", bad), good, f"{at}[0].id", LABEL)
        yield Row(f"{kind} with another role", put(good, f"{at}[1].role", "Passive"), good, f"{at}[1].role", '"Active"')
        yield Row(f"{kind} in a nameless cluster", put(good, f"{at}[0].id", None), good, f"{at}[0].id", "equired")
    passive = space(placement=_placed({"id": "east", "role": "Standby"}))
    yield Row(
        "nobody is active", passive, put(passive, f"{at}[0].role", "Active"), at, "no cluster with the role Active"
    )
