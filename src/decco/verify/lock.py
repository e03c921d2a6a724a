"""At most one run at a time in a cluster: a Lease, which a killed run leaves to expire."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from decco.errors import DeccoError
from decco.kube.client import Client
from decco.kube.errors import KubeError
from decco.kube.lease import Lease, Outcome, Times
from decco.objects import LEASES, Key, uid_of

NAME = "decco-verify"
TIMES = Times(lease=12.0, renew=8.0, retry=3.0)
CALL_SECONDS = 10.0


class VerifyError(DeccoError):
    """A run cannot begin."""


@asynccontextmanager
async def locked(client: Client, namespace: str, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Holds the Lease ``decco-verify`` in decco's namespace. Raises VerifyError while another run renews it."""
    key = Key(namespace, NAME)
    lease = Lease(client, key, f"{socket.gethostname()}-{os.getpid()}", TIMES)
    outcome = await lease.acquire_or_renew(CALL_SECONDS)
    if outcome is Outcome.TAKEN:
        say(f"waiting up to {TIMES.lease:.0f} s: the Lease {key} is held by another run, or left by a killed one")
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMES.lease + TIMES.retry):
                await lease.until_free()
        outcome = await lease.acquire_or_renew(CALL_SECONDS)
    if outcome is Outcome.TAKEN:
        raise VerifyError(f"another run is under way, which renews the Lease {key}: wait until it has ended")
    if outcome is Outcome.UNKNOWN:
        raise VerifyError(
            f"the Lease {key} cannot be written: does namespace {namespace} exist (--decco-namespace), and may you "
            "create and update leases there?"
        )
    renewal = asyncio.create_task(_renew(lease))
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)
        await lease.release()
        with suppress(KubeError):
            await client.delete(LEASES, key, uid=uid_of(await client.get(LEASES, key)))


async def _renew(lease: Lease) -> None:
    while True:
        await asyncio.sleep(TIMES.retry)
        await lease.acquire_or_renew(CALL_SECONDS)
