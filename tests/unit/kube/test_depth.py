"""One object, however deep, hides no other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from decco.kube.depth import DEEPEST, loads, shallow


def nested(levels: int, inner: str = "1") -> str:
    """Text of maps and lists in turn."""
    pairs = [('{"a":', "}"), ("[", "]")]
    chosen = [pairs[level % 2] for level in range(levels)]
    return "".join(opening for opening, _ in chosen) + inner + "".join(closing for _, closing in reversed(chosen))


def depth(value: Any) -> int:
    levels = 0
    while isinstance(value, dict | list) and value:
        value = value["a"] if isinstance(value, dict) else value[0]
        levels += 1
    return levels


@pytest.mark.parametrize("text", ["{}", "[1, 2]", '"x"', "null", nested(50), nested(300)])
def test_what_orjson_reads_is_read_as_it_is(text: str) -> None:
    assert loads(text.encode()) == orjson.loads(text)


@pytest.mark.parametrize("levels", [1100, 10_000])
def test_what_it_cannot_read_loses_its_depths_only(levels: int) -> None:
    neighbours = '{"name": "neighbour", "odd": "[[[\\"{{{\\\\"}'
    text = f'{{"items": [{neighbours}, {{"deep": {nested(levels)}, "kept": true}}, {neighbours}]}}'
    found = loads(text.encode())["items"]
    assert found[0] == found[2] == orjson.loads(neighbours)
    assert found[1]["kept"] is True
    assert depth(found[1]["deep"]) == DEEPEST - 3
    assert orjson.loads(orjson.dumps(found)) == found


def test_several_depths_side_by_side() -> None:
    found = loads(f"[{nested(2000)}, {nested(3)}, {nested(2000)}]".encode())
    assert [depth(each) for each in found] == [DEEPEST - 1, 3, DEEPEST - 1]


@pytest.mark.parametrize(
    "text",
    ["", "<html>", '{"a": ', "[" * 2000, "]" * 2000, nested(2000)[:-1], nested(2000) + "x", '{"a": "' + "[" * 2000],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        loads(text.encode())


def test_shallow_copies_what_is_not_too_deep() -> None:
    value = {"a": [1, {"b": None}], "c": "text"}
    assert shallow(value) == value
    assert shallow(value) is not value
    assert depth(shallow(orjson.loads(nested(1000)))) == DEEPEST
    assert shallow({"a": {"b": {}}, "c": 1}, 1) == {"a": None, "c": 1}
