"""Suggestions for misspelt words."""

from __future__ import annotations

import pytest

from decco.suggest import closest, did_you_mean

KEYS = ("routing.backend", "routing.ingressDialect", "logLevel", "dns.retryBaseSeconds", "controller.retryBaseSeconds")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("logLevel", "logLevel"),
        ("log-level", "logLevel"),
        ("LOG_LEVEL", "logLevel"),
        ("logLevl", "logLevel"),
        ("controller.retrybaseseconds", "controller.retryBaseSeconds"),  # the same letters, before the same last part
        ("backend", "routing.backend"),
        ("rooting.ingress_dialect", "routing.ingressDialect"),
        ("zzz", None),
        ("", None),
    ],
)
def test_the_closest_word(word: str, expected: str | None) -> None:
    assert closest(word, KEYS, last_part=True) == expected


def test_the_last_part_counts_only_where_it_is_asked_for() -> None:
    assert closest("shop.example.com", ["acme.test.com"]) is None


def test_the_text_of_a_suggestion() -> None:
    assert did_you_mean("jsn", ["json", "yaml"]) == "; did you mean json?"
    assert did_you_mean("jsn", ["json", "yaml"], quoted=True) == "; did you mean 'json'?"
    assert did_you_mean("qqqq", ["json", "yaml"]) == ""
    assert did_you_mean("json", ["json", "jsno"]) == "", "it is known: no other word was meant"
