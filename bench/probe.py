"""What does probing cost: CPU of one core and memory at 10,000 endpoints with the default settings?

A TLS server and a DNS server run in a process of their own on the loopback address; each endpoint has a record. The
prober runs here for ``--seconds`` at the rate of the default, with the mixture of whole and short probes that it has
after a while. Prints one line for each question; the exit status is 0 if every target is met. CPU time on a busy
machine is longer, so it needs an idle one; ``--whole`` and ``--no-records`` are for comparisons. Start it with ``-m
bench.probe``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import multiprocessing
import os
import ssl
import sys
import tempfile
import time
import tracemalloc
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rrset

from decco.probe import service
from decco.probe.model import AnyTarget, Record, Server, Target
from decco.probe.service import Prober
from decco.settings.model import ProbeSettings
from testbed.certificates import self_signed

ENDPOINTS = 10_000
INTERVAL = 10.0
"""Seconds; there are as many endpoints as give the rate of 10,000 in 300 seconds."""
WARM_UP = 45.0
_VALUES = frozenset({("A", "192.0.2.1")})
MOST_CPU = 0.03
MOST_MEGABYTES = 20.0


class _Ignored:
    def probed(self, result: str) -> None:
        if result != "answered":
            sys.exit(f"a probe ended with {result}")

    def first_answer(self, seconds: float) -> None:
        pass


def _serve(folder: str, port: Connection) -> None:
    """A TLS server; sends its port."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/crt", f"{folder}/key")
        server = await asyncio.start_server(hold, "127.0.0.1", 0, ssl=context, backlog=1024)
        names, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Names, ("127.0.0.1", 0))
        port.send((server.sockets[0].getsockname()[1], names.get_extra_info("sockname")[1]))
        await server.serve_forever()

    asyncio.run(run())


class _Names(asyncio.DatagramProtocol):
    """A server that has one address for all names."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = dns.message.make_response(dns.message.from_wire(data))
        answer.flags |= dns.flags.AA
        answer.answer.append(dns.rrset.from_text(answer.question[0].name, 60, "IN", "A", "192.0.2.1"))
        self._transport.sendto(answer.to_wire(), addr)


def _targets(number: int, ports: tuple[int, int], digest: bytes, *, records: bool) -> dict[str, AnyTarget]:
    name = f"e{number}.acme.example"
    found: dict[str, AnyTarget] = {"e": Target("127.0.0.1", ports[0], name, (digest,), waits_for_close=True)}
    if records:
        found["record"] = Record("acme.example", name, _VALUES, (Server("127.0.0.1", ports[1]),))
    return found


async def _cpu(ports: tuple[int, int], digest: bytes, seconds: float, *, records: bool) -> tuple[float, float]:
    """CPU seconds in each second at the default rate: of Python, and of the kernel on its behalf. On the loopback
    address the kernel also delivers each packet in the time of its sender.
    """
    count = int(ENDPOINTS / ProbeSettings().interval_seconds * INTERVAL)
    settings = ProbeSettings(interval_seconds=INTERVAL)
    prober = Prober(lambda: settings, _Ignored())
    for number in range(count):
        prober.ensure(f"uid-{number}", _targets(number, ports, digest, records=records), assumed=True)
    task = asyncio.create_task(prober.run())
    await asyncio.sleep(WARM_UP)
    before, since = os.times(), time.monotonic()
    await asyncio.sleep(seconds)
    after, lasted = os.times(), time.monotonic() - since
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return (after.user - before.user) / lasted, (after.system - before.system) / lasted


def _memory(digest: bytes) -> float:
    """Megabytes of 10,000 endpoints."""
    gc.collect()
    tracemalloc.start()
    prober = Prober(ProbeSettings, _Ignored())
    for number in range(ENDPOINTS):
        prober.ensure(f"uid-{number}", _targets(number, (443, 53), digest, records=True), assumed=True)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--whole", action="store_true", help="whole probes only")
    parser.add_argument("--records", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    if arguments.whole:
        service.MOST_SHORT = 0
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = self_signed(["acme.example"])
        (Path(folder) / "crt").write_bytes(certificate)
        (Path(folder) / "key").write_bytes(key)
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).digest()
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, theirs), daemon=True)
        server.start()
        try:
            user, kernel = asyncio.run(_cpu(ours.recv(), digest, arguments.seconds, records=arguments.records))
        finally:
            server.kill()
    megabytes = _memory(digest)
    cpu = user + kernel
    shares = f"{user:.4f} Python, {kernel:.4f} kernel"
    print(f"probe cpu     {cpu:.4f} of a core at {ENDPOINTS} endpoints ({shares}), target {MOST_CPU}")
    print(f"probe memory  {megabytes:.1f} MB at {ENDPOINTS} endpoints, target {MOST_MEGABYTES:g}")
    return 0 if cpu < MOST_CPU and megabytes < MOST_MEGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
