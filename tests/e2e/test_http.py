"""HTTPS by path: three Apps in two Spaces on one address and port."""

from __future__ import annotations

import pytest

from tests.e2e import clients
from tests.e2e.world import Tenant, World, eventually


@pytest.fixture(scope="module")
def red(world: World) -> Tenant:
    tenant = world.tenant("red", project="colours")
    tenant.run(
        tenant.app("web", httpUrlPath="/web"),
        tenant.app("shop", endpoints=[{"name": "shop", "port": 8080, "httpPath": "/shop", "rewritePath": "/"}]),
    )
    return tenant


def test_first(red: Tenant) -> None:
    answer = eventually(lambda: (a := red.https("/web/x?y=1")).status == 200 and a, 10)
    print(answer)
