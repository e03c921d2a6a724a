"""The DNS layer and the conditions have the same reasons."""

from __future__ import annotations

import pytest

from decco.desired import reasons
from decco.dns.errors import REASON_PENDING, REASONS
from decco.dns.service import DnsProblem
from decco.reconcilers.records import _problem

KNOWN = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_of_dns_is_one_of_conditions(reason: str) -> None:
    problem = _problem(DnsProblem("a.example", reason, "message"))
    assert problem.message == "message"
    assert problem.reason == (reasons.WAITING_FOR_DNS if reason == REASON_PENDING else reason)
    assert problem.reason in KNOWN


def test_an_unknown_reason_is_a_failure() -> None:
    assert _problem(DnsProblem("a.example", "DNSError", "see the log")).reason == reasons.DNS_FAILED
