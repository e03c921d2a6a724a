"""Decodes JSON of any depth.

A client that may create a custom resource with free fields (an App's ``pod``), or write the managedFields of any
object, can nest 10,000 levels, and the API server keeps them. orjson reads 1,024 and then refuses the whole text: a
list of everybody's objects, or a line of the watch that is sent again after each reconnection. So one object could make
all objects of its kind unreadable. No real object has 50 levels; what is deeper than ``DEEPEST`` is read as null.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

DEEPEST: Final = 100
"""Levels that are kept: less than orjson writes (254) and less than Python's recursion limit allows at several calls
each."""

_OPENING: Final = b"{["
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def loads(text: bytes) -> Any:
    """As ``orjson.loads``, also for text that is nested too deeply for it. Raises orjson.JSONDecodeError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return orjson.loads(_shear(text))


def _shear(text: bytes) -> bytes:
    """``text`` with null in place of each map and list below the deepest level."""
    pieces = []
    depth = kept = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        character = text[token.start()]
        if character in _OPENING:
            depth += 1
            if depth == DEEPEST + 1:
                pieces += [text[kept : token.start()], b"null"]
        elif character != ord('"'):
            if depth == DEEPEST + 1:
                kept = token.end()
            depth -= 1
    return b"".join([*pieces, text[kept:]])


def shallow(value: Any, levels: int = DEEPEST) -> Any:
    """A copy of decoded JSON with None in place of each map and list below the deepest level."""
    if isinstance(value, dict):
        return {name: shallow(inner, levels - 1) for name, inner in value.items()} if levels else None
    if isinstance(value, list):
        return [shallow(inner, levels - 1) for inner in value] if levels else None
    return value
