"""Unknown fields of a Space or App.

The API server prunes them with a warning that is easily missed. Only decco's own fields are checked; the API server
checks a PodSpec.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from decco.api.types import PRESERVE
from decco.objects import Obj
from decco.suggest import did_you_mean


def unknown_fields(obj: Obj, spec_schema: Obj) -> Iterator[tuple[str, str]]:
    """(path, hint) of each field below ``spec`` that is not in the schema; the hint suggests a similar field."""
    yield from _unknown(obj.get("spec"), spec_schema, "spec")


def _unknown(value: Any, schema: Obj, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        items: Obj = schema.get("items") or {}
        for number, item in enumerate(value):
            yield from _unknown(item, items, f"{path}[{number}]")
        return
    properties = schema.get("properties")
    if not isinstance(value, dict) or not properties:
        return
    for name, inner in value.items():
        if name in properties:
            yield from _unknown(inner, properties[name], f"{path}.{name}")
        elif not schema.get(PRESERVE):
            yield f"{path}.{name}", did_you_mean(str(name), properties)
