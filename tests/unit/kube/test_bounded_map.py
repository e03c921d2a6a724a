"""What is forgotten first."""

from __future__ import annotations

from decco.kube.bounded_map import BoundedMap


def test_the_entries_that_were_set_last_are_kept() -> None:
    kept: BoundedMap[str, int] = BoundedMap(2)
    kept["a"] = 1
    kept["b"] = 2
    kept["a"] = 3
    kept["c"] = 4
    assert list(kept.items()) == [("a", 3), ("c", 4)]
