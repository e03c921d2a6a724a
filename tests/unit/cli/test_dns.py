"""The exit status of ``decco dns plan``; what it prints is tested with a real zone."""

from __future__ import annotations

import pytest

from decco.cli.commands.dns import exit_status
from decco.dns.errors import ProviderUnreachable
from decco.dns.service import DnsProblem
from decco.views.dnsplan import DnsView, Step

STEP = Step("p", "example.com", "create", "x.example.com", "App a/b")
DOWN = ("p", "other.com", ProviderUnreachable("down"))


@pytest.mark.parametrize(
    ("view", "status"),
    [
        (DnsView(), 0),
        (DnsView(orphans=[("p", "example.com", "old.example.com")]), 0),
        (DnsView(steps=[STEP]), 1),
        (DnsView(refused=[("App a/b", DnsProblem("x.y", "ZoneNotFound", "no zone"))]), 1),
        (DnsView(unreadable=[DOWN]), 2),
        (DnsView(steps=[STEP], unreadable=[DOWN]), 2),
    ],
)
def test_exit_status(view: DnsView, status: int) -> None:
    assert exit_status(view) == status
