"""Configuration that is read again while the controller runs: files and plugins get a few seconds before it ends.

At the start a ConfigError ends the process at once. Later the same source has worked before: a file may be missing
while it is being replaced, a credential plugin may fail once. If the error persists, the process ends as it would at
the start: one line per mistake and exit status 2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from decco.errors import ConfigError
from decco.log import get_logger

log = get_logger(__name__)

T = TypeVar("T")

RETRY_SECONDS: Final = 10.0
"""How long a configuration that has worked before may fail: longer than the replacement of a file takes."""
PAUSE_SECONDS: Final = 0.5


async def retry_config(load: Callable[[], Awaitable[T]], what: str, seconds: float = RETRY_SECONDS) -> T:
    """Returns what ``load`` returns, calling it again while it raises ConfigError.

    Args:
        load: reads the configuration.
        what: what is loaded, for the log.
        seconds: no new call is made after this time; the last ConfigError is raised then.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    logged = ""
    while True:
        try:
            return await load()
        except ConfigError as error:
            if loop.time() + PAUSE_SECONDS > end:
                raise
            if str(error) != logged:
                logged = str(error)
                log.warning("configuration cannot be loaded, retrying", what=what, error=logged, seconds=seconds)
        await asyncio.sleep(PAUSE_SECONDS)
