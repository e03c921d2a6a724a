"""Ready means that it answers: the first request of a client that starts when its App becomes Ready never fails.

``E2E_APPS`` is the number of Apps, each of them new, half of them by path and half by server name.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from testbed.node.node import Node
from tests.e2e import clients
from tests.e2e.conftest import FULL
from tests.e2e.world import HTTP_PORT, Obj, Tenant, World
from tests.promises import PATIENCE

APPS = int(os.environ.get("E2E_APPS") or (300 if FULL else 12))
AT_A_TIME = 4
POLL_SECONDS = 0.05
TCP_PORT = 9000


@pytest.fixture(scope="module")
def first(world: World) -> Tenant:
    if world.cluster.node is None:
        pytest.skip("asks the API server more often than kubectl can")
    return world.tenant("first")


def app_of(tenant: Tenant, number: int) -> Obj:
    name, pod = f"a{number}", {"terminationGracePeriodSeconds": 1}
    endpoint = {"name": name, "port": HTTP_PORT, "httpPath": f"/{name}"}
    if number % 2:
        endpoint = {"name": name, "port": TCP_PORT}
    return tenant.app(name, [f"echo:{TCP_PORT}", f"http:{HTTP_PORT}"], endpoints=[endpoint], pod=pod)


def ask(tenant: Tenant, number: int) -> str:
    """What is wrong with one request, "" if nothing is."""
    try:
        if number % 2:
            with tenant.tls(f"a{number}") as connection:
                got = clients.exchange(connection, b"ping")
            return "" if got == b"ping" else f"got {got!r}"
        status = tenant.https(f"/a{number}").status
        return "" if status == 200 else f"status {status}"
    except OSError as error:
        return repr(error)


def is_ready(node: Node, path: str) -> bool:
    conditions = node.cp.request("GET", path).json().get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@pytest.mark.timeout(3600 if FULL else 600)
def test_the_first_request_never_fails(first: Tenant) -> None:
    node = first.world.cluster.node
    assert node is not None
    numbers = count()
    failed: list[str] = []

    def work() -> None:
        while (number := next(numbers)) < APPS:
            collection = f"/apis/decco.platform9.com/v1beta2/namespaces/{first.name}/apps"
            path = f"{collection}/a{number}"
            node.cp.create(collection, app_of(first, number))
            deadline = time.monotonic() + PATIENCE
            while not is_ready(node, path):
                assert time.monotonic() < deadline, f"a{number} is not Ready"
                time.sleep(POLL_SECONDS)
            if wrong := ask(first, number):
                failed.append(f"a{number}: {wrong}")
            node.cp.request("DELETE", path)

    started = time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for each in [pool.submit(work) for _ in range(AT_A_TIME)]:
            each.result()
    print(f"\n{APPS} Apps in {time.monotonic() - started:.0f} s, first requests that failed: {failed}")
    assert failed == []
