"""Rules of the controller's roles are necessary: without them decco fails, and says what it lacks."""

from __future__ import annotations

from testbed.audit import SERVICE_ACCOUNT
from tests.attacks.granting import Granting, permissions
from tests.attacks.life import LONG, Life
from tests.attacks.world import until
from tests.integration.harness import Decco

BEFORE_LEADING = ("decco-controller", "decco-controller-gateway", "decco-controller-own", "decco-controller-traefik")
"""Roles whose lists and watches are of the start."""


def test_a_start_asks_for_all_that_it_follows(life: Life) -> None:
    """Whoever grants what it asks for, and nothing else, has granted all lists and watches."""
    wanted = {each for each in permissions() if each.verb in {"list", "watch"} and each.role in BEFORE_LEADING}
    account = life.cp.kubeconfig_for(SERVICE_ACCOUNT, ("system:serviceaccounts",))
    with Granting(life.cluster, life.folder) as granting:
        decco = Decco(life.cp, life.folder, kubeconfig=account, leader_election__enabled="true").start(wait=False)
        try:
            until(lambda: wanted <= granting.granted.keys(), "all permissions of a start", LONG)
            until(decco.ready, "the controller is ready", LONG)
        finally:
            decco.kill()
