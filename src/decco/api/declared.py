"""Compares what is passed on to Kubernetes with the schema that declares its fields in the CRD.

Such a field is kept as it is, so pydantic has no model of it. The API server enforces the schema at admission; this
finds the same in an object that is older than the CRD, and in a file that ``decco`` reads.
"""

from __future__ import annotations

from typing import Any, Final

_NOT_A = {
    "integer": "must be a whole number",
    "string": "must be text",
    "boolean": "must be true or false",
    "array": "must be a list",
    "object": "must be an object",
}
_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "integer": int,
    "string": str,
    "boolean": bool,
    "array": (list, tuple),
    "object": dict,
}
_BOUNDS = (("maxLength", "characters"), ("maxItems", "items"), ("maxProperties", "keys"))
_MOST = 2**63 - 1
"""The greatest value of int64, which is the format of every declared number."""


def problem_of(schema: dict[str, Any], value: Any, path: str = "") -> str:
    """The first difference, as "field what is wrong"; empty if there is none. Rules in CEL are not evaluated."""
    kind = schema["type"]
    if not _is_a(kind, value):
        return f"{path} {_NOT_A[kind]}"
    if kind == "integer":
        return "" if -_MOST - 1 <= value <= _MOST else f"{path} must be a number of 64 bits"
    for name, unit in _BOUNDS:
        if name in schema and len(value) > schema[name]:
            return f"{path} must have at most {schema[name]} {unit}"
    if kind == "array":
        found = (problem_of(schema["items"], each, f"{path}[{number}]") for number, each in enumerate(value))
    elif kind == "object":
        found = (
            problem_of(inner, value[name], f"{path}.{name}".removeprefix("."))
            for name, inner in schema.get("properties", {}).items()
            # The API server takes a field that is null for one that is absent.
            if value.get(name) is not None
        )
    else:
        return ""
    # Keys of a map are text of a tenant, and stay out of the message.
    if "additionalProperties" in schema:
        found = (problem_of(schema["additionalProperties"], each, f"{path}[]") for each in value.values())
    return next(filter(None, found), "")


def _is_a(kind: str, value: object) -> bool:
    return isinstance(value, _TYPES[kind]) and not (kind == "integer" and isinstance(value, bool))
