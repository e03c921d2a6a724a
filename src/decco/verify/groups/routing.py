"""What the edge routes: by path, by server name, with the right certificate, and from plain HTTP to HTTPS."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from decco.objects import APPS, Key
from decco.settings import RoutingBackend
from decco.verify import edge
from decco.verify.edge import HTTP, HTTPS, Answer, Refused, Request
from decco.verify.groups.setup import CONTROLLER, app_of, space
from decco.verify.objects import EXTRA, LONGER, REWRITTEN, SHARE, TCP, WEB
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

EDGE = "routing/edge"
ANSWER_SECONDS = 15.0
WEIGHED, AT_ONCE = 200, 8
"""Requests that are counted for the share of a canary."""
E = app_of("e")


async def _edge(world: World) -> None:
    if world.settings.routing.backend is RoutingBackend.NONE:
        raise NotTested("routing.backend is none: nothing is routed by decco")
    for address in await world.addresses():
        for port in (HTTPS, HTTP):
            try:
                async with asyncio.timeout(edge.SECONDS), edge.opened(address, port, "", None):
                    pass
            except (OSError, TimeoutError) as error:
                text = f"no connection from here to {address}:{port}: {str(error) or 'no answer'}"
                raise Failed(text) from error


async def expect(world: World, request: Request, text: str, client: str = "", certificate: str = "") -> Answer:
    """The answer if it is 200, has this text and came with this certificate. Raises Failed."""
    where = f"https://{request.server}{request.path}"
    try:
        answer = await world.request(request, client)
    except Refused as error:
        raise Failed(f"{where} does not answer: {error}") from error
    if certificate and answer.certificate != certificate:
        raise Failed(f"{where} presents a certificate that is not the one of its Secret", "verify-certificate")
    if answer.status != 200 or text not in answer.body:
        raise Failed(f"{where} answers {answer.status}, expected 200 with {text!r}: {answer.body[:80]!r}")
    return answer


def _path(word: str, path: str, port: int, app: str = "web") -> Check:
    """A path of a Space's FQDN leads to this port."""

    async def check(world: World) -> None:
        request = Request(world.names.fqdn(word), path)
        leaf = world.material.web[word].digest
        await eventually(lambda: expect(world, request, f"{word}/{app} {port}", certificate=leaf), ANSWER_SECONDS)

    return check


def _further(path: str, port: int, *, wild: bool = False) -> Check:
    """A path at a name of httpHostnames leads to this port, with the certificate of the name."""

    async def check(world: World) -> None:
        names = world.names
        name, entry = (f"one.{names.wild}", names.wildcard) if wild else (names.further, names.further)
        leaf = world.material.further[entry].digest
        request = Request(name, path)
        await eventually(lambda: expect(world, request, f"e/web {port}", certificate=leaf), ANSWER_SECONDS)

    return check


def _name(word: str, endpoint: str, port: int) -> Check:
    """A server name leads to this port, with the certificate of the pod's own sidecar."""

    async def check(world: World) -> None:
        name = world.names.extra if endpoint == "extra" else world.names.host(word, endpoint)
        leaf = world.material.tcp[word].digest
        request = Request(name, "/who")
        await eventually(lambda: expect(world, request, f"{word}/web {port}", certificate=leaf), ANSWER_SECONDS)

    return check


async def _request_as_it_is(world: World) -> None:
    """Method, query, host and body reach the container; the rewritten path begins after httpPath."""
    fqdn = world.names.fqdn("a")
    request = Request(fqdn, "/old/cgi-bin/echo?x=1&y=%2F", method="POST", body="decco " * 500)
    answer = await eventually(lambda: expect(world, request, "decco decco"), ANSWER_SECONDS)
    expected = f"POST /cgi-bin/echo?x=1&y=%2F {fqdn}"
    if not answer.body.startswith(expected) or request.body not in answer.body:
        raise Failed(f"the container received {answer.body[:120]!r}, expected {expected!r} and the body")


def _redirect(server: Callable[[World], str]) -> Check:
    async def check(world: World) -> None:
        name = server(world)

        async def redirected() -> None:
            try:
                answer = await world.request_plain(Request(name, "/verify/who"))
            except Refused as error:
                raise Failed(f"http://{name} does not answer: {error}") from error
            target = answer.headers.get("location", "").replace(":443/", "/")
            if answer.status not in {301, 302, 307, 308} or target != f"https://{name}/verify/who":
                raise Failed(f"http://{name}/verify/who answers {answer.status} to {target or 'nowhere'}")

        await eventually(redirected, ANSWER_SECONDS)

    return check


async def _many(world: World) -> None:
    """Twenty requests one after another: no proxy behind the address is without the route."""
    request = Request(world.names.fqdn("a"), "/verify/who")
    for _ in range(20):
        await expect(world, request, f"a/web {WEB}")


async def _weight(world: World) -> None:
    """Within five standard deviations of a binomial distribution: a right split fails once in a million runs."""
    key = Key(world.names.space("e"), "share")
    if said := await world.unkept(APPS, key):
        raise NotTested(f"the edge has no weights, and the App says so: {said}")
    request = Request(world.names.fqdn("e"), "/shared/who")

    async def answered() -> str:
        answer = await eventually(lambda: expect(world, request, "e/"), ANSWER_SECONDS)
        return answer.body.partition(" ")[0]

    async def some() -> None:
        if "e/share" not in [await answered() for _ in range(20)]:
            raise Failed("no request of 20 reaches the canary")

    await eventually(some, ANSWER_SECONDS)
    counted: Counter[str] = Counter()
    for _ in range(WEIGHED // AT_ONCE):
        counted.update(await asyncio.gather(*(answered() for _ in range(AT_ONCE))))
    expected, deviation = WEIGHED * SHARE / 100, (WEIGHED * SHARE * (100 - SHARE)) ** 0.5 / 100
    if abs(counted["e/share"] - expected) > 5 * deviation:
        raise Failed(f"of {WEIGHED} requests {counted['e/share']} reached the canary, expected about {expected:.0f}")


def _probe(name: str, text: str, check: Check, app: str = app_of("a")) -> Probe:
    return Probe(f"routing/{name}", text, "verify-route", check, after=(EDGE, app))


PROBES = (
    # Also where no Space gets Ready: that the edge does not answer is often why.
    Probe(
        EDGE,
        "the edge accepts connections on 443 and 80",
        "verify-edge",
        _edge,
        after=(CONTROLLER,),
        behind=(space("a"),),
    ),
    _probe(
        "http", "https://<FQDN><httpPath> reaches the App, with the Space's certificate", _path("a", "/verify/who", WEB)
    ),
    _probe("longer-path", "of two paths the longer one wins", _path("a", "/verify/longer/who", LONGER)),
    _probe("rewrite", "rewritePath replaces httpPath", _path("a", "/old/who", REWRITTEN)),
    _probe("request", "method, query, host name and body reach the App", _request_as_it_is),
    _probe("http-encrypted", "the same with encryptHttp", _path("b", "/verify/who", WEB), app_of("b")),
    _probe("http-open", "the same in a Space without project", _path("c", "/verify/who", WEB), app_of("c")),
    _probe("http-project", "the same in a second Space of a project", _path("d", "/verify/who", WEB), app_of("d")),
    _probe(
        "http-second-app",
        "a second App of a Space is reached at its path",
        _path("c", "/gone/who", WEB, "gone"),
        app_of("c", "gone"),
    ),
    _probe("tcp", "a server name reaches its TCP endpoint, with the endpoint's certificate", _name("a", "tcp", TCP)),
    _probe("tcp-hostname", "a name of spec.hostnames reaches its endpoint", _name("a", "extra", EXTRA)),
    _probe("tcp-project", "a server name of another project reaches its endpoint", _name("b", "tcp", TCP), app_of("b")),
    _probe(
        "tcp-open", "a server name of a Space without project reaches its endpoint", _name("c", "tcp", TCP), app_of("c")
    ),
    _probe(
        "redirect",
        "plain HTTP is redirected to the same URL with HTTPS",
        _redirect(lambda world: world.names.fqdn("a")),
    ),
    _probe("further-fqdn", "a Space with further names is served at its FQDN", _path("e", "/verify/who", WEB), E),
    _probe(
        "further-name", "a name of httpHostnames is served, with its own certificate", _further("/verify/who", WEB), E
    ),
    _probe(
        "further-wildcard",
        "a wildcard of httpHostnames is served, with its own certificate",
        _further("/verify/who", WEB, wild=True),
        E,
    ),
    _probe(
        "further-redirect",
        "plain HTTP at a further name is redirected to HTTPS",
        _redirect(lambda world: world.names.further),
        E,
    ),
    _probe(
        "further-only", "an endpoint is served at the further name that it lists", _further("/named/who", REWRITTEN), E
    ),
    _probe(
        "paths-first", "the first of several paths reaches its endpoint, rewritten", _path("e", "/one/who", LONGER), E
    ),
    _probe("paths-second", "the second of several paths reaches its endpoint", _path("e", "/two/who", LONGER), E),
    Probe(
        "routing/weight",
        f"a canary with weight {SHARE} gets its share of the requests",
        "verify-weight",
        _weight,
        after=("routing/further-fqdn", app_of("e", "share")),
    ),
    Probe("routing/steady", "twenty requests in a row are answered", "verify-route", _many, after=("routing/http",)),
)
