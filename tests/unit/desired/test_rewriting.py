from __future__ import annotations

import re

import pytest

from decco.desired.routing.dialect import below, escape, rewriting

# The answers of the Gateway API for ReplacePrefixMatch (HTTPPathModifier); None: not matched at all.
ANSWERS = [
    ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
    ("/foo", "/xyz", "/foo", "/xyz"),
    ("/foo", "/xyz", "/foo/", "/xyz/"),
    ("/foo", "/xyz", "/foobar", None),
    ("/foo", "/xyz", "/x/foo", None),
    ("/foo", "/", "/foo/bar", "/bar"),
    ("/foo", "/", "/foo", "/"),
    ("/foo", "/", "/foo/", "/"),
    ("/foo", "/", "/foobar", None),
    ("/", "/xyz", "/bar", "/xyz/bar"),
    ("/", "/xyz", "/", "/xyz/"),
    ("/", "/", "/bar", "/bar"),
    ("/a.b+c", "/x", "/a.b+c/d", "/x/d"),
    ("/a.b+c", "/x", "/aXbbc/d", None),
]


@pytest.mark.parametrize(("prefix", "rewrite", "path", "want"), ANSWERS)
def test_the_answers_of_the_gateway_api(prefix: str, rewrite: str, path: str, want: str | None) -> None:
    pattern, before = rewriting(prefix, rewrite)
    found = re.match(pattern, path)
    assert (None if found is None else before + (found[1] or "")) == want
    assert (re.match(below(prefix), path) is not None) == (want is not None)


def test_every_special_character_is_escaped() -> None:
    text = "/-._~:@=+,%20(a)[b]{c}|^$*?\\"
    assert re.fullmatch(escape(text), text)
    assert escape("/plain-path_1~:@=,%20") == "/plain-path_1~:@=,%20"
