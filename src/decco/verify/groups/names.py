"""Wrong and missing names: nobody reaches an App, or is shown a certificate, by a name that is not the App's."""

from __future__ import annotations

from collections.abc import Callable

from decco.verify import edge
from decco.verify.edge import Refused, Request
from decco.verify.outcome import Failed
from decco.verify.probe import Check, Probe
from decco.verify.world import World

ROUTED = ("routing/http", "routing/tcp", "routing/http-open")


def _no_certificate(server: Callable[[World], str]) -> Check:
    """A server name gets no connection, or at least no certificate of a Space."""

    async def check(world: World) -> None:
        name = server(world)
        try:
            found = await world.certificate(name)
        except Refused:
            return
        for leaves in (world.material.web, world.material.tcp, world.material.further):
            for space, leaf in leaves.items():
                if leaf.digest == found:
                    raise Failed(f"{name or 'no server name'} is shown the certificate of {space}")

    return check


def _not_reached(server: Callable[[World], str], path: str, host: Callable[[World], str] | None = None) -> Check:
    """No App of the run answers a request; the edge may."""

    async def check(world: World) -> None:
        request = Request(server(world), path, host(world) if host is not None else None)
        try:
            answer = await world.request(request)
        except Refused:
            return
        if answer.status == 200 and "/web" in answer.body:
            what = f"https://{request.server}{path}" + (f" with Host {request.host}" if request.host else "")
            raise Failed(f"{what} is answered by {answer.body.strip()!r}")

    return check


async def _plain_on_443(world: World) -> None:
    try:
        answer = await edge.send(
            await world.address(world.names.fqdn("a")), Request(world.names.fqdn("a"), "/verify/who"), None, 443
        )
    except Refused:
        return
    if answer.status == 200:
        raise Failed("plain HTTP on port 443 reaches the App")


async def _plain_without_tls(world: World) -> None:
    """Nothing of an App is served on port 80."""
    for host in (world.names.fqdn("a"), world.names.host("a", "tcp"), "unknown.decco-verify.test"):
        try:
            answer = await world.request_plain(Request(host, "/verify/who"))
        except Refused:
            continue
        if answer.status == 200 and "/web" in answer.body:
            raise Failed(f"http://{host}/verify/who is answered without TLS")


def _a(world: World) -> str:
    return world.names.fqdn("a")


def _c(world: World) -> str:
    return world.names.fqdn("c")


def _probe(name: str, text: str, check: Check, *after: str) -> Probe:
    return Probe(f"names/{name}", text, "verify-wrong-name", check, after=after or ROUTED)


PROBES = (
    _probe("no-server-name", "without a server name no Space's certificate is shown", _no_certificate(lambda _: "")),
    _probe(
        "unknown",
        "an unknown server name is shown no Space's certificate",
        _no_certificate(lambda _: "unknown.decco-verify.test"),
    ),
    _probe(
        "unknown-below",
        "a name below the FQDN without endpoint gets no connection",
        _no_certificate(lambda w: w.names.host("a", "nobody")),
    ),
    _probe(
        "two-labels",
        "two labels below the FQDN get no connection",
        _no_certificate(lambda w: f"x.{w.names.host('a', 'tcp')}"),
    ),
    _probe(
        "suffix",
        "the FQDN as the beginning of a longer name gets no connection",
        _no_certificate(lambda w: f"{_a(w)}.evil.test"),
    ),
    _probe("prefix", "a name that only ends like the FQDN gets no connection", _no_certificate(lambda w: f"x{_a(w)}")),
    _probe(
        "neighbour",
        "the name of an endpoint of another Space is not served here",
        _no_certificate(lambda w: w.names.host("c", "extra")),
    ),
    _probe("path-unknown", "an unknown path reaches no App", _not_reached(_a, "/elsewhere/who")),
    _probe("path-boundary", "a path that only begins like httpPath reaches no App", _not_reached(_a, "/verifyx/who")),
    _probe("path-of-other", "a path of another Space reaches no App", _not_reached(_a, "/gone/who")),
    _probe(
        "host-of-other",
        "one Space's server name with another's Host reaches no App",
        _not_reached(_a, "/verify/who", _c),
    ),
    _probe(
        "host-unknown",
        "a server name with an unknown Host reaches no App",
        _not_reached(_a, "/verify/who", lambda _: "unknown.decco-verify.test"),
    ),
    _probe(
        "not-listed",
        "an endpoint that lists further names is not reached at the FQDN",
        _not_reached(lambda w: w.names.fqdn("e"), "/named/who"),
        "routing/further-only",
        "routing/further-fqdn",
    ),
    _probe(
        "above-wildcard",
        "the name above a wildcard is shown no Space's certificate",
        _no_certificate(lambda w: w.names.wild),
        "routing/further-wildcard",
    ),
    _probe("plain-on-443", "plain HTTP on port 443 reaches no App", _plain_on_443),
    _probe("plain-on-80", "no App is served without TLS on port 80", _plain_without_tls),
)
