"""The thread of the leader election as the main loop sees it. With a real Lease it is tested in tests/integration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from decco.kube.errors import NotFound
from decco.kube.fence import Fence
from decco.kube.leader import Leader
from decco.kube.lease import Times
from decco.objects import Key, Obj, Resource
from tests.promises import PATIENCE

TIMES = Times(lease=30.0, renew=20.0, retry=0.05)


class Leases:
    """One Lease, and no other candidate."""

    def __init__(self) -> None:
        self.lease: Obj | None = None
        self.requests: list[str] = []

    async def get(self, resource: Resource, key: Key) -> Obj:
        self.requests.append("get")
        if self.lease is None:
            raise NotFound(404, "NotFound", "no lease")
        return self.lease

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        return await self.replace(resource, obj)

    async def replace(self, resource: Resource, obj: Obj) -> Obj:
        self.requests.append("write")
        version = str(len(self.requests))
        self.lease = {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}
        return self.lease


def leader(leases: Any) -> Leader:
    @asynccontextmanager
    async def client() -> AsyncIterator[Any]:
        yield leases

    async def connect() -> AbstractAsyncContextManager[Any]:
        return client()

    return Leader(connect, Key("decco", "decco"), "me", TIMES, Fence())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "leader-election"]


async def test_an_error_of_the_thread_is_raised_where_it_is_waited_for() -> None:
    broken = Leader(AsyncMock(side_effect=RuntimeError("no client")), Key("decco", "decco"), "me", TIMES, Fence())
    work = AsyncMock()
    with pytest.raises(RuntimeError, match="no client"):
        await asyncio.wait_for(broken.run(work), PATIENCE)
    work.assert_not_called()
    assert not threads()


async def test_the_lease_is_kept_while_the_work_goes_on_and_released_after_it() -> None:
    leases, changes = Leases(), Mock()
    candidate = leader(leases)
    candidate.on_change = changes

    async def work() -> None:
        assert leases.lease is not None
        assert leases.lease["spec"]["holderIdentity"] == "me"
        assert candidate.fence.allows()
        while leases.requests.count("write") < 4:  # noqa: ASYNC110 - the thread's writes are polled
            await asyncio.sleep(0.01)

    await asyncio.wait_for(candidate.run(work), PATIENCE)
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == ""
    assert leases.lease["spec"]["leaseDurationSeconds"] == 1
    assert [call.args for call in changes.call_args_list] == [(True,), (False,)]
    assert not threads()


async def test_a_candidate_that_is_cancelled_before_it_leads_ends_its_thread() -> None:
    leases = Leases()
    leases.get = lambda *_: asyncio.sleep(3600)  # type: ignore[assignment,method-assign,return-value]
    waiting = asyncio.create_task(leader(leases).run(AsyncMock()))
    while not threads():  # noqa: ASYNC110 - a thread has no event to wait for
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not threads()
