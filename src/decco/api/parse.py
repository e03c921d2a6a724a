"""Parses an object of the API server into a spec, or raises an error with one message.

The API server validates objects at admission, but the CRD may have been older when the object was written, or be older
now. An invalid object must not affect others, and its values must not reach a configuration file unchecked. The message
becomes a condition of the object.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from decco.api.model import Model
from decco.api.object_rules import APP_RULES, SPACE_RULES, Named
from decco.api.rules import NO_TEXT, Rule
from decco.api.types import AppSpec, SpaceSpec
from decco.errors import TerminalError
from decco.objects import Obj

MAX_PROBLEMS = 5
"""Problems in one message. More of them usually have one cause, and the message must stay readable."""

_PLAIN = {
    "missing": "must be given",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": NO_TEXT,
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_parsing_size": "must be a smaller number",
    "greater_than_equal": "must be a number from {ge}: choose a greater one",
    "less_than_equal": "must be a number up to {le}: choose a smaller one",
    "too_short": "must have at least {min_length} items, and has {actual_length}: add some, or leave the field out",
    "too_long": "must have at most {max_length} items, and has {actual_length}: remove some",
    "enum": "must be {expected}: choose one of these",
}
"""Messages for pydantic's types of error, in terms of YAML instead of Python."""

M = TypeVar("M", bound=Model)


class InvalidObjectError(TerminalError, ValueError):
    """A Space or App that violates the current rules; a retry cannot succeed until it changes.

    Attributes:
        problems: one "field: what is wrong" each, fields from the root of the object, such as "spec.endpoints[0].port".
    """

    def __init__(self, kind: str, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        text = "; ".join(self.problems[:MAX_PROBLEMS])
        more = len(self.problems) - MAX_PROBLEMS
        if more > 0:
            text += f"; and {more} more"
        super().__init__(f"{kind} is not valid by today's rules: {text}")


def parse_space(obj: Obj) -> SpaceSpec:
    """The spec of a Space; raises InvalidObjectError."""
    return _parse(SpaceSpec, "Space", SPACE_RULES, obj)


def parse_app(obj: Obj) -> AppSpec:
    """The spec of an App; raises InvalidObjectError."""
    return _parse(AppSpec, "App", APP_RULES, obj)


def _parse(model: type[M], kind: str, rules: Iterable[Rule[Named[M]]], obj: Obj) -> M:
    try:
        spec = model.model_validate(obj.get("spec"))
    except ValidationError as error:
        raise InvalidObjectError(kind, _problems(error)) from None
    named = Named(obj["metadata"]["name"], spec)
    broken = [rule for rule in rules if not rule.at_creation and not rule.holds(named)]
    if broken:
        raise InvalidObjectError(kind, [f"{rule.at.removeprefix('.')}: {rule.message}" for rule in broken])
    return spec


def _problems(error: ValidationError) -> list[str]:
    """One line per mistake; values are left out, because they are untrusted."""
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        path = _path(item["loc"])
        context: dict[str, Any] = item.get("ctx", {})
        if item["type"] == "rules":
            problems += [f"{path}{at}: {message}" for at, message in context["broken"]]
        elif item["type"] == "value_error":
            problems.append(f"{path}: {context['error']}")
        else:
            plain = _PLAIN.get(item["type"])
            problems.append(f"{path}: {plain.format(**context) if plain is not None else item['msg']}")
    return problems


def _path(loc: tuple[int | str, ...]) -> str:
    """("endpoints", 0, "port") -> "spec.endpoints[0].port"."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
