"""Durations of the Gateway API (GEP-2257), and the longest one that every proxy can count.

HAProxy rejects its whole file for a timer above 2147483647 ms, and stunnel's ``TIMEOUTidle`` overflows there: a long
timeout becomes none at all, or one of a moment. So there is one bound for all, below the smallest of theirs.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from decco.api.rules import VALIDATIONS, Format, cel_string, validation
from decco.frozen import frozen

LONGEST = "576h"
"""24 days, 2073600 s; the smallest bound of a proxy is 2147483 s."""
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+)(h|ms|m|s)")

DURATION = Format(
    pattern="([0-9]{1,5}(h|m|s|ms)){1,4}",
    never="^(0+(h|m|s|ms))+$",
    max_length=28,
    message="must be a duration longer than 0 such as 30s, 5m or 1h30m: up to four numbers of up to five digits, "
    "each with h, m, s or ms",
)
"""Except 0, which means no limit there."""


def seconds(duration: str) -> float:
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


@frozen
class AtMost:
    """A bound of a duration. The API server refuses a longer one; one that was stored before counts as the bound, so
    that its object stays valid.
    """

    longest: str
    message: str

    def _cap(self, text: str) -> str:
        return self.longest if seconds(text) > seconds(self.longest) else text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._cap, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json = handler(schema)
        # duration() fails for what has another form, and then the message would be that of CEL.
        cel = f"!({DURATION.cel()}) || duration(self) <= duration({cel_string(self.longest)})"
        json.setdefault(VALIDATIONS, []).append(validation(cel, self.message))
        return json


Duration = Annotated[
    str,
    DURATION,
    AtMost(
        LONGEST,
        f"must be at most {LONGEST} (24 days), since proxies count milliseconds in 32 bits: choose a shorter time, or "
        "remove it for the edge's own",
    ),
]
