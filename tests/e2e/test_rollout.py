"""Changes under load: a new image and another number of replicas cost no request."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from testbed.images import programs
from tests.e2e import clients
from tests.e2e.world import Tenant, World, eventually
from tests.sample import full

CLIENTS = 4
PAUSE = 0.01
DRAIN = "--drain=12s"
"""How long a pod answers after its SIGTERM: until the edge has observed that it is going, which takes seconds on a busy
machine. docs/routing.md asks the same of Apps."""


@pytest.fixture(scope="module")
def busy(world: World) -> Tenant:
    tenant = world.tenant("busy", encryptHttp=True)
    tenant.run(*apps(tenant, {}))
    tenant.settled("/web")
    tenant.listening("line")
    return tenant


def apps(tenant: Tenant, container: dict[str, object], replicas: int = 2) -> list[dict[str, object]]:
    """One App by path with the way to the pod encrypted, and one by server name."""
    listen = {"web": ["http:8080"], "line": ["echo:9000", "http:8080"]}
    args = {name: ["serve", DRAIN, *(f"--listen={each}" for each in ports)] for name, ports in listen.items()}
    web, line = ({"container": {**container, "args": args[name]}} for name in ("web", "line"))
    return [
        tenant.app("web", httpUrlPath="/web", initialReplicas=replicas, pod=web),
        tenant.app(
            "line",
            listen["line"],
            endpoints=[{"name": "line", "port": 9000}],
            initialReplicas=replicas,
            pod=line,
        ),
    ]


class Load:
    """Clients that ask without rest; ``failures`` are what they met, ``seen`` what was answered, counted."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.failures: list[str] = []
        self.seen: Counter[str] = Counter()
        self._ending = threading.Event()

    def __enter__(self) -> Load:
        asks: list[Callable[[], str]] = [self._web, self._line]
        self._threads = [threading.Thread(target=self._run, args=(ask,)) for ask in asks for _ in range(CLIENTS // 2)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _run(self, ask: Callable[[], str]) -> None:
        while not self._ending.is_set():
            try:
                self.seen[ask()] += 1
            except (OSError, AssertionError, ValueError) as error:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {ask.__name__}: {error!r}")
            time.sleep(PAUSE)

    def _web(self) -> str:
        answer = self._tenant.https("/web")
        assert answer.status == 200, answer
        return f"web {answer.json()['edition']}"

    def _line(self) -> str:
        with self._tenant.tls("line") as connection:
            assert clients.exchange(connection, b"ping") == b"ping"
        return "line"


@contextmanager
def load(tenant: Tenant) -> Iterator[Load]:
    with Load(tenant) as clients_:
        yield clients_
    assert not clients_.failures, clients_.failures[:10]
    assert min(clients_.seen.values()) > 10, clients_.seen


def test_a_new_image_costs_no_request(busy: Tenant) -> None:
    node = busy.world.cluster.node
    if node is None:
        pytest.skip("a second edition of the image can be had with the testbed's own node only")
    image = programs.echo("2")
    node.load(image.archive)
    before = pods_of(busy)
    with load(busy) as seen:
        busy.run(*apps(busy, {"image": image.reference}))
        eventually(lambda: not pods_of(busy) & before, 90, "all pods new")
        eventually(lambda: busy.https("/web").json()["edition"] == "2", 10)
    assert seen.seen["web 1"], "the load began too late"
    assert seen.seen["web 2"], "the load ended too early"


@full
def test_another_number_of_replicas_costs_no_request(busy: Tenant) -> None:
    with load(busy):
        # One at a time: Envoy sends connections to pods that end, too, while fewer than half of them are left.
        for replicas in (3, 2, 1):
            busy.run(*apps(busy, {}, replicas))
            eventually(lambda replicas=replicas: len(pods_of(busy)) == 2 * replicas, 90)  # type: ignore[misc]


def pods_of(tenant: Tenant) -> set[str]:
    return {pod["metadata"]["uid"] for app in ("web", "line") for pod in tenant.pods(app)}
