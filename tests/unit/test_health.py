"""The HTTP endpoints, asked by a real client over loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from decco import health as health_module
from decco.errors import ConfigError
from decco.health import Health
from decco.metrics import Metrics
from tests.promises import PATIENCE

LOOPBACK = "127.0.0.1:0"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "STOP_SECONDS", 0.01)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def health(metrics: Metrics, clock: Clock) -> Health:
    return Health(metrics, clock)


@pytest.fixture
async def client(health: Health) -> AsyncIterator[aiohttp.ClientSession]:
    async with health.serve(LOOPBACK) as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with client.get(path) as response:
        return response.status, await response.text()


async def test_all_is_well(client: aiohttp.ClientSession, health: Health) -> None:
    health.add_check("leases", lambda: None)
    assert await get(client, "/healthz") == (200, "ok\n")
    assert await get(client, "/healthz?verbose") == (
        200,
        "[+]event-loop-watcher ok\n[+]event-loop ok\n[+]leases ok\nhealthz check passed\n",
    )


async def test_a_failing_check_is_named(client: aiohttp.ClientSession, health: Health) -> None:
    trouble: str | None = "expired"
    health.add_check("lease", lambda: trouble)
    assert await get(client, "/healthz") == (
        503,
        "[+]event-loop-watcher ok\n[+]event-loop ok\n[-]lease failed: expired\nhealthz check failed\n",
    )
    trouble = None
    assert await get(client, "/healthz") == (200, "ok\n")


async def test_ready_follows_the_caches(client: aiohttp.ClientSession, health: Health) -> None:
    assert await get(client, "/readyz") == (
        503,
        "[-]startup failed: no cache has been started yet\nreadyz check failed\n",
    )
    synced = {"apps": False, "spaces": True}

    def check(name: str) -> Callable[[], str | None]:
        return lambda: None if synced[name] else "not listed yet"

    for name in synced:
        health.add_check(f"cache {name}", check(name), kind="ready")
    assert await get(client, "/readyz") == (
        503,
        "[+]cache spaces ok\n[-]cache apps failed: not listed yet\nreadyz check failed\n",
    )
    assert await get(client, "/healthz") == (200, "ok\n")  # not ready, but alive
    synced["apps"] = True
    assert await get(client, "/readyz") == (200, "ok\n")
    assert await get(client, "/readyz?verbose=1") == (
        200,
        "[+]cache apps ok\n[+]cache spaces ok\nreadyz check passed\n",
    )


async def test_the_event_loop_itself_owes_heartbeats(
    health: Health, clock: Clock, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr(health_module, "LAG_INTERVAL", 0.001)
    monkeypatch.setattr(metrics, "loop_lag", measured.put_nowait)
    async with health.serve(LOOPBACK):
        assert await asyncio.wait_for(measured.get(), PATIENCE) == 0.0
        # The watcher sleeps now, until a moment that it has already chosen.
        clock.now += 61
        assert health.failing("live") == {"event-loop": "no heartbeat for 61 s"}
        assert "[-]event-loop failed: no heartbeat for 61 s\n" in health.report("live", "healthz", verbose=False)[1]
        while (lag := await asyncio.wait_for(measured.get(), PATIENCE)) == 0.0:
            """Measured before the clock went on, while this test waited."""
        assert lag == pytest.approx(60.999)
        assert health.failing("live") == {}


async def _ends_with(error: BaseException | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (None, "ended"),
        (OSError("a secret"), "ended with OSError"),
        (asyncio.CancelledError(), "was cancelled"),
    ],
)
async def test_a_task_that_ended_is_dead(error: BaseException | None, trouble: str, health: Health) -> None:
    task = asyncio.create_task(_ends_with(error))
    health.watch_task("informer apps", task)
    assert health.failing("live") == {}
    await asyncio.wait({task})
    assert health.failing("live") == {"informer apps": trouble}
    health.remove_check("informer apps")
    assert health.failing("live") == {}


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        (None, "text/plain; version=0.0.4; charset=utf-8", parse_text),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", parse_text),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text",
            parse_openmetrics,
        ),
        ("application/openmetrics-text; version=banana", "text/plain", parse_text),
        ("\u00ff;;,=", "text/plain", parse_text),
    ],
)
async def test_metrics_in_the_format_that_was_asked_for(
    accept: str | None, content_type: str, parse: Callable[..., object], client: aiohttp.ClientSession, metrics: Metrics
) -> None:
    metrics.queue_added("app", 7)
    headers = {"Accept": accept} if accept else {}
    async with client.get("/metrics", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith(content_type)
        text = await response.text()
    families = {family.name for family in parse(text)}  # type: ignore[attr-defined]
    assert {"decco_workqueue_depth", "decco_leader"} <= families
    assert 'decco_workqueue_depth{name="app"} 7.0' in text  # refreshed for this scrape


async def test_what_is_not_served(client: aiohttp.ClientSession) -> None:
    assert (await get(client, "/"))[0] == 404
    async with client.post("/metrics") as response:
        assert response.status == 405


async def test_a_check_that_breaks_is_a_failure(client: aiohttp.ClientSession, health: Health) -> None:
    def broken() -> str | None:
        raise KeyError("defect")

    health.add_check("broken", broken)
    assert (await get(client, "/healthz"))[0] == 500


async def test_a_taken_port_is_a_message(health: Health) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError) as caught:
            async with health.serve(address):
                pass
    assert str(caught.value).startswith(f"cannot listen on metricsBindAddress {address}: ")
    assert "address already in use" in str(caught.value)
    assert str(caught.value).endswith("or choose another with --metrics-bind-address (0 turns it off)")


async def test_a_failure_to_listen_leaves_nothing_behind(health: Health) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        async with health.serve("192.0.2.1:8080"):  # not an address of this machine
            pass
    assert {task.get_name() for task in asyncio.all_tasks()} == {asyncio.current_task().get_name()}  # type: ignore[union-attr]


async def test_zero_serves_nothing(health: Health) -> None:
    before = len(asyncio.all_tasks())
    async with health.serve("0") as server:
        assert server.port is None
        assert len(asyncio.all_tasks()) == before


@pytest.mark.parametrize("address", [":0", "127.0.0.1:0"])
async def test_where_it_listens(address: str, health: Health) -> None:
    async with health.serve(address) as server, aiohttp.ClientSession() as session:
        assert server.port
        async with session.get(f"http://127.0.0.1:{server.port}/healthz") as response:
            assert response.status == 200


async def test_the_port_is_free_again_afterwards(health: Health) -> None:
    async with health.serve(LOOPBACK) as first:
        pass
    async with health.serve(f"127.0.0.1:{first.port}") as second:
        assert second.port == first.port
