"""Client certificates: who may connect to an endpoint that requests one."""

from __future__ import annotations

import ssl

import pytest

from tests.e2e import clients
from tests.e2e.world import Tenant, World, eventually
from tests.images.pki import Authority, Leaf

ALLOWED = "nova.acme.example"


@pytest.fixture(scope="module")
def keystone(world: World) -> Tenant:
    tenant = world.tenant("keystone")
    endpoints = [
        {"name": "admin", "port": 9000, "allowedClients": [ALLOWED, "glance.acme.example"]},
        {"name": "member", "port": 9001, "verifyTcpClientCert": True},
        {"name": "guest", "port": 9002},
    ]
    tenant.run(tenant.app("keystone", ["hello:9000", "hello:9001", "hello:9002"], endpoints=endpoints))
    tenant.listening("guest")
    tenant.listening("admin", tenant.authority.leaf(ALLOWED))
    return tenant


def who(tenant: Tenant, case: str) -> Leaf | None:
    """The certificate of one case."""
    match case:
        case "none":
            return None
        case "expired":
            return tenant.authority.leaf(ALLOWED, expired=True)
        case "stranger":
            return Authority(f"authority of {tenant.name}").leaf(ALLOWED)  # the same name, another key
        case "wrong name":
            return tenant.authority.leaf("intruder.acme.example", f"{ALLOWED}.evil.example")
        case "common name":
            return tenant.authority.leaf(common_name=ALLOWED)
        case "wildcard":
            return tenant.authority.leaf("*.acme.example", common_name=ALLOWED)
        case "second name":
            return tenant.authority.leaf("else.example", "glance.acme.example")
        case "right":
            return tenant.authority.leaf(ALLOWED)
    raise AssertionError(case)


CASES = ("none", "expired", "stranger", "wrong name", "common name", "wildcard", "second name", "right")
PASSES = {
    "admin": {"second name", "right"},
    "member": {"wrong name", "common name", "wildcard", "second name", "right"},
    # No certificate is requested, so any is accepted.
    "guest": set(CASES),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("endpoint", list(PASSES))
def test_who_may_connect(keystone: Tenant, endpoint: str, case: str) -> None:
    client = who(keystone, case)
    if case in PASSES[endpoint]:
        assert greeting(keystone, endpoint, client) == b"keystone/keystone\n"
    else:
        # TLS 1.3: the client is connected from its view until it reads the server's refusal.
        with pytest.raises((ssl.SSLError, ConnectionError)):
            greeting(keystone, endpoint, client)


def greeting(tenant: Tenant, endpoint: str, client: Leaf | None) -> bytes:
    """The first bytes of the App, which a refused client does not receive."""
    with tenant.tls(endpoint, client=client) as connection:
        got = clients.read_all(connection)
        # An end without a word would be a refusal as well.
        if not got:
            raise ConnectionResetError("closed without a byte")
        return got


def test_the_list_of_clients_changes_without_a_restart(world: World) -> None:
    tenant = world.tenant("glance")
    nova, cinder = tenant.authority.leaf("nova.example"), tenant.authority.leaf("cinder.example")

    def app(client: str) -> dict[str, object]:
        endpoints = [{"name": "images", "port": 9000, "allowedClients": [client]}]
        return tenant.app("images", ["hello:9000"], endpoints=endpoints)

    tenant.run(app("nova.example"))
    tenant.listening("images", nova)
    before = {pod["metadata"]["uid"] for pod in tenant.pods("images")}
    assert greeting(tenant, "images", nova)
    tenant.run(app("cinder.example"))
    eventually(lambda: greeting(tenant, "images", cinder), 90, "the other client may connect")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        greeting(tenant, "images", nova)
    assert {pod["metadata"]["uid"] for pod in tenant.pods("images")} == before
