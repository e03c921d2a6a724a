"""Specs from the schemas of the CRDs: each field with its least, most, empty, huge and foreign values.

Whatever field is added is covered: nothing here names one, but what makes a spec complete.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from decco.api.crd import crds

Obj = dict[str, Any]
Path = tuple[str | int, ...]

HUGE = 5000
"""Characters of a long text, and items of a long list: more than any field takes."""
STRINGS = ("", "a", "A", "0", "a.b", "/", "a b", "a\nb", "ü", "\U00010348", "*", "-a", "10.0.0.0/8", "1h", "x" * HUGE)
NUMBERS = (-(2**63), -1, 0, 1, 2, 80, 65535, 65536, 2**31, 2**63 - 1)


class Case(NamedTuple):
    """``spec`` differs from a good one in the value at ``path``."""

    path: str
    value: Any
    spec: Obj


@cache
def schema_of(kind: str) -> Obj:
    crd = next(each for each in crds() if each["spec"]["names"]["kind"] == kind)
    found: Obj = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def cases(kind: str, good: Obj) -> Iterator[Case]:
    """The good spec with another value in each field of its kind, also in those that it does not have."""
    for path, schema in _all_fields(kind):
        for value in _values(schema):
            spec = _with(copy.deepcopy(good), schema_of(kind), path, value)
            yield Case(".".join(map(str, path)), value, spec)


def one(rng: random.Random, kind: str, good: Obj) -> Case:
    """One of the cases, at random."""
    path, schema = rng.choice(_all_fields(kind))
    value = rng.choice(list(_values(schema)))
    return Case(".".join(map(str, path)), value, _with(copy.deepcopy(good), schema_of(kind), path, value))


@cache
def _all_fields(kind: str) -> list[tuple[Path, Obj]]:
    return list(_fields(schema_of(kind), ()))


def _fields(schema: Obj, path: Path) -> Iterator[tuple[Path, Obj]]:
    """Each field below this one. Of a list, its first item stands for all."""
    if path:
        yield path, schema
    for name, inner in (schema.get("properties") or {}).items():
        yield from _fields(inner, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from _fields(schema["items"], (*path, 0))


def _values(schema: Obj) -> Iterator[Any]:
    """What may be written into a field, and what may not."""
    yield None
    yield from schema.get("enum") or ()
    type_ = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        yield from ("1", 1, "1Gi", "-1", "x", 0, 1.5, "")
    elif type_ == "string":
        yield from STRINGS
        if "maxLength" in schema:
            yield from ("a" * schema["maxLength"], "a" * (schema["maxLength"] + 1))
        yield from (0, True, [], {})
    elif type_ == "integer":
        yield from NUMBERS
        for bound in ("minimum", "maximum"):
            if bound in schema:
                yield from (schema[bound] - 1, schema[bound], schema[bound] + 1)
        yield from (1.5, "1", True, [], {})
    elif type_ == "boolean":
        yield from (True, False, "true", 0, [], {})
    elif type_ == "array":
        item = least(schema["items"])
        yield from ([], [item], [item, copy.deepcopy(item)], [item] * HUGE, [None], item, "a", {})
    else:
        yield from ({}, [], "a", 0, {"unknown": {"field": 1}})


def least(schema: Obj) -> Any:
    """A value that has what the schema requires, and nothing else."""
    if schema.get("x-kubernetes-int-or-string"):
        return "1"
    match schema.get("type"):
        case "string":
            return str((schema.get("enum") or ["a"])[0])
        case "integer":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
        case "array":
            return [least(schema["items"])] if schema.get("minItems") else []
    properties = schema.get("properties") or {}
    return {name: least(properties[name]) for name in schema.get("required") or () if name in properties}


def _with(spec: Any, schema: Obj, path: Path, value: Any) -> Any:
    """The spec with the value at the path; what lacks on the way there is made."""
    step, *rest = path
    inner = schema["items"] if isinstance(step, int) else schema["properties"][step]
    if isinstance(step, int):
        spec = spec or [least(inner)]
        spec[0] = _with(spec[0], inner, tuple(rest), value) if rest else value
        return spec
    if rest:
        below = spec.get(step)
        if below is None:
            below = [] if inner.get("type") == "array" else least(inner)
        spec[step] = _with(below, inner, tuple(rest), value)
    else:
        spec[step] = value
    return spec
