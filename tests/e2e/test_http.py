"""HTTPS by path: three Apps in two Spaces, one address, one port."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from testbed.images import pattern
from tests.e2e import clients
from tests.e2e.world import SPACES, Tenant, World, eventually, shared_secret
from tests.promises import promised, timed

IN_FORCE_SECONDS = 2.0
"""From the answer to an edit until clients see it."""
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def red(world: World) -> Tenant:
    tenant = world.tenant("red", project="colours")
    shop = {"name": "shop", "port": 8080, "httpPath": "/shop", "rewritePath": "/"}
    tenant.run(tenant.app("web", httpUrlPath="/web"), tenant.app("shop", endpoints=[shop]))
    tenant.settled("/web", "/shop")
    return tenant


@pytest.fixture(scope="module")
def blue(world: World) -> Tenant:
    tenant = world.tenant("blue")
    tenant.run(tenant.app("web", httpUrlPath="/web"), tenant.app("rest", httpUrlPath="/"))
    tenant.settled("/web", "/")
    return tenant


def test_each_space_has_its_own(red: Tenant, blue: Tenant) -> None:
    for tenant, path, name in ((red, "/web", "red/web"), (red, "/shop", "red/shop"), (blue, "/web", "blue/web")):
        answer = tenant.https(path)
        assert (answer.status, answer.json()["name"]) == (200, name)
        assert answer.json()["host"] == tenant.fqdn
        assert answer.serial == tenant.web.serial, "another certificate than the Space's own"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/web", "red/web"),
        ("/web/", "red/web"),
        ("/web/deep/er", "red/web"),
        ("/web?a=b", "red/web"),
        ("/shop/web", "red/shop"),
        ("/website", None),
        ("/we", None),
        ("/", None),
        ("/Web", None),
        ("/unknown", None),
    ],
)
def test_a_path_is_a_prefix_of_segments(red: Tenant, path: str, name: str | None) -> None:
    answer = red.https(path)
    if name is None:
        assert answer.status == 404, answer
    else:
        assert (answer.status, answer.json()["name"]) == (200, name)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/", "rest"), ("/web", "web"), ("/web/", "web"), ("/web/x", "web"), ("/we", "rest"), ("/webs", "rest")],
)
def test_the_deeper_of_two_paths_wins(blue: Tenant, path: str, name: str) -> None:
    assert blue.https(path).json()["name"] == f"blue/{name}"


@pytest.mark.parametrize(
    ("asked", "seen"),
    [("/shop", "/"), ("/shop/", "/"), ("/shop/a/b", "/a/b"), ("/shop/shop", "/shop"), ("/web/a", "/web/a")],
)
def test_the_container_sees_the_rewritten_path(red: Tenant, asked: str, seen: str) -> None:
    answer = red.https(f"{asked}?q=1%2F2")
    assert answer.json()["path"] == seen
    assert answer.json()["query"] == {"q": ["1/2"]}


def test_http_redirects_to_https(red: Tenant) -> None:
    answer = clients.http_(red.edge, red.fqdn, "/web/x?y=z")
    assert answer.status in {301, 308}, answer
    location = answer.headers.get("location", "")
    assert location.replace(":443", "") == f"https://{red.fqdn}/web/x?y=z"


def test_methods_headers_and_statuses_pass(red: Tenant) -> None:
    answer = red.https("/web/x", method="DELETE", headers={"X-Mine": "yes"})
    assert (answer.json()["method"], answer.json()["headers"]["X-Mine"]) == ("DELETE", ["yes"])
    assert red.https("/web/status/418").status == 418
    assert red.https("/web/status/503").status == 503


def test_100_megabytes_up_and_down(red: Tenant) -> None:
    size = 100 * MEGABYTE
    content = b"".join(pattern.blocks(size))
    up = red.https("/web/upload", method="POST", body=content, seconds=60).json()
    assert (up["bytes"], up["sha256"]) == (size, clients.digest(content))
    down = red.https(f"/web/download?bytes={size}", seconds=60)
    assert clients.digest(down.body) == clients.digest(content)


def test_websockets(red: Tenant) -> None:
    async def talk() -> list[bytes]:
        trust = clients.context(red.authority.cert)
        resolver = _Resolver({red.fqdn: red.edge})
        made: list[socket.socket] = []

        def make(info: Any) -> socket.socket:
            family, kind, protocol, *_ = info
            made.append(socket.socket(family, kind, protocol))
            made[-1].setblocking(False)
            return made[-1]

        connector = aiohttp.TCPConnector(ssl=trust, resolver=resolver, socket_factory=make)
        answers = []
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(f"https://{red.fqdn}/web/ws", max_msg_size=0) as talking,
        ):
            for message in (b"hello", os.urandom(MEGABYTE), b""):
                await talking.send_bytes(message)
                answer = await talking.receive_bytes()
                assert answer == message
                answers.append(answer)
        # TLS ends with a word of either side; without a loop that waits for it the connection would be left open.
        async with asyncio.timeout(clients.SECONDS):
            while any(each.fileno() != -1 for each in made):  # noqa: ASYNC110 - a socket has no event for it
                await asyncio.sleep(0.01)
        return answers

    assert len(asyncio.run(talk())) == 3


class _Resolver(aiohttp.abc.AbstractResolver):
    """Names of the tests to the edge's address."""

    def __init__(self, known: dict[str, str]) -> None:
        self._known = known

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:  # type: ignore[override]
        return [{"hostname": host, "host": self._known[host], "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is held."""


def test_no_certificate_of_another_space(red: Tenant, blue: Tenant) -> None:
    """For any server name, the certificate is that of the name's Space, or there is none."""
    for said in (f"other.{red.fqdn}", f"{red.fqdn}.evil.test", "unknown.decco.test", None):
        with (
            pytest.raises((ssl.SSLError, ConnectionError)),
            clients.whoever(red.edge, said) as connection,
        ):
            pytest.fail(f"{said}: shown certificate {clients.serial_of(connection):x}")


def test_no_app_by_another_spaces_certificate(red: Tenant, blue: Tenant) -> None:
    """A client sends red's name in the handshake and requests blue's host."""
    answer = red.https("/web", headers={"Host": blue.fqdn})
    assert answer.status in {404, 421}, answer


@timed
def test_an_edit_is_in_force_within_two_seconds(world: World) -> None:
    """Path, port, certificate: each edit is seen by new clients within two seconds of its answer."""
    tenant = world.tenant("green")
    listen = ["http:8080", "http:8081"]
    tenant.run(tenant.app("site", listen, endpoints=[{"name": "site", "port": 8080, "httpPath": "/old"}]))
    tenant.settled("/old")

    world.apply(tenant.app("site", listen, endpoints=[{"name": "site", "port": 8080, "httpPath": "/new"}]))
    took = _until(lambda: tenant.https("/new").status == 200 and tenant.https("/old").status == 404)
    promised("a path in force", took, IN_FORCE_SECONDS)

    # The port's own answer: nothing else differs between the two.
    world.apply(tenant.app("site", listen, endpoints=[{"name": "site", "port": 8081, "httpPath": "/new"}]))
    took = _until(lambda: _service_port(tenant, "site") == 8081 and tenant.https("/new").status == 200)
    promised("a port in force", took, IN_FORCE_SECONDS)

    tenant.web = tenant.authority.leaf(tenant.fqdn)
    world.apply(shared_secret("green-http", tenant.web, "green"))
    took = _until(lambda: tenant.https("/new").serial == tenant.web.serial)
    promised("a certificate in force", took, IN_FORCE_SECONDS)


def _service_port(tenant: Tenant, name: str) -> int:
    return int(tenant.world.get("service", name, tenant.name)["spec"]["ports"][0]["targetPort"])


def _until(holds: Callable[[], object]) -> float:
    """Seconds until something holds, counted from now."""
    started = time.monotonic()
    eventually(holds, 15)
    return time.monotonic() - started


def test_a_withdrawn_certificate_ends_https_of_its_space_only(world: World) -> None:
    """Consent is withdrawn: the Space reports that and its HTTPS ends; its neighbour answers as before."""
    tenant, neighbour = world.tenant("amber"), world.tenant("ochre")
    for each in (tenant, neighbour):
        each.run(each.app("web", httpUrlPath="/"))
        each.settled("/")
    world.apply(shared_secret("amber-http", tenant.web, "somebody-else"))

    def refused() -> bool:
        try:
            with clients.whoever(tenant.edge, tenant.fqdn):
                return False
        except (ssl.SSLError, ConnectionError):
            return True

    eventually(refused, 15, "HTTPS of amber ended")
    conditions = {each["type"]: each for each in world.get(SPACES, "amber")["status"]["conditions"]}
    assert conditions["CertificatesReady"]["status"] == "False", conditions
    assert neighbour.https("/").status == 200
