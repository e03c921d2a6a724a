"""A share of an App's traffic for another App: counted."""

from __future__ import annotations

import http.client
from collections import Counter

import pytest

from tests.e2e import clients
from tests.e2e.conftest import BACKEND, Backend
from tests.e2e.world import Tenant, World, eventually
from tests.sample import full

REQUESTS = 600
WEIGHT = 20
pytestmark = pytest.mark.skipif(BACKEND is Backend.INGRESS, reason="an Ingress has no weights")


def answered(tenant: Tenant, path: str, number: int = REQUESTS) -> Counter[str]:
    """Which App answered how many of these requests, by one connection; every one must be answered."""
    counted: Counter[str] = Counter()
    with clients.tls(tenant.edge, tenant.fqdn, tenant.authority.cert) as connection:
        asked = http.client.HTTPSConnection(tenant.fqdn)
        asked.sock = connection
        for _ in range(number):
            asked.request("GET", path)
            answer = asked.getresponse()
            body = clients.Answer(answer.status, {}, answer.read())
            assert body.status == 200, body
            counted[body.json()["name"].partition("/")[2]] += 1
    return counted


@pytest.mark.parametrize("encrypt", [pytest.param(False, id="plain", marks=full), pytest.param(True, id="encrypted")])
def test_the_weight_is_what_arrives(world: World, encrypt: bool) -> None:
    tenant = world.tenant(f"share-{'tls' if encrypt else 'plain'}", encryptHttp=encrypt)
    tenant.run(tenant.app("web", httpUrlPath="/web"))
    tenant.settled("/web")
    # A canary that does not start costs nothing.
    broken = {"container": {"readinessProbe": {"httpGet": {"path": "/never", "port": 1}, "periodSeconds": 1}}}
    world.apply(tenant.app("next", httpUrlPath="/web", canaryOf="web", weight=WEIGHT, pod=broken))
    eventually(lambda: tenant.pods("next"), what="a pod of the canary")
    assert answered(tenant, "/web", 100) == {"web": 100}
    tenant.run(tenant.app("next", httpUrlPath="/web", canaryOf="web", weight=WEIGHT))
    eventually(lambda: answered(tenant, "/web", 50)["next"], what="requests at the canary")
    tenant.wait_app("web")
    counted = answered(tenant, "/web")
    # Five standard deviations of a binomial distribution: a right split fails once in a million runs.
    expected, deviation = REQUESTS * WEIGHT / 100, (REQUESTS * WEIGHT * (100 - WEIGHT)) ** 0.5 / 100
    print(f"\n{dict(counted)} of {REQUESTS} at weight {WEIGHT}")
    assert abs(counted["next"] - expected) < 5 * deviation, counted
    assert set(counted) == {"web", "next"}
    for weight, name in ((100, "next"), (0, "web")):
        tenant.run(tenant.app("next", httpUrlPath="/web", canaryOf="web", weight=weight))
        eventually(lambda name=name: set(answered(tenant, "/web", 50)) == {name}, what=f"all at {name}")  # type: ignore[misc]
        tenant.wait_app("web")
    world.kubectl("delete", "apps.decco.platform9.com", "next", "-n", tenant.name)
    assert answered(tenant, "/web", 100) == {"web": 100}
