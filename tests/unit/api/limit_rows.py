"""Wrong limits of a Space, each beside similar good ones."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.api.rows import Obj, Row, endpoints, put, space


def limit_rows() -> Iterator[Row]:
    field, says = "spec.limits.clientCidrs[0]", "must be a network in canonical form"
    for bad, good in {
        "10.0.0.1/24": "10.0.0.0/24",
        "10.0.0.0": "10.0.0.0/32",
        "2001:DB8::/32": "2001:db8::/32",
    }.items():
        wrong, right = (space(limits={"clientCidrs": [text]}) for text in (bad, good))
        yield Row(f"{field} {bad}", wrong, right, field, says)
    longest = "1111:1111:1111:1111:1111:1111:1111:1111/128"
    wrong, right = (space(limits={"clientCidrs": [text]}) for text in ("1" * 44, longest))
    yield Row(f"{field} too long", wrong, right, field, "Too long")
    wrong, right = (space(limits={"clientCidrs": ["10.0.0.0/8", f"{n}.0.0.0/8"]}) for n in (10, 11))
    yield Row(f"{field} twice", wrong, right, "spec.limits.clientCidrs[1]", "Duplicate value", False)
    wrong, right = (space(limits={"clientCidrs": [f"10.0.{i}.0/24" for i in range(n)]}) for n in (65, 64))
    yield Row("many clientCidrs", wrong, right, "spec.limits.clientCidrs", "must have at most")
    whole = space(limits={"requestRate": {"requests": 1}, "connections": 1})
    for at in ("spec.limits.requestRate.requests", "spec.limits.connections"):
        for value, good, says in ((0, 1, "or equal to 1"), (1_000_001, 1_000_000, "or equal to 1000000")):
            yield Row(f"{at} {value}", put(whole, at, value), put(whole, at, good), at, says)
        yield Row(f"{at} text", put(whole, at, "80"), put(whole, at, 80), at, "must be of type integer", False)
    at = "spec.limits.requestRate"
    yield Row("rate without requests", put(whole, at, {"unit": "Hour"}), whole, f"{at}.requests", "Required value")
    wrong, right = (put(whole, f"{at}.unit", unit) for unit in ("Day", "Hour"))
    yield Row("rate by day", wrong, right, f"{at}.unit", '"Second", "Minute", "Hour"')


LONGEST: dict[str, Obj] = {
    "spec.endpoints[0].timeouts.request": endpoints({"httpPath": "/x", "timeouts": {}}),
    "spec.endpoints[0].timeouts.idle": endpoints({"timeouts": {}}),
    "spec.limits.timeouts.request": space(limits={"timeouts": {}}),
    "spec.limits.timeouts.idle": space(limits={"timeouts": {}}),
}


def longest_rows() -> Iterator[Row]:
    """Parsing takes them for the longest: objects of before the bound stay valid."""
    for at, base in LONGEST.items():
        for bad in ("576h1ms", "600h", "1193h2m48s", "35791m24s34560m", "99999h99999m99999s99999ms"):
            yield Row(f"{at} {bad}", put(base, at, bad), put(base, at, "576h"), at, "must be at most 576h", False)
