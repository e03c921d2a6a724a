"""A configuration that fails while the controller runs: for a moment, and for good."""

from __future__ import annotations

import asyncio

import pytest

from decco.config_retry import RETRY_SECONDS, retry_config
from decco.errors import ConfigError
from tests.capture import capture_logs

pytestmark = pytest.mark.looptime


async def test_a_file_that_is_missing_for_a_moment_ends_nothing() -> None:
    async def load() -> str:
        if asyncio.get_running_loop().time() < RETRY_SECONDS / 2:
            raise ConfigError("the file is missing")
        return "loaded"

    with capture_logs() as lines:
        assert await retry_config(load, "the file") == "loaded"
    assert [line["error"] for line in lines] == ["the file is missing"], "one line, however often it was tried"


async def test_what_waiting_does_not_cure_is_raised_soon() -> None:
    async def load() -> str:
        raise ConfigError("the file is missing")

    with pytest.raises(ConfigError, match="the file is missing"):
        await retry_config(load, "the file")
    assert asyncio.get_running_loop().time() <= RETRY_SECONDS


async def test_a_defect_is_not_retried() -> None:
    async def load() -> str:
        raise RuntimeError("defect")

    with pytest.raises(RuntimeError):
        await retry_config(load, "the file")
    assert asyncio.get_running_loop().time() == 0
