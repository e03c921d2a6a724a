"""Requests as they go over the wire, and answers as they come back, good and bad."""

from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from aiohttp import web

from decco.errors import ConfigError
from decco.kube import errors, transport
from decco.kube.client import FIRST_PAGE, PAGE_BYTES, Client, _next_limit
from decco.kube.errors import Fenced
from decco.kube.fence import Fence, now
from decco.objects import APPS, CONFIGMAPS, DEPLOYMENTS, NAMESPACES, SECRETS, SPACES, Key, Obj
from tests.capture import capture_logs
from tests.sample import thorough
from tests.unit.kube.conftest import Harness

LIVE: Obj = {"metadata": {"name": "a", "namespace": "n", "uid": "u1", "resourceVersion": "7"}}
KEY = Key("n", "a")


def status(code: int, reason: str = "", **more: Any) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, **more}
    return web.json_response(body, status=code)


async def live(_: web.Request) -> web.Response:
    return web.json_response(LIVE)


# Requests


async def test_every_verb_addresses_the_right_thing(harness: Harness) -> None:
    client, seen = await harness.client(live)
    await client.get(DEPLOYMENTS, KEY)
    await client.get(SPACES, Key("", "s"))
    await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "n"}})
    await client.create(NAMESPACES, {"metadata": {"name": "a"}}, strict=True)
    await client.replace(APPS, LIVE, strict=True)
    await client.replace_status(APPS, LIVE)
    await client.patch(APPS, KEY, {"metadata": {"finalizers": []}})
    await client.delete(APPS, KEY, uid="u1", resource_version="7", propagation="Foreground")
    assert seen.requests == [
        ("GET", "/apis/apps/v1/namespaces/n/deployments/a"),
        ("GET", "/apis/decco.platform9.com/v1beta2/spaces/s"),
        ("POST", "/api/v1/namespaces/n/configmaps?fieldManager=decco&fieldValidation=Ignore"),
        ("POST", "/api/v1/namespaces?fieldManager=decco&fieldValidation=Strict"),
        ("PUT", "/apis/decco.platform9.com/v1beta2/namespaces/n/apps/a?fieldManager=decco&fieldValidation=Strict"),
        (
            "PUT",
            "/apis/decco.platform9.com/v1beta2/namespaces/n/apps/a/status?fieldManager=decco&fieldValidation=Ignore",
        ),
        ("PATCH", "/apis/decco.platform9.com/v1beta2/namespaces/n/apps/a?fieldManager=decco&fieldValidation=Ignore"),
        ("DELETE", "/apis/decco.platform9.com/v1beta2/namespaces/n/apps/a"),
    ]
    assert orjson.loads(seen.bodies[-1]) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u1", "resourceVersion": "7"},
        "propagationPolicy": "Foreground",
    }
    assert {h["Content-Type"] for h in seen.headers[2:6]} == {"application/json"}
    assert {h["Content-Type"] for h in seen.headers[6:7]} == {"application/merge-patch+json"}
    for headers in seen.headers:
        assert headers["Authorization"] == "Bearer token-0"
        assert headers["User-Agent"] == "decco-test/1"
        assert headers["Accept"] == "application/json"
        assert headers["Accept-Encoding"] == "identity"
    assert seen.observed[0] == ("GET", "deployments.apps", "200")
    assert [v for v, _, _ in seen.observed] == [m for m, _ in seen.requests]


UNSUPPORTED = 'admission webhook "x.example.net" does not support dry run'


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (web.json_response(LIVE, status=201), None),
        (status(409, "AlreadyExists", message="there is one"), None),
        (status(400, "BadRequest", message=UNSUPPORTED), None),
        (status(400, "BadRequest", message="unknown field"), errors.BadRequest),
        (status(422, "Invalid", message="no"), errors.Invalid),
        (status(403, "Forbidden", message="no"), errors.Forbidden),
        (status(409, "Conflict", message="no"), errors.Conflict),
    ],
    ids=["good", "taken", "a webhook that cannot decide", "unknown field", "invalid", "forbidden", "conflict"],
)
async def test_a_check_asks_and_makes_nothing(
    harness: Harness, answer: web.Response, raised: type[errors.ApiError] | None
) -> None:
    async def answered(_: web.Request) -> web.Response:
        return web.json_response(body=answer.body, status=answer.status)

    client, seen = await harness.client(answered)
    if raised is None:
        await client.check(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "n"}})
    else:
        with pytest.raises(raised):
            await client.check(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "n"}})
    query = "fieldManager=decco&fieldValidation=Strict&dryRun=All"
    assert seen.requests == [("POST", f"/api/v1/namespaces/n/configmaps?{query}")]


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_that_would_address_something_else_is_refused(harness: Harness, name: str) -> None:
    client, seen = await harness.client(live)
    with pytest.raises(ValueError, match="cannot be a name"):
        await client.delete(SECRETS, Key("n", name), uid="u1")
    with pytest.raises(ValueError, match="cannot be a name"):
        await client.get(SECRETS, Key(name, "a"))
    assert seen.requests == []


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("../../x", "..%2F..%2Fx"),
        ("a?watch=1", "a%3Fwatch%3D1"),
        ("a#b", "a%23b"),
        ("system:x", "system%3Ax"),
        ("ü", "%C3%BC"),
    ],
)
async def test_a_name_stays_one_segment_of_the_path(harness: Harness, name: str, sent: str) -> None:
    client, seen = await harness.client(live)
    await client.get(SECRETS, Key("n", name))
    assert seen.requests == [("GET", f"/api/v1/namespaces/n/secrets/{sent}")]


async def test_who_may_not_write_reads_only(harness: Harness) -> None:
    fence = Fence()
    client, seen = await harness.client(live, may_write=fence.check)
    fence.open_until(now() + 60, now() + 60)
    await client.create(CONFIGMAPS, LIVE)
    fence.close()
    new: Obj = {"metadata": {"name": "a", "namespace": "n"}}
    for write in (
        client.create(CONFIGMAPS, new),
        client.check(CONFIGMAPS, new),
        client.replace(APPS, LIVE),
        client.replace_status(APPS, LIVE),
        client.patch(APPS, KEY, {}),
        client.delete(APPS, KEY, uid="u1"),
    ):
        with pytest.raises(Fenced, match="not sent"):
            await write
    await client.get(APPS, KEY)
    assert [method for method, _ in seen.requests] == ["POST", "GET"]


async def test_the_fence_is_checked_before_each_attempt(harness: Harness) -> None:
    """A server that asks to wait holds a request back; meanwhile another process may have begun to lead."""
    fence = Fence()
    fence.open_until(now() + 60, now() + 60)

    async def busy(_: web.Request) -> web.Response:
        fence.close()
        return web.Response(status=429, headers={"Retry-After": "0"})

    client, seen = await harness.client(busy, may_write=fence.check)
    with pytest.raises(Fenced):
        await client.create(CONFIGMAPS, LIVE)
    assert len(seen.requests) == 1


async def test_the_right_to_write_is_asked_for_again_when_the_connection_is_there(harness: Harness) -> None:
    """Looking up a name, TCP and TLS may take longer than a lease; so may a suspended machine."""
    asked: list[str] = []

    def may_write() -> None:
        asked.append("now")
        if len(asked) == 2:  # while it connected
            raise Fenced("not sent: this process no longer leads")

    client, seen = await harness.client(live, may_write=may_write)
    with pytest.raises(Fenced, match="not sent"):
        await client.create(CONFIGMAPS, LIVE)
    assert seen.requests == [], "not a byte of it"
    await client.create(CONFIGMAPS, LIVE)
    await client.get(CONFIGMAPS, KEY)
    assert [method for method, _ in seen.requests] == ["POST", "GET"]
    assert len(asked) == 4, "twice for each write"


async def test_writes_that_could_hit_the_wrong_object_are_refused(harness: Harness) -> None:
    client, seen = await harness.client(live)
    with pytest.raises(ValueError, match="without a UID"):
        await client.delete(APPS, KEY, uid="")
    for write in (client.replace, client.replace_status):
        with pytest.raises(ValueError, match="without resourceVersion"):
            await write(APPS, {"metadata": {"name": "a", "namespace": "n"}})
    assert seen.requests == []


async def test_an_object_that_is_no_json_is_the_callers_mistake(harness: Harness) -> None:
    client, seen = await harness.client(live)
    with pytest.raises(errors.BadRequest, match="cannot be written as JSON"):
        await client.create(CONFIGMAPS, {**LIVE, "data": {"x": 2**70}})
    assert seen.requests == []


async def test_a_large_object_is_sent_whole(harness: Harness) -> None:
    client, seen = await harness.client(live)
    await client.create(CONFIGMAPS, {**LIVE, "data": {"x": "y" * 1_400_000}})
    assert len(orjson.loads(seen.bodies[0])["data"]["x"]) == 1_400_000


async def test_a_server_below_a_path(harness: Harness) -> None:
    client, seen = await harness.client(live)
    client.connection.server += "/k8s/clusters/c-1"
    await client.get(CONFIGMAPS, KEY)
    assert seen.requests == [("GET", "/k8s/clusters/c-1/api/v1/namespaces/n/configmaps/a")]


# Answers that are failures


@pytest.mark.parametrize(
    ("code", "kind", "body", "expected", "words"),
    [
        (404, "application/json", b'{"kind":"Status","code":404,"message":"no such"}', errors.NotFound, "no such"),
        (404, "text/plain; charset=utf-8", b"404 page not found\n", errors.NotServed, "404 page not found"),
        (404, "text/html", b"<html>\x1b[2J nothing here", errors.Garbled, "<html> [2J nothing here"),
        (403, "application/json", b'{"error":"some gateway"}', errors.Garbled, "some gateway"),
        (403, "application/json", b'{"kind":"Status","code":4', errors.Garbled, "Status"),
        (502, "text/html", b"<html>Bad Gateway</html>", errors.ServerError, "Bad Gateway"),
        (500, "text/plain", b"This request caused apiserver to panic", errors.ServerError, "panic"),
        (503, "text/html", b"", errors.ServerError, "503"),
        (302, "text/html", b"moved", errors.Garbled, "302"),
        (200, "text/html", b"<html>log in here", errors.Garbled, "log in here"),
        (200, "application/json", b"[]", errors.Garbled, "begins with"),
        (200, "application/json", b'{"ok":true}', errors.Garbled, "ok"),
        (200, "application/json", b'{"metadata":{"name":"a"', errors.Garbled, "begins with"),
        (200, "application/json", b"", errors.Garbled, "begins with"),
        (422, "application/json", b'{"kind":"Status","code":422,"message":"bad"}', errors.Invalid, "bad"),
    ],
)  # fmt: skip
async def test_an_answer_becomes_an_exception(
    harness: Harness, code: int, kind: str, body: bytes, expected: type[Exception], words: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, body=body, headers={"Content-Type": kind, "Location": "/elsewhere"})

    client, seen = await harness.client(answer)
    with pytest.raises(errors.KubeError) as caught:
        await client.create(CONFIGMAPS, LIVE)
    assert type(caught.value) is expected
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(seen.requests) == 1
    assert seen.observed == [("POST", "configmaps", str(code))]


async def test_no_part_of_a_secret_gets_into_an_error(harness: Harness) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b'{"data":{"tls.key":"c2VjcmV0', content_type="application/json")

    client, _ = await harness.client(answer)
    with pytest.raises(errors.Garbled, match=r"\(28 bytes, not shown\)"):
        await client.get(SECRETS, KEY)
    with pytest.raises(errors.Garbled, match=r"\(28 bytes, not shown\)"):
        await anext(client.list_pages(SECRETS))


@pytest.mark.parametrize(
    "message",
    [
        "Operation cannot be fulfilled on apps: the UID in the precondition (x) does not match the UID in record (y).",
        "Precondition failed: UID in precondition: x, UID in object meta: y",
        "Upon completion, this namespace will automatically be purged by the system.",
    ],
)
async def test_a_delete_that_has_nothing_left_to_do_returns(harness: Harness, message: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return status(409, "Conflict", message=message)

    client, _ = await harness.client(answer)
    await client.delete(APPS, KEY, uid="u1")


async def test_a_delete_of_a_changed_object_is_a_conflict(harness: Harness) -> None:
    async def answer(_: web.Request) -> web.Response:
        return status(409, "Conflict", message="the ResourceVersion in the precondition (1) does not match")

    client, _ = await harness.client(answer)
    with pytest.raises(errors.Conflict):
        await client.delete(APPS, KEY, uid="u1", resource_version="1")


async def test_a_delete_of_what_is_gone_returns(harness: Harness) -> None:
    async def answer(_: web.Request) -> web.Response:
        return status(404, "NotFound")

    client, _ = await harness.client(answer)
    await client.delete(APPS, KEY, uid="u1")


# Credentials


async def test_many_401_lead_to_one_renewal_and_one_more_try_each(harness: Harness) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(LIVE) if request.headers["Authorization"] == "Bearer token-1" else status(401)

    client, seen = await harness.client(answer)
    await asyncio.gather(*(client.create(CONFIGMAPS, LIVE) for _ in range(20)))
    assert harness.account.loads == 1
    assert len(seen.requests) == 40


async def test_a_401_for_credentials_that_are_renewed_meanwhile_renews_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decco.kube.connection.MIN_REFRESH_SECONDS", 0.0)
    arrived, renewed = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == "Bearer token-1":
            return web.json_response(LIVE)
        if request.path.endswith("/slow"):
            arrived.set()
            await renewed.wait()
        return status(401)

    client, _ = await harness.client(answer)
    slow = asyncio.create_task(client.get(CONFIGMAPS, Key("n", "slow")))
    await arrived.wait()
    await client.get(CONFIGMAPS, KEY)
    renewed.set()
    await slow
    assert harness.account.loads == 1


async def test_a_second_401_is_final(harness: Harness) -> None:
    async def answer(_: web.Request) -> web.Response:
        return status(401, "Unauthorized", message="who are you?")

    client, seen = await harness.client(answer)
    with pytest.raises(errors.Unauthorized, match="who are you"):
        await client.get(CONFIGMAPS, KEY)
    assert len(seen.requests) == 2
    assert harness.account.loads == 1
    with pytest.raises(errors.Unauthorized):
        await client.get(CONFIGMAPS, KEY)
    assert harness.account.loads == 1  # not for every request: a plugin may be slow or open a browser


async def test_a_failed_renewal_is_reported_and_the_401_stays(harness: Harness) -> None:
    async def answer(_: web.Request) -> web.Response:
        return status(401, "Unauthorized")

    harness.account.error = ConfigError("the token file is gone")
    client, _ = await harness.client(answer)
    with capture_logs() as logs, pytest.raises(errors.Unauthorized):
        await client.get(CONFIGMAPS, KEY)
    assert [entry["error"] for entry in logs] == ["the token file is gone"]


async def test_credentials_appear_in_no_text(harness: Harness) -> None:
    client, _ = await harness.client(live)
    await client.get(CONFIGMAPS, KEY)
    assert "token-0" not in repr(client.connection) + client.connection.describe()


async def test_credentials_do_not_follow_a_redirect(harness: Harness) -> None:
    reached: list[str] = []

    async def thief(request: web.Request) -> web.Response:
        reached.append(request.headers.get("Authorization", ""))
        return web.json_response(LIVE)

    other, _ = await harness.client(thief)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": other.connection.server + "/x"})

    client, _ = await harness.client(answer)
    with pytest.raises(errors.Garbled):
        await client.get(CONFIGMAPS, KEY)
    with pytest.raises(errors.Garbled):
        await anext(watch_lines(client))
    assert reached == []


# Waiting because the server asks for it


@pytest.mark.parametrize(("code", "verb"), [(429, "create"), (503, "create"), (429, "get"), (503, "get")])
async def test_a_busy_server_is_asked_again(harness: Harness, code: int, verb: str) -> None:
    answers = iter([code, code, 200])

    async def answer(_: web.Request) -> web.Response:
        code = next(answers)
        if code == 200:
            return web.json_response(LIVE)
        return web.Response(status=code, text="try again later", headers={"Retry-After": "0"})

    client, seen = await harness.client(answer)
    await (client.create(CONFIGMAPS, LIVE) if verb == "create" else client.get(CONFIGMAPS, KEY))
    assert len(seen.requests) == 3
    assert [code for _, _, code in seen.observed] == [str(code), str(code), "200"]


async def test_a_server_that_stays_busy_is_left_in_peace(harness: Harness) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=429, text="try again later", headers={"Retry-After": "0"})

    client, seen = await harness.client(answer)
    with pytest.raises(errors.TooManyRequests, match="try again later"):
        await client.create(CONFIGMAPS, LIVE)
    assert len(seen.requests) == 1 + transport.MAX_RETRY_AFTER_WAITS


@thorough
async def test_the_server_says_how_long(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([("429", "1"), ("200", "")])

    async def answer(_: web.Request) -> web.Response:
        code, after = next(answers)
        return web.json_response(LIVE) if code == "200" else web.Response(status=429, headers={"Retry-After": after})

    client, _ = await harness.client(answer)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await client.create(CONFIGMAPS, LIVE)
    assert 1.0 <= loop.time() - started < 2.0


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}])
async def test_503_without_seconds_to_wait_is_the_callers_matter(harness: Harness, headers: dict[str, str]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=503, text="no backend", headers=headers)

    client, seen = await harness.client(answer)
    with pytest.raises(errors.ServerError):
        await client.create(CONFIGMAPS, LIVE)
    assert len(seen.requests) == 1


# Connections that fail


async def test_a_refused_connection_was_certainly_not_sent(harness: Harness) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        client = await harness.to(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(
            errors.Unreachable, match=r"cannot connect to http://127\.0\.0\.1:\d+: connection refused"
        ) as caught:
            await client.create(CONFIGMAPS, LIVE)
    assert caught.value.sent is False


async def test_a_write_whose_answer_is_lost_is_not_repeated(harness: Harness) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    client, seen = await harness.raw_client(hang_up)
    with pytest.raises(errors.Unreachable) as caught:
        await client.create(CONFIGMAPS, LIVE)
    assert caught.value.sent is None
    assert len(seen.requests) == 1
    assert seen.observed == [("POST", "configmaps", "<error>")]


async def test_an_answer_cut_short_was_carried_out(harness: Harness) -> None:
    async def cut(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n{"metadata":')
        await writer.drain()
        writer.close()

    client, seen = await harness.raw_client(cut)
    with pytest.raises(errors.Unreachable) as caught:
        await client.create(CONFIGMAPS, LIVE)
    assert caught.value.sent is True
    assert len(seen.requests) == 1


async def test_a_read_survives_lost_connections(harness: Harness) -> None:
    left = iter([False] * transport.MAX_LOST_READS + [True])

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if next(left):
            body = orjson.dumps(LIVE)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            writer.close()
        await writer.drain()

    client, seen = await harness.raw_client(answer)
    assert await client.get(CONFIGMAPS, KEY) == LIVE
    assert len(seen.requests) == 1 + transport.MAX_LOST_READS


async def test_a_server_that_never_answers_costs_the_time_limit(harness: Harness) -> None:
    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    client, seen = await harness.raw_client(silent, timeout=0.1)
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(errors.Unreachable, match="time limit") as caught:
        await client.create(CONFIGMAPS, LIVE)
    assert loop.time() - started < 2.0
    assert caught.value.sent is None
    # One attempt; on a busy machine the time is over before the server has read it.
    assert seen.observed == [("POST", "configmaps", "<error>")]
    assert len(seen.requests) <= 1


async def test_a_server_that_speaks_something_else_is_garbled(harness: Harness) -> None:
    async def ssh(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    client, _ = await harness.raw_client(ssh)
    with pytest.raises(errors.Garbled, match="does not speak HTTP"):
        await client.get(CONFIGMAPS, KEY)


async def test_requests_in_flight_are_bounded_and_watches_do_not_count(harness: Harness) -> None:
    now = most = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"{}\n")
            await asyncio.sleep(60)
            return response
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return web.json_response(LIVE)

    client, _ = await harness.client(answer, in_flight=3)
    watches = [watch_lines(client) for _ in range(5)]
    for lines in watches:
        assert await anext(lines) == b"{}"
    await asyncio.gather(*(client.create(CONFIGMAPS, LIVE) for _ in range(20)))
    assert most == 3
    for lines in watches:
        await lines.aclose()


async def test_the_client_is_used_inside_its_block_only(harness: Harness) -> None:
    client, _ = await harness.client(live)
    await client.__aexit__()
    with pytest.raises(RuntimeError, match="async with"):
        await client.get(CONFIGMAPS, KEY)


# Lists


async def test_a_list_comes_in_pages_of_one_moment(harness: Harness) -> None:
    pages = {
        "": ([{"metadata": {"name": "a"}}], "next one/=&"),
        "next one/=&": ([{"metadata": {"name": "b"}}], "last"),
        "last": (None, ""),
    }

    async def answer(request: web.Request) -> web.Response:
        items, token = pages[request.query.get("continue", "")]
        return web.json_response({"metadata": {"resourceVersion": "9", "continue": token}, "items": items})

    client, seen = await harness.client(answer)
    got = [p async for p in client.list_pages(APPS, namespace="n", labels="a in (b,c)", fields="x=y")]
    assert [[o["metadata"]["name"] for o in p.items] for p in got] == [["a"], ["b"], []]
    assert [p.remaining for p in got] == [True, True, False]
    assert {p.resource_version for p in got} == {"9"}
    assert got[0].items[0]["kind"] == "App"
    assert got[0].items[0]["apiVersion"] == "decco.platform9.com/v1beta2"
    path = "/apis/decco.platform9.com/v1beta2/namespaces/n/apps?labelSelector=a+in+%28b%2Cc%29&fieldSelector=x%3Dy"
    assert seen.requests == [
        ("GET", f"{path}&limit=64"),
        ("GET", f"{path}&limit=128&continue=next+one%2F%3D%26"),
        ("GET", f"{path}&limit=256&continue=last"),
    ]
    assert seen.observed == [("LIST", "apps.decco.platform9.com", "200")] * 3


@pytest.mark.parametrize(
    ("size", "limit", "page_bytes", "count", "expected"),
    [
        (FIRST_PAGE, 500, 64_000, 64, 128),  # small items: twice as many
        (400, 500, 400_000, 400, 500),  # but no more than asked for
        (FIRST_PAGE, 500, 64 * 1_000_000, 64, PAGE_BYTES // 1_000_000),  # 1 MB each: few
        (FIRST_PAGE, 500, 64 * 10_000_000, 64, 1),  # never none
        (FIRST_PAGE, 500, 60, 0, FIRST_PAGE),  # an empty page says nothing
    ],
)
def test_pages_are_kept_small_enough_to_decode_quickly(
    size: int, limit: int, page_bytes: int, count: int, expected: int
) -> None:
    assert _next_limit(size, limit, page_bytes, count) == expected


@pytest.mark.parametrize("there", [True, False])
async def test_an_object_of_a_kind_without_get_is_read_as_a_list_of_one(harness: Harness, there: bool) -> None:
    """The controller's role lists and watches Spaces and Apps, and may not get them."""

    async def answer(request: web.Request) -> web.StreamResponse:
        items = [{"metadata": {"name": "web", "namespace": "acme"}}] if there else []
        return web.json_response({"metadata": {"resourceVersion": "9"}, "items": items})

    client, seen = await harness.client(answer, by_list=(APPS,))
    if there:
        assert (await client.get(APPS, Key("acme", "web")))["kind"] == "App"
    else:
        with pytest.raises(errors.NotFound):
            await client.get(APPS, Key("acme", "web"))
    [(method, path)] = seen.requests
    assert (method, path.partition("?")[0]) == ("GET", "/apis/decco.platform9.com/v1beta2/namespaces/acme/apps")
    assert "fieldSelector=metadata.name%3Dweb" in path


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": []},
        {"metadata": {"resourceVersion": "1"}, "items": {}},
        {"metadata": {"resourceVersion": "1"}, "items": [1]},
    ],
)
async def test_a_list_that_is_none(harness: Harness, body: Obj) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    client, _ = await harness.client(answer)
    with pytest.raises(errors.Garbled):
        [p async for p in client.list_pages(APPS)]


# Watches


def watch_lines(client: Client, idle_seconds: float = 5.0) -> Any:
    return client.watch_lines(
        CONFIGMAPS, resource_version="5", timeout_seconds=300, idle_seconds=idle_seconds, labels="a=b", namespace="n"
    )


def chunks(*pieces: bytes, end: bool = True) -> Any:
    """A handler that sends these bytes one by one as a chunked answer, ends it or hangs up."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.005)
        if end:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        else:
            writer.close()

    return answer


async def test_a_watch_asks_for_bookmarks_from_a_version(harness: Harness) -> None:
    client, seen = await harness.raw_client(chunks())
    assert [line async for line in watch_lines(client)] == []
    query = "watch=1&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300&labelSelector=a%3Db"
    assert seen.requests == [
        ("GET", f"/api/v1/namespaces/n/configmaps?{query}"),
    ]
    assert seen.observed == [("WATCH", "configmaps", "200")]


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b'{"a":1}\n'], [b'{"a":1}']),
        ([b'{"a":1}\n{"b":2}\n'], [b'{"a":1}', b'{"b":2}']),
        ([b'{"a"', b":1", b'}\n{"b', b'":2}\n'], [b'{"a":1}', b'{"b":2}']),
        ([b'{"a":1}', b"\n"], [b'{"a":1}']),
        ([b'\n\n{"a":1}\n\n'], [b'{"a":1}']),
        ([b"x" * 65536] * 80 + [b"\n"], [b"x" * 65536 * 80]),
    ],
)
async def test_lines_are_whole_however_they_arrive(harness: Harness, pieces: list[bytes], lines: list[bytes]) -> None:
    client, _ = await harness.raw_client(chunks(*pieces))
    assert [line async for line in watch_lines(client)] == lines


async def test_a_long_line_costs_linear_time(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_LINE", 10_000)
    client, _ = await harness.raw_client(chunks(*[b"x" * 3000] * 5))
    with pytest.raises(errors.Garbled, match="longer than 10000 bytes"):
        [line async for line in watch_lines(client)]


@pytest.mark.parametrize("end", [True, False])
async def test_a_line_cut_off_is_not_a_line(harness: Harness, end: bool) -> None:
    client, _ = await harness.raw_client(chunks(b'{"a":1}\n{"b"', end=end))
    lines = watch_lines(client)
    assert await anext(lines) == b'{"a":1}'
    with pytest.raises(errors.Unreachable, match="middle of a line" if end else "was cut"):
        await anext(lines)


async def test_a_connection_cut_between_lines_is_not_a_clean_end(harness: Harness) -> None:
    client, _ = await harness.raw_client(chunks(b'{"a":1}\n', end=False))
    with pytest.raises(errors.Unreachable, match="was cut"):
        [line async for line in watch_lines(client)]


async def test_silence_is_noticed(harness: Harness) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"a":1}\n')
        await asyncio.sleep(60)
        return response

    client, _ = await harness.client(answer)
    lines = watch_lines(client, idle_seconds=0.1)
    assert await anext(lines) == b'{"a":1}'
    with pytest.raises(errors.Unreachable, match=r"silent for 0\.1 s"):
        await anext(lines)


async def test_a_watch_that_is_refused(harness: Harness) -> None:
    async def answer(_: web.Request) -> web.Response:
        return status(410, "Expired", message="too old resource version: 5 (900)")

    client, seen = await harness.client(answer)
    with pytest.raises(errors.Gone, match="too old"):
        await anext(watch_lines(client))
    assert seen.observed == [("WATCH", "configmaps", "410")]


async def test_a_watch_renews_credentials_once(harness: Harness) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"{}\n") if request.headers["Authorization"] == "Bearer token-1" else status(401)

    client, seen = await harness.client(answer)
    assert [line async for line in watch_lines(client)] == [b"{}"]
    assert len(seen.requests) == 2


async def test_leaving_a_watch_closes_its_connection(harness: Harness) -> None:
    closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
        assert await reader.read() == b""
        closed.set()
        writer.close()

    client, _ = await harness.raw_client(answer)
    async with aclosing(watch_lines(client)) as lines:
        assert await anext(lines) == b"{}"
    async with asyncio.timeout(2):
        await closed.wait()


# Dry run


async def test_a_dry_run_reads_and_does_not_write(harness: Harness) -> None:
    client, seen = await harness.client(live, dry_run=True)
    secret = {"metadata": {"name": "a", "namespace": "n"}, "data": {"tls.key": "c2VjcmV0"}}
    with capture_logs() as logs:
        assert await client.get(CONFIGMAPS, KEY) == LIVE
        created = await client.create(SECRETS, secret)
        await client.replace(SECRETS, created)
        await client.replace_status(APPS, created)
        await client.patch(SECRETS, KEY, {"data": {"tls.key": "c2VjcmV0"}})
        await client.delete(SECRETS, KEY, uid="u1")
        await client.check(SECRETS, secret)
    assert [m for m, _ in seen.requests] == ["GET"]
    assert created["metadata"]["uid"]
    assert created["metadata"]["resourceVersion"].isdigit()
    assert created["data"] == secret["data"]
    assert "uid" not in secret["metadata"]  # what was given is not changed
    assert [entry["verb"] for entry in logs] == ["create", "replace", "replace status", "patch", "delete"]
    assert {entry["key"] for entry in logs} == {"n/a"}
    assert "c2VjcmV0" not in repr(logs)


async def test_the_connections_of_a_peak_are_not_used_in_turn(harness: Harness) -> None:
    """A later request takes the connection that was used last, so the others reach their idle time."""
    together = asyncio.Barrier(8)
    peak = True
    ports: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        if peak:
            await together.wait()
        ports.append(request.transport.get_extra_info("peername")[1])  # type: ignore[union-attr]
        return web.json_response(LIVE)

    client, _ = await harness.client(handle)
    await asyncio.gather(*(client.get(DEPLOYMENTS, KEY) for _ in range(8)))
    assert len(set(ports)) == 8
    peak = False
    ports.clear()
    for _ in range(20):
        await client.get(DEPLOYMENTS, KEY)
    assert len(set(ports)) == 1
