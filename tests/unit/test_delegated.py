"""The delegated calls of SECURITY.md: few, numbered, each with its guard."""

from __future__ import annotations

from tests.delegated import MOST, delegated


def test_the_list_is_short_and_complete() -> None:
    entries = delegated()
    assert [each.number for each in entries] == list(range(1, len(entries) + 1))
    assert 0 < len(entries) <= MOST
    assert all(len(each.guard) > 10 for each in entries)
    assert ("create", "deployments") in {request for each in entries for request in each.requests}
    assert ("update", "spaces/status") in {request for each in entries for request in each.requests}
