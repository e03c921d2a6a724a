"""Rules in two forms: CEL for the API server, Python for this program.

The API server refuses invalid objects at admission. But an object in etcd can be older than a rule, the CRD in the
cluster can be older than this program, and values of an object become part of configuration files of proxies. So every
rule that matters is checked again when an object is parsed, with the same message. The admission table of the
integration tests runs each invalid object through both, so the two forms cannot diverge.

Two kinds: ``Format`` is about the text of one field, ``Rule`` about fields that stand together. Both add themselves to
pydantic's JSON schema as ``x-kubernetes-validations``, from which ``schema.py`` makes the CRD.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from decco.frozen import frozen

T = TypeVar("T")

VALIDATIONS = "x-kubernetes-validations"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
NO_TEXT = "must be text, with a number or a word such as true in quotation marks"
IMMUTABLE = "self == oldSelf"
"""The CEL rule of a field that keeps its first value."""


class Reason(StrEnum):
    """The API server's words before a message: ``Invalid value``, ``Forbidden``."""

    INVALID = "FieldValueInvalid"
    FORBIDDEN = "FieldValueForbidden"


def cel_string(text: str) -> str:
    """``text`` as a CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def validation(rule: str, message: str, at: str = "", reason: Reason = Reason.INVALID) -> dict[str, str]:
    """One entry of x-kubernetes-validations; ``at`` is a fieldPath relative to the schema that carries it, or ""."""
    entry = {"rule": rule, "message": message}
    if at:
        entry["fieldPath"] = at
    if reason is not Reason.INVALID:
        entry["reason"] = reason.value
    return entry


@frozen
class Rule(Generic[T]):
    """Something that must hold between the fields of one object."""

    cel: str
    """True for a good object; ``self`` is the object that carries the rule."""
    holds: Callable[[T], bool]
    """The same in Python, on the parsed model."""
    message: str
    """States what to change; shown after ``path.at:``."""
    at: str = ""
    """The field to blame, as a fieldPath such as ".rewritePath"; "" blames the object."""
    reason: Reason = Reason.INVALID
    at_creation: bool = False
    """Whether objects that are there already may break the rule; then ``holds`` is not called when one is parsed."""

    def as_validation(self) -> dict[str, Any]:
        if not self.at_creation:
            return validation(self.cel, self.message, self.at, self.reason)
        # The API server evaluates a rule about oldSelf at creation only with optionalOldSelf.
        cel = f"oldSelf.hasValue() || ({self.cel})"
        return {**validation(cel, self.message, self.at, self.reason), "optionalOldSelf": True}


@frozen
class Format:
    """The form of a text: put it into ``Annotated[str, ...]``.

    Both patterns must mean the same in RE2 (CEL) and in Python's ``re``: plain classes, groups and repetition only.
    """

    pattern: str
    """What the whole text must match."""
    max_length: int
    """In characters; the API server also needs it to bound the cost of the rule."""
    message: str
    """Begins with "must be" and describes the form."""
    never: str = ""
    """What must match nowhere in the text; ``^`` and ``$`` are its ends."""

    def matches(self, text: str) -> bool:
        if len(text) > self.max_length or re.fullmatch(self.pattern, text) is None:
            return False
        return not self.never or re.search(self.never, text) is None

    def cel(self, value: str = "self") -> str:
        """The CEL expression that is true if ``value``, itself an expression, has this form."""
        expression = f"{value}.matches({cel_string(f'^{self.pattern}$')})"
        if self.never:
            expression += f" && !{value}.matches({cel_string(self.never)})"
        return expression

    def _check(self, value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{NO_TEXT}: it {self.message}")
        text: str = inner(value)
        if len(text) > self.max_length:
            raise ValueError(f"is too long: at most {self.max_length} characters")
        if not self.matches(text):
            raise ValueError(self.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json = handler(schema)
        json["maxLength"] = self.max_length
        json.setdefault(VALIDATIONS, []).append(validation(self.cel(), self.message))
        return json


@frozen
class Immutable:
    """A field that keeps its first value: only the API server, which has the old object, can check it."""

    message: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json = handler(schema)
        json.setdefault(VALIDATIONS, []).append(
            validation(IMMUTABLE, self.message, reason=Reason.FORBIDDEN),
        )
        return json


def all_different(values: str) -> str:
    """CEL: no two items of this list are the same, see ``admission.py`` for its cost."""
    return f"[{values}].all(l, l.all(x, l.indexOf(x) == l.lastIndexOf(x)))"


def unique(values: list[object]) -> bool:
    """The same in Python."""
    return len(set(values)) == len(values)
