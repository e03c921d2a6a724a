"""The server, with pages of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from decco.errors import ConfigError
from decco.kube.errors import Unreachable
from decco.ui import server as server_module
from decco.ui.access import HEADERS
from decco.ui.changes import Changes
from decco.ui.pages import NoSuchSpaceError
from decco.ui.server import MOST_STREAMS, Server

TOKEN = "the-token"


class FewPages:
    """Pages with a constant content."""

    def __init__(self) -> None:
        self.cluster = self
        self.changes = Changes(0)
        self.trouble = ""

    async def overview(self) -> bytes:
        return b'{"spaces":[]}'

    async def space(self, name: str) -> bytes:
        if name != "acme":
            raise NoSuchSpaceError(name)
        raise Unreachable("no answer from the API server")


@pytest_asyncio.fixture
async def pages() -> FewPages:
    return FewPages()


@pytest_asyncio.fixture
async def base(pages: FewPages) -> AsyncIterator[str]:
    async with Server(pages, TOKEN, []).serving(0) as port:  # type: ignore[arg-type]
        yield f"http://127.0.0.1:{port}"


async def request(
    url: str, headers: Mapping[str, str] | None = None, token: str | None = TOKEN, method: str = "GET"
) -> tuple[int, Mapping[str, str], bytes]:
    sent = {**({"Authorization": f"Bearer {token}"} if token is not None else {}), **(headers or {})}
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=sent) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_files_need_no_token_and_have_no_data(base: str) -> None:
    for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")):
        status, headers, _ = await request(base + path, token=None)
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert {name: headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("token", [None, "", "wrong", "the-tokex"])
@pytest.mark.parametrize("path", ["overview", "space?name=acme", "events", "none-such"])
async def test_data_needs_the_token(base: str, path: str, token: str | None) -> None:
    status, _, body = await request(f"{base}/api/{path}", token=token)
    assert status == 401
    assert "open the URL" in json.loads(body)["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
async def test_what_comes_from_elsewhere_is_refused_with_the_token_too(base: str, headers: dict[str, str]) -> None:
    assert (await request(f"{base}/api/overview", headers))[0] == 403
    assert (await request(f"{base}/app.js", headers))[0] == 403


async def test_a_link_in_a_mail_opens_the_page(base: str) -> None:
    opened = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await request(f"{base}/", opened, token=None))[0] == 200
    assert (await request(f"{base}/", {**opened, "Host": "evil.example"}, token=None))[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_it_is_read_only(base: str, method: str) -> None:
    assert (await request(f"{base}/api/overview", method=method))[0] == 405


async def test_answers(base: str) -> None:
    assert (await request(f"{base}/api/overview"))[2] == b'{"spaces":[]}'
    for path in ("space?name=other", "space", f"space?name={'a' * 300}", "none-such"):
        assert (await request(f"{base}/api/{path}"))[0] == 404
    for path in ("/../server.py", "/%2e%2e/server.py", "/page/app.js", "/__init__.py", "/index.html"):
        assert (await request(base + path))[0] == 404
    status, _, body = await request(f"{base}/api/space?name=acme")
    assert status == 503
    assert json.loads(body)["error"].startswith("no answer from the API server (DECCO-")


async def test_the_stream_reports_the_last_state_only(base: str, pages: FewPages) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{base}/api/events") as answer:
        assert (await _state(answer))["number"] == 0
        pages.trouble = "lost"
        pages.changes.note()
        state = await _state(answer)
        assert (state["number"], state["trouble"]) == (1, "lost")


async def _state(answer: aiohttp.ClientResponse) -> Any:
    line = await asyncio.wait_for(answer.content.readuntil(b"\n\n"), 20)
    return json.loads(line.removeprefix(b"data: "))


async def test_streams_are_few_and_end_with_their_tabs(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEARTBEAT_SECONDS", 0.2)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        answers = [await session.get(f"{base}/api/events") for _ in range(MOST_STREAMS)]
        async with session.get(f"{base}/api/events") as refused:
            assert refused.status == 503
        for answer in answers:
            answer.close()
        async with asyncio.timeout(20):
            while True:
                async with session.get(f"{base}/api/events") as answer:
                    if answer.status == 200:
                        break
                await asyncio.sleep(0.05)


async def test_a_port_in_use(base: str, pages: FewPages) -> None:
    port = int(base.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"--port: 127.0.0.1:{port} cannot be used"):
        async with Server(pages, TOKEN, []).serving(port):  # type: ignore[arg-type]
            pass
