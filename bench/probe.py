"""What does probing cost: CPU of one core and memory at 10,000 endpoints with the default settings?

TLS servers run in a process of their own on the loopback address. The prober runs here for ``--seconds`` with as many
endpoints as are due in that time, so the rate is that of the default. Prints one line for each question; the exit
status is 0 if every target is met. CPU time on a busy machine is longer, so it needs an idle one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import multiprocessing
import ssl
import sys
import tempfile
import time
import tracemalloc
from multiprocessing.connection import Connection
from pathlib import Path

from decco.probe.model import Target
from decco.probe.service import Prober
from decco.settings.model import ProbeSettings
from testbed.certificates import self_signed

ENDPOINTS = 10_000
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
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def _target(number: int, port: int, digest: bytes) -> Target:
    return Target("127.0.0.1", port, f"e{number}.acme.example", (digest,), waits_for_close=True)


async def _cpu(port: int, digest: bytes, seconds: float) -> float:
    """CPU seconds in each second at the default rate."""
    count = int(ENDPOINTS / ProbeSettings().interval_seconds * seconds)
    settings = ProbeSettings(interval_seconds=max(10.0, seconds))
    prober = Prober(lambda: settings, _Ignored())
    for number in range(count):
        prober.ensure(f"uid-{number}", {"e": _target(number, port, digest)}, assumed=True)
    task = asyncio.create_task(prober.run())
    before, since = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    used = (time.process_time() - before) / (time.monotonic() - since)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return used


def _memory(digest: bytes) -> float:
    """Megabytes of 10,000 endpoints."""
    gc.collect()
    tracemalloc.start()
    prober = Prober(ProbeSettings, _Ignored())
    for number in range(ENDPOINTS):
        prober.ensure(f"uid-{number}", {"e": _target(number, 443, digest)}, assumed=True)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = self_signed(["acme.example"])
        (Path(folder) / "crt").write_bytes(certificate)
        (Path(folder) / "key").write_bytes(key)
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).digest()
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, theirs), daemon=True)
        server.start()
        try:
            cpu = asyncio.run(_cpu(ours.recv(), digest, arguments.seconds))
        finally:
            server.kill()
    megabytes = _memory(digest)
    print(f"probe cpu     {cpu:.4f} of a core at {ENDPOINTS} endpoints, target {MOST_CPU}")
    print(f"probe memory  {megabytes:.1f} MB at {ENDPOINTS} endpoints, target {MOST_MEGABYTES:g}")
    return 0 if cpu < MOST_CPU and megabytes < MOST_MEGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
