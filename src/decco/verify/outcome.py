"""How a probe ends: it returns, or raises one of the two exceptions here; and how it waits for a fact."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from enum import StrEnum
from typing import TypeVar

from decco.kube.errors import KubeError, NotFound

T = TypeVar("T")

POLL_SECONDS = 0.3
STRETCH: ContextVar[float] = ContextVar("stretch", default=1.0)
"""By how much all limits of a run are longer than written, for clusters that are slow."""


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Failed(Exception):
    """What was promised is not so. ``message``: an entry of the catalogue that fits better than the probe's own."""

    def __init__(self, text: str, message: str = "") -> None:
        super().__init__(text)
        self.message = message


class NotTested(Exception):
    """It could not be tried; the text is the reason."""


async def eventually(check: Callable[[], Awaitable[T]], seconds: float, *, stretched: bool = True) -> T:
    """The result of ``check`` as soon as it does not raise Failed; after ``seconds`` its last Failed is raised.
    ``stretched``: as far as the user's patience goes.

    An object that does not exist, and an API server that does not answer, count as Failed meanwhile.
    """
    loop = asyncio.get_running_loop()
    seconds *= STRETCH.get() if stretched else 1.0
    deadline = loop.time() + seconds
    while True:
        try:
            return await check()
        except (Failed, NotFound) as error:
            last = error if isinstance(error, Failed) else Failed(f"missing after {seconds:g} s: {error.message}")
        except KubeError as error:
            if loop.time() > deadline:
                raise
            last = Failed(str(error))
        if loop.time() > deadline:
            raise last
        await asyncio.sleep(POLL_SECONDS)
