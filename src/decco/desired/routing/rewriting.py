"""Path prefixes as regular expressions, for the ingress controllers that rewrite by them.

The same result as the Gateway API's ReplacePrefixMatch: a prefix ends at the border of a segment, and what follows it
is kept. ``/web`` rewritten to ``/app`` makes ``/web`` ``/app`` and ``/web/x`` ``/app/x``; rewritten to ``/`` it makes
them ``/`` and ``/x``; ``/webs`` is another path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPECIAL = re.compile(r"[.+*?^$()\[\]{}|\\]")


@dataclass(frozen=True, slots=True)
class Rewriting:
    """``pattern`` matches the whole path and has one group; the new path is ``before`` and that group."""

    pattern: str
    before: str


def escape(path: str) -> str:
    """The path as a pattern for itself, for PCRE and RE2 alike."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], path)


def rewriting(prefix: str, rewrite: str) -> Rewriting:
    """Both are paths without a slash at the end, or "/"."""
    if prefix == "/":
        return Rewriting("/(.*)", "/" if rewrite == "/" else f"{rewrite}/")
    if rewrite == "/":
        return Rewriting(f"{escape(prefix)}(?:/|$)(.*)", "/")
    return Rewriting(f"{escape(prefix)}(/.*)?$", rewrite)


def below(prefix: str) -> str:
    """A pattern for the beginning of every path at or below the prefix."""
    return "/" if prefix == "/" else f"{escape(prefix)}(/|$)"
