"""Without ``routing.parentGateway`` each Space has a Gateway of its own, with an address of its own."""

from __future__ import annotations

import ssl

import pytest

from tests.e2e import clients
from tests.e2e.world import SPACES, Tenant, World, eventually

PARENT = ("gateway.gateway.networking.k8s.io", "decco")


@pytest.fixture(scope="module")
def tenants(world: World) -> list[Tenant]:
    made = [world.tenant("north"), world.tenant("south")]
    for tenant in made:
        tenant.run(
            tenant.app("web", httpUrlPath="/web"),
            tenant.app("line", ["hello:9000"], endpoints=[{"name": "line", "port": 9000}]),
        )
        tenant.settled("/web")
        tenant.listening("line")
    return made


def test_the_address_is_that_of_its_own_gateway(tenants: list[Tenant]) -> None:
    seen = []
    for tenant in tenants:
        gateway = tenant.world.get(PARENT[0], PARENT[1], tenant.name)
        addresses = sorted(each["value"] for each in gateway["status"]["addresses"])
        assert tenant.world.get(SPACES, tenant.name)["status"]["addresses"] == addresses
        seen += addresses
    assert len(set(seen)) == len(tenants), seen


def test_https_and_server_names_on_one_port(tenants: list[Tenant]) -> None:
    for tenant in tenants:
        answer = tenant.https("/web")
        assert (answer.status, answer.json()["name"]) == (200, f"{tenant.name}/web")
        assert answer.serial == tenant.web.serial
        with tenant.tls("line") as connection:
            assert clients.read_all(connection) == f"{tenant.name}/line\n".encode()
        assert clients.http_(tenant.edge, tenant.fqdn, "/web").status == 301


def test_a_gateway_knows_no_other_space(tenants: list[Tenant]) -> None:
    north, south = tenants
    for name in (south.fqdn, south.host("line")):
        with (
            pytest.raises((ssl.SSLError, ConnectionError)),
            clients.whoever(north.edge, name) as connection,
        ):
            pytest.fail(f"{name} answered with certificate {clients.serial_of(connection):x}")


def test_a_space_that_goes_takes_its_gateway_with_it(world: World, tenants: list[Tenant]) -> None:
    """The last test here: the Gateway is a child like any other, and the neighbour's goes on."""
    north, south = tenants
    world.kubectl("delete", SPACES, north.name, "--wait=false")
    eventually(lambda: not world.get(PARENT[0], PARENT[1], north.name), 60, "the Gateway of north gone")
    assert south.https("/web").status == 200
