"""An edit ends with the write that has it, also if that write has a later edit as well."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiohttp
import pytest

from bench.coalesce import busiest
from bench.edits import DEPLOYMENTS, EDITED, Editor
from bench.observer import every

pytestmark = pytest.mark.looptime


class Answered(Editor):
    """Its requests are answered at once."""

    def __init__(self) -> None:
        super().__init__(cast("aiohttp.ClientSession", None))
        self.sent: list[str] = []

    async def send(self, space: str, app: str, image: str) -> None:
        self.sent.append(image)


def deployment(image: str, name: str = "web") -> dict[str, Any]:
    container = {"name": "main", "image": image}
    return {
        "metadata": {"namespace": "acme", "name": name},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


async def test_an_overtaken_edit_ends_with_the_later_one() -> None:
    editor = Answered()
    edits = [asyncio.create_task(editor.edit("acme", "web")) for _ in range(2)]
    await asyncio.sleep(0.01)
    first, second = (int(image.removeprefix(EDITED)) for image in editor.sent)
    assert second == first + 1
    editor.on_event(DEPLOYMENTS, "MODIFIED", deployment(f"{EDITED}{second}", "other"), 0.0)
    editor.on_event(DEPLOYMENTS, "MODIFIED", deployment("registry.example/app:1"), 0.0)
    editor.on_event(DEPLOYMENTS, "DELETED", deployment(f"{EDITED}{second}"), 0.0)
    await asyncio.sleep(0.01)
    assert not any(each.done() for each in edits)
    editor.on_event(DEPLOYMENTS, "MODIFIED", deployment(f"{EDITED}{first}"), 0.0)
    await asyncio.sleep(0.01)
    assert [each.done() for each in edits] == [True, False]
    editor.on_event(DEPLOYMENTS, "MODIFIED", deployment(f"{EDITED}{second}"), 0.0)
    await edits[1]


async def test_what_is_never_written_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"of acme/web is not in its Deployment"):
        await Answered().edit("acme", "web")


async def test_a_limited_number_of_edits() -> None:
    assert [number async for number in every(0.001, most=3)] == [0, 1, 2]


def test_the_busiest_window() -> None:
    assert busiest([0.0, 0.01, 0.049, 0.05, 0.2], 0.05) == 3
    assert busiest([], 0.05) == 0
