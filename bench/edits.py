"""Edits of Apps, and the time until each is in its Deployment."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.load import APIS

Obj = dict[str, Any]
DEPLOYMENTS = "/apis/apps/v1/deployments"
IMAGE = "/spec/pod/containers/0/image"
EDITED = "registry.example/app:edit-"
LIMIT_SECONDS = 60.0
_NUMBERS = itertools.count(1)
"""Of all editors of the program: an edit that repeats the image that an App has would be none."""


@dataclass(frozen=True)
class Edit:
    """Seconds since the request was sent: until its answer was read, and until a watch showed the first child with it,
    the Deployment.
    """

    answered: float
    written: float


@dataclass
class Editor:
    """Edits images, which are numbered; ``on_event`` receives the Deployments' events from an observer.

    An edit that is overtaken by a later one of the same App, so that both become one write, has ended with that.
    """

    http: aiohttp.ClientSession
    _order: defaultdict[tuple[str, str], asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _waiting: dict[tuple[str, str], dict[int, asyncio.Future[float]]] = field(default_factory=dict)

    def on_event(self, collection: str, type_: str, obj: Obj, when: float) -> None:
        if collection != DEPLOYMENTS or type_ == "DELETED":
            return
        meta = obj["metadata"]
        for container in obj["spec"]["template"]["spec"]["containers"]:
            _, _, number = container["image"].partition(EDITED)
            waiting = self._waiting.get((meta["namespace"], meta["name"]), {})
            for each in [each for each in waiting if number and each <= int(number)]:
                future = waiting.pop(each)
                if not future.done():
                    future.set_result(when)

    async def edit(self, space: str, app: str) -> Edit:
        """Sends one edit and waits until it is in the Deployment. Raises RuntimeError.

        Edits of one App are sent one after the other: of two requests at once the earlier edit could come last, and
        undo the later one. The time in which an edit waits for the one before counts.
        """
        started = time.monotonic()
        async with self._order[space, app]:
            number = next(_NUMBERS)
            future = self._waiting.setdefault((space, app), {})[number] = asyncio.get_running_loop().create_future()
            await self.send(space, app, f"{EDITED}{number}")
        answered = time.monotonic()
        try:
            written = await asyncio.wait_for(future, LIMIT_SECONDS)
        except TimeoutError as error:
            message = f"edit {number} of {space}/{app} is not in its Deployment, {LIMIT_SECONDS:.0f} s later"
            raise RuntimeError(message) from error
        return Edit(answered - started, written - started)

    async def send(self, space: str, app: str, image: str) -> None:
        patch = [{"op": "replace", "path": IMAGE, "value": image}]
        headers = {"Content-Type": "application/json-patch+json"}
        url = f"{APIS}/namespaces/{space}/apps/{app}"
        async with self.http.patch(url, json=patch, headers=headers) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the edit of {app} was refused: {answer.status} {await answer.text()}")
            await answer.read()
