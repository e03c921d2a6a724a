"""Every rule of the controller's roles is necessary: without it decco fails, and says what it lacks."""

from __future__ import annotations

import pytest

from testbed.audit import SERVICE_ACCOUNT
from tests.attacks.granting import Granting, Permission, permissions
from tests.attacks.life import LONG, Life
from tests.attacks.world import until
from tests.integration.harness import Decco

_PARTS = ("", "-certificates", "-envoy-gateway", "-gateway", "-istio", "-own", "-traefik")
BEFORE_LEADING = tuple(f"decco-controller{part}" for part in _PARTS)
"""Roles whose lists and watches are of the start."""


def lines(these: set[Permission]) -> str:
    return "\n".join(str(each) for each in sorted(these))


@pytest.mark.full
def test_whoever_grants_what_decco_asks_for_grants_exactly_its_roles(poor: Life) -> None:
    """Through a whole life that begins without any permission. Nothing else can be granted: see ``Granting``."""
    never = permissions().keys() - poor.granting.granted.keys()
    assert not never, f"never asked for:\n{lines(never)}"


def test_a_start_asks_for_all_that_it_follows(life: Life) -> None:
    """The same for the first seconds."""
    known = permissions()
    followed = {(each.group, each.resource) for each in known if each.verb == "watch"}
    wanted = {each for each in known if each.verb in {"list", "watch"} and each.role in BEFORE_LEADING}
    wanted = {each for each in wanted if (each.group, each.resource) in followed}
    account = life.cp.kubeconfig_for(SERVICE_ACCOUNT, ("system:serviceaccounts",))
    with Granting(life.cluster, life.folder) as granting:
        decco = Decco(life.cp, life.folder, kubeconfig=account, leader_election__enabled="true").start(wait=False)
        try:
            until(lambda: wanted <= granting.granted.keys(), "all permissions of a start", LONG)
            until(decco.ready, "the controller is ready", LONG)
        finally:
            decco.kill()
