"""A headless Chromium, driven by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/).

Nothing but Debian's browser is needed: the protocol is JSON over a WebSocket.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = "chromium"
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
WAIT_SECONDS = 30.0
_FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    # Its own sandbox needs user namespaces, which root in a container often lacks.
    "--no-sandbox",
)


class Tab:
    """One page. ``problems`` has what the browser refused or reported as an error."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.problems: list[str] = []
        self.requests: list[str] = []
        """URLs of all requests."""

    async def listen(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            if "id" in event:
                answer = self._answers.pop(event["id"])
                if "error" in event:
                    answer.set_exception(RuntimeError(str(event["error"])))
                else:
                    answer.set_result(event["result"])
                continue
            found = event.get("params") or {}
            match event["method"]:
                case "Log.entryAdded":
                    self.problems.append(f"{found['entry']['level']}: {found['entry']['text']}")
                case "Runtime.exceptionThrown":
                    details = found["exceptionDetails"]
                    self.problems.append(str((details.get("exception") or {}).get("description", details["text"])))
                case "Runtime.consoleAPICalled" if found["type"] in ("error", "warning"):
                    self.problems.append(str(found["args"]))
                case "Network.requestWillBeSent":
                    self.requests.append(found["request"]["url"])

    async def call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await asyncio.wait_for(self._answers[number], ANSWER_SECONDS)

    async def evaluate(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def until(self, script: str, seconds: float = WAIT_SECONDS) -> Any:
        """Waits until an expression is true; returns its value."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            with contextlib.suppress(RuntimeError):  # the page is between two documents
                if value := await self.evaluate(f"(found => found instanceof Node ? true : found)({script})"):
                    return value
            if asyncio.get_running_loop().time() > end:
                text = await self.evaluate("document.body ? document.body.innerText : ''")
                raise AssertionError(f"not true after {seconds:.0f} s: {script}\n{text}\n{self.problems}")
            await asyncio.sleep(0.1)

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def key(self, name: str, code: int, *, shift: bool = False) -> None:
        """A key is pressed and released."""
        pressed = {"key": name, "code": name, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
        text = {"text": "\r"} if name == "Enter" else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **pressed, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def accessible(self) -> list[tuple[str, str]]:
        """(role, name) of all that a screen reader finds, in its order."""
        nodes = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        listed = [node for node in nodes if not node.get("ignored")]
        return [(_value(node, "role"), _value(node, "name")) for node in listed]

    async def screenshot(self, path: Path, *, full: bool = True) -> None:
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(answer["data"]))  # noqa: ASYNC240 - a test


def _value(node: Any, name: str) -> str:
    return str((node.get(name) or {}).get("value", ""))


@contextlib.asynccontextmanager
async def browser(program: str = PROGRAM) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session, and the address of the browser's own HTTP server."""
    with tempfile.TemporaryDirectory(prefix="decco-chromium-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            program,
            *_FLAGS,
            f"--user-data-dir={folder}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with aiohttp.ClientSession() as session:
                yield session, await asyncio.wait_for(_address(process), START_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        _, found, rest = line.decode(errors="replace").partition("DevTools listening on ws://")
        if found:
            return f"http://{rest.partition('/')[0]}"
    raise AssertionError("the browser has ended")


@contextlib.asynccontextmanager
async def tab(session: aiohttp.ClientSession, address: str) -> AsyncIterator[Tab]:
    """A new tab, of 1280 by 900."""
    async with session.put(f"{address}/json/new?about:blank") as answer:
        target = await answer.json(content_type=None)
    async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
        made = Tab(socket)
        listening = asyncio.create_task(made.listen())
        try:
            for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
                await made.call(f"{domain}.enable")
            await made.size(1280, 900)
            yield made
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
    async with session.get(f"{address}/json/close/{target['id']}"):
        pass
