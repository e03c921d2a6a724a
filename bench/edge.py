"""What the data path costs: ``make bench NAME=edge`` (Linux and root, since it runs pods).

One run on one cluster, all ways to the same program alternately, so that other load of the machine falls on
all alike. Prints the median time of a request on a kept connection for each way, what each hop adds, and handshakes per
second through the edge and past it. On few cores the clients, the edge and the pods share them: trust the ratios.

Environment: ``ROUNDS`` (200) requests for each way, ``HANDSHAKES`` (400) in all for each way, by 8 clients at a time.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from testbed import cluster as clusters
from testbed.controller import Controller
from testbed.found import AssetsMissing
from tests.e2e import clients
from tests.e2e.world import Tenant, World

ROUNDS = int(os.environ.get("ROUNDS", "200"))
HANDSHAKES = int(os.environ.get("HANDSHAKES", "400"))
CLIENTS = 8
CONTENT = b"x" * 64
WAYS = {
    "tcp plain": "to the pod, no TLS at all",
    "tcp sidecar": "TLS to the pod's sidecar, past the edge",
    "tcp edge": "TLS through the edge (by name) to the pod's sidecar",
    "http plain": "HTTP to the pod",
    "http edge": "HTTPS to the edge, HTTP to the pod",
    "http encrypted": "HTTPS to the edge, HTTPS to the pod's sidecar",
}


def main() -> int:
    try:
        with (
            clusters.own() as cluster,
            tempfile.TemporaryDirectory() as folder,
            Controller(cluster.controller_kubeconfig, Path(folder) / "decco.log", cluster.settings) as running,
        ):
            measure(World(cluster, running.metrics))
    except AssetsMissing as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


def measure(world: World) -> None:
    """Creates two Spaces, sends the requests, prints the result."""
    plain, encrypted = world.tenant("plain"), world.tenant("encrypted", encryptHttp=True)
    line = plain.app("line", ["echo:9000"], endpoints=[{"name": "line", "port": 9000}])
    plain.run(plain.app("web", httpUrlPath="/web"), line)
    encrypted.run(encrypted.app("web", httpUrlPath="/web"))
    plain.settled("/web")
    encrypted.settled("/web")
    plain.listening("line")
    with contextlib.ExitStack() as stack:
        asks = {name: stack.enter_context(_way(name, plain, encrypted)) for name in WAYS}
        taken: dict[str, list[float]] = {name: [] for name in asks}
        for _ in range(ROUNDS):
            for name, ask in asks.items():
                started = time.perf_counter()
                ask()
                taken[name].append(time.perf_counter() - started)
    median = {name: statistics.median(times) * 1e3 for name, times in taken.items()}
    for name, what in WAYS.items():
        print(f"  {name:<15} {median[name]:6.2f} ms  {what}")
    print(
        f"  added: sidecar {median['tcp sidecar'] - median['tcp plain']:.2f} ms, "
        f"edge by name {median['tcp edge'] - median['tcp sidecar']:.2f} ms, "
        f"edge by path {median['http edge'] - median['http plain']:.2f} ms, "
        f"encryption behind it {median['http encrypted'] - median['http edge']:.2f} ms"
    )
    rates = {name: _handshakes(plain, address) for name, address in _doors(plain).items()}
    print(
        f"edge handshakes_per_s={rates['edge']:.0f} handshakes_per_s_past_it={rates['sidecar']:.0f} "
        f"ratio={rates['edge'] / rates['sidecar']:.2f} tcp_ratio={median['tcp edge'] / median['tcp plain']:.2f}"
    )


def _doors(tenant: Tenant) -> dict[str, str]:
    """Where a client can shake hands with the sidecar of ``line``: through the edge, and at its Service."""
    service = tenant.world.get("service", "line", tenant.name)
    return {"edge": tenant.world.edge, "sidecar": service["spec"]["clusterIP"]}


@contextlib.contextmanager
def _way(name: str, plain: Tenant, encrypted: Tenant) -> Iterator[Callable[[], None]]:
    kind, _, how = name.partition(" ")
    tenant = encrypted if how == "encrypted" else plain
    if kind == "tcp":
        port = 9000 if how == "plain" else clients.HTTPS
        address = _pod(plain, "line") if how == "plain" else _doors(plain)[how]
        server = None if how == "plain" else plain.host("line")
        request = CONTENT
    else:
        port, address = (8080, _pod(plain, "web")) if how == "plain" else (clients.HTTPS, plain.world.edge)
        server = None if how == "plain" else tenant.fqdn
        request = f"GET /web HTTP/1.1\r\nHost: {tenant.fqdn}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        connection: socket.socket = stack.enter_context(socket.create_connection((address, port), clients.SECONDS))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server is not None:
            trust = clients.context(tenant.authority.cert)
            connection = stack.enter_context(trust.wrap_socket(connection, server_hostname=server))

        def ask() -> None:
            if kind == "tcp":
                assert clients.exchange(connection, request) == request
                return
            connection.sendall(request)
            got = b""
            # The echo program's answer is one JSON object that ends its only line.
            while not got.endswith(b"}\n"):
                part = connection.recv(65536)
                assert part, f"{name}: the connection was closed after {got!r}"
                got += part
            assert got.startswith(b"HTTP/1.1 200"), got[:100]

        yield ask


def _pod(tenant: Tenant, app: str) -> str:
    return str(tenant.pods(app)[0]["status"]["podIP"])


def _handshakes(tenant: Tenant, address: str) -> float:
    """Full handshakes in a second, with one exchange each, by several clients at once."""
    trust = clients.context(tenant.authority.cert)

    def one(_: int) -> None:
        with (
            socket.create_connection((address, clients.HTTPS), clients.SECONDS) as plain,
            trust.wrap_socket(plain, server_hostname=tenant.host("line")) as connection,
        ):
            assert isinstance(connection, ssl.SSLSocket)
            assert not connection.session_reused
            assert clients.exchange(connection, b"x") == b"x"

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(HANDSHAKES)))
    return HANDSHAKES / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
