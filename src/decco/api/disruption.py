"""``disruptionBudget`` of an App, in the words of policy/v1."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from decco.api.rules import VALIDATIONS, validation

INT_OR_STRING = "x-kubernetes-int-or-string"
MAX_PERCENT_LENGTH = 4

_FORM = "must be a number of pods, or a percentage such as 25%"
_STOPS = "would forbid every eviction, and a node with such a pod could never be drained"
NEVER_ZERO = f"{_STOPS}: allow at least 1"
NEVER_ALL = f"{_STOPS}: choose less than 100%"


class BudgetMode(StrEnum):
    AUTO = "Auto"
    NONE = "None"


def _check(value: Any) -> int | str:
    if type(value) is int and 0 <= value < 2**31:
        return value
    if isinstance(value, str) and re.fullmatch("(100|[1-9]?[0-9])%", value):
        return value
    raise ValueError(_FORM)


def _check_most(value: Any) -> int | str:
    if _check(value) in (0, "0%"):
        raise ValueError(NEVER_ZERO)
    return _check(value)


def _check_least(value: Any) -> int | str:
    if _check(value) == "100%":
        raise ValueError(NEVER_ALL)
    return _check(value)


_CEL = "type(self) == int ? self >= 0 && self < 2147483648 : self.matches('^(100|[1-9]?[0-9])%$')"


def _schema(rule: str, message: str) -> WithJsonSchema:
    rules = [validation(_CEL, _FORM), validation(rule, message)]
    return WithJsonSchema({INT_OR_STRING: True, "maxLength": MAX_PERCENT_LENGTH, VALIDATIONS: rules})


MostUnavailable = Annotated[
    Any, AfterValidator(_check_most), _schema("type(self) == int ? self != 0 : self != '0%'", NEVER_ZERO)
]
LeastAvailable = Annotated[Any, AfterValidator(_check_least), _schema("type(self) == int || self != '100%'", NEVER_ALL)]
