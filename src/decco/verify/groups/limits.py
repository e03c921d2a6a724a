"""Limits of a Space and timeouts of endpoints: kept by the edge, or named in a condition, and then skipped here.

The App timed of Space e has timeouts at some endpoints and none at others; Space f has ``objects.LIMITS``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from decco.desired.limits import CLIENT_CIDRS, CONNECTIONS, IDLE, REQUEST, REQUEST_BODY, REQUEST_RATE
from decco.objects import APPS, SPACES, Key
from decco.verify import edge, objects
from decco.verify.edge import HTTPS, Answer, Refused, Request
from decco.verify.groups.routing import ANSWER_SECONDS, EDGE
from decco.verify.groups.setup import app_of, space
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.pods import DRIPS, SLOW
from decco.verify.probe import Check, Probe
from decco.verify.world import World

NOBODY = "203.0.113.0/24"
"""No client is in it (RFC 5737)."""
MOST_PROXIES = 10
"""Requests and connections are counted by each proxy on its own."""
TOO_LARGE = 413
TOO_MANY = frozenset({429, 503})
SLOW_SECONDS = 12.0
SPARE_SECONDS = 4.0


def _unless_unkept(field: str, check: Callable[[World], Awaitable[None]], app: str = "") -> Check:
    """Skipped if the edge does not keep the field and the Space, or an App of Space e, says so."""

    async def checked(world: World) -> None:
        names = world.names
        resource, key = (APPS, Key(names.space("e"), app)) if app else (SPACES, Key("", names.space("f")))
        said = await world.unkept(resource, key)
        if field in said:
            raise NotTested(f"the edge does not keep {field}, and the {resource.kind} says so: {said}")
        await check(world)

    return checked


def _limit(name: str, check: Callable[[World], Awaitable[None]]) -> Check:
    return _unless_unkept(f"limits.{name}", check)


async def _status(world: World, request: Request) -> int:
    """0: no answer, or one that ends too early."""
    try:
        return (await world.request(request)).status
    except Refused:
        return 0


def _request(world: World, word: str, path: str, *, body: str = "") -> Request:
    method = "POST" if body else "GET"
    return Request(world.names.fqdn(word), path, method=method, body=body, seconds=SLOW_SECONDS)


async def _body(world: World) -> None:
    async def limited() -> None:
        large = await _status(
            world, _request(world, "f", "/limited/cgi-bin/echo", body="x" * 2 * objects.LIMITED_BYTES)
        )
        if large != TOO_LARGE:
            raise Failed(f"a body of {2 * objects.LIMITED_BYTES} bytes is answered {large or 'not at all'}, not 413")

    await eventually(limited, ANSWER_SECONDS)
    small = await _status(world, _request(world, "f", "/limited/cgi-bin/echo", body="x" * (objects.LIMITED_BYTES // 4)))
    if small != 200:
        raise Failed(f"a body of {objects.LIMITED_BYTES // 4} bytes is answered {small or 'not at all'}")


async def _rate(world: World) -> None:
    request, sent = _request(world, "f", "/rated/who"), MOST_PROXIES * objects.RATE
    if (first := await _status(world, request)) != 200:
        raise Failed(f"the first request is answered {first or 'not at all'}")
    for _ in range(sent):
        if await _status(world, request) in TOO_MANY:
            return
    raise Failed(f"{sent} requests in a row are answered, {objects.RATE} in a minute are permitted")


async def _connections(world: World) -> None:
    name = world.names.host("f", "counted")
    address, most = await world.address(name), MOST_PROXIES * objects.CONNECTIONS
    async with contextlib.AsyncExitStack() as stack:
        for number in range(most):
            try:
                async with asyncio.timeout(edge.SECONDS):
                    await stack.enter_async_context(edge.opened(address, HTTPS, name, world.trust()))
            except (OSError, TimeoutError) as error:
                if not number:
                    raise Failed(f"the first connection is refused: {error}") from error
                return
    raise Failed(f"{most} connections are open at a time, {objects.CONNECTIONS} are permitted")


def _cut(word: str, path: str, what: str) -> Check:
    """A request that the edge must end; the same without a limit is answered (``limits/unlimited``)."""

    async def check(world: World) -> None:
        async def cut() -> None:
            status = await _status(world, _request(world, word, path))
            if status == 200:
                raise Failed(f"https://{world.names.fqdn(word)}{path} is answered although it takes longer than {what}")

        await eventually(cut, ANSWER_SECONDS)

    return check


async def _unlimited(world: World) -> None:
    """Slow answers arrive where nothing limits them."""

    async def whole(path: str, end: str) -> Answer:
        request = _request(world, "e", f"/untimed{path}")
        try:
            answer = await world.request(request)
        except Refused as error:
            raise Failed(f"a slow answer without a limit does not arrive: {error}") from error
        if answer.status != 200 or end not in answer.body:
            raise Failed(f"a slow answer without a limit is {answer.status}: {answer.body[:80]!r}")
        return answer

    await asyncio.gather(
        eventually(lambda: whole(SLOW, "slow"), ANSWER_SECONDS), eventually(lambda: whole(DRIPS, "end"), ANSWER_SECONDS)
    )


async def _seconds_open(world: World, endpoint: str) -> float:
    """How long a connection to a TCP endpoint stays open without a byte, at most a few seconds beyond the limit."""
    name, loop = world.names.host("e", endpoint), asyncio.get_running_loop()
    try:
        async with edge.opened(await world.address(name), HTTPS, name, world.trust()) as (reader, _):
            started = loop.time()
            with contextlib.suppress(TimeoutError, ConnectionError):
                await asyncio.wait_for(reader.read(1), objects.IDLE_SECONDS + SPARE_SECONDS)
            return loop.time() - started
    except OSError as error:
        raise Failed(f"{name} does not answer: {error}") from error


async def _idle_tcp(world: World) -> None:
    most = objects.IDLE_SECONDS + SPARE_SECONDS
    limited, lasting = await asyncio.gather(_seconds_open(world, "idle"), _seconds_open(world, "lasting"))
    if lasting < most:
        raise NotTested(f"a connection without a limit ends after {lasting:.1f} s, too")
    if limited >= most:
        raise Failed(f"a silent connection is open after {most:.0f} s, the timeout is {objects.IDLE_SECONDS} s")


async def _client_cidrs(world: World) -> None:
    """With clients that are not permitted nothing is served, whatever the edge can do."""
    key = Key("", world.names.space("f"))
    await world.client.patch(SPACES, key, {"spec": {"limits": {CLIENT_CIDRS: [NOBODY]}}})

    async def closed() -> None:
        if await _status(world, _request(world, "f", "/limited/who")) == 200:
            raise Failed(f"HTTP is served to a client outside of {NOBODY}")
        if await _accepts_tls(world):
            raise Failed(f"a TCP endpoint is served to a client outside of {NOBODY}")

    await eventually(closed, ANSWER_SECONDS)


async def _accepts_tls(world: World) -> bool:
    try:
        await world.certificate(world.names.host("f", "counted"))
    except Refused:
        return False
    return True


async def _open(world: World) -> None:
    async def served() -> None:
        status = await _status(world, _request(world, "f", "/limited/who"))
        if status != 200:
            raise Failed(f"HTTP is answered {status or 'not at all'} without {CLIENT_CIDRS}")
        if not await _accepts_tls(world):
            raise Failed(f"a TCP endpoint does not answer without {CLIENT_CIDRS}")

    await eventually(served, ANSWER_SECONDS)


async def _client_cidrs_end(world: World) -> None:
    await world.client.patch(SPACES, Key("", world.names.space("f")), {"spec": {"limits": {CLIENT_CIDRS: None}}})
    await _open(world)


F, TIMED, UNLIMITED, CLOSED = app_of("f", "limited"), app_of("e", "timed"), "limits/unlimited", "limits/client-cidrs"


def _probe(name: str, text: str, check: Check, *after: str, behind: tuple[str, ...] = ()) -> Probe:
    return Probe(f"limits/{name}", text, "verify-limit", check, (EDGE, space("f"), *after), behind, seconds=90.0)


_LIMITS = (
    _probe("body", "a larger body than requestBody is refused, a smaller one is not", _limit(REQUEST_BODY, _body), F),
    _probe("rate", "more requests than requestRate are refused", _limit(REQUEST_RATE, _rate), F),
    _probe("connections", "more connections than connections are closed", _limit(CONNECTIONS, _connections), F),
    _probe(
        "request",
        "a request that takes longer than timeouts.request of the Space ends",
        _limit(REQUEST, _cut("f", f"/limited{DRIPS}", f"{objects.REQUEST_SECONDS} s")),
        F,
        UNLIMITED,
    ),
    _probe(
        "idle",
        "a request without a byte for longer than timeouts.idle of the Space ends",
        _limit(IDLE, _cut("f", f"/limited{SLOW}", f"{objects.IDLE_SECONDS} s without a byte")),
        F,
        UNLIMITED,
    ),
)
PROBES = (
    _probe(UNLIMITED.partition("/")[2], "slow answers arrive where nothing limits them", _unlimited, TIMED),
    *_LIMITS,
    _probe(
        "endpoint-request",
        "a request that takes longer than timeouts.request of its endpoint ends",
        _unless_unkept("timeouts.request", _cut("e", f"/timed{SLOW}", "1 s"), "timed"),
        TIMED,
        UNLIMITED,
    ),
    _probe(
        "endpoint-idle",
        "a request without a byte for longer than timeouts.idle of its endpoint ends",
        _unless_unkept("timeouts.idle", _cut("e", f"/calm{SLOW}", "1 s without a byte"), "timed"),
        TIMED,
        UNLIMITED,
    ),
    _probe("endpoint-idle-tcp", "a silent connection to a TCP endpoint with timeouts.idle ends", _idle_tcp, TIMED),
    _probe(
        CLOSED.partition("/")[2],
        "a client outside of clientCidrs reaches nothing",
        _client_cidrs,
        "limits/open",
        behind=tuple(each.name for each in _LIMITS),
    ),
    _probe("open", "without clientCidrs everybody is served", _open, F),
    _probe("client-cidrs-end", "without clientCidrs everybody is served again", _client_cidrs_end, CLOSED),
)
