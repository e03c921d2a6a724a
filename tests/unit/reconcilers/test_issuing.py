"""What is requested while certificates are not issued, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from decco.desired.issued import HTTP, CertificateView
from decco.desired.issuing import CHALLENGES, REQUESTS, Cause
from decco.desired.model import SpaceFacts
from decco.kube.client import ListPage
from decco.kube.errors import Forbidden, NotFound, NotServed, Unreachable
from decco.objects import Key, Obj, Resource
from decco.reconcilers.issuing import FIRST_SECONDS, LONGEST_SECONDS, Causes
from tests.unit.desired.test_issued import inputs

VIEW = CertificateView(revision=0, ready=False)
READY = {"metadata": {"name": "ca"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


class Server:
    def __init__(self) -> None:
        self.now = 0.0
        self.issuer: Obj | Exception = NotFound(404, "NotFound", "issuers ca not found")
        self.lists: dict[Resource, list[Obj] | Exception] = {CHALLENGES: [], REQUESTS: []}
        self.requests: list[str] = []

    async def get(self, resource: Resource, key: Key) -> Obj:
        self.requests.append(f"{resource.plural} {key}")
        if isinstance(self.issuer, Exception):
            raise self.issuer
        return self.issuer

    async def list_pages(self, resource: Resource, **where: Any) -> AsyncIterator[ListPage]:
        self.requests.append(f"{resource.plural} {where['namespace']}")
        found = self.lists[resource]
        if isinstance(found, Exception):
            raise found
        yield ListPage(found, "1", remaining=False)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def causes(server: Server) -> Causes:
    return Causes(server, lambda: server.now)


@pytest.fixture
def space() -> SpaceFacts:
    return inputs().space


async def read(causes: Causes, space: SpaceFacts, view: CertificateView | None = VIEW) -> str:
    return (await causes.read(space, {HTTP: view})).get(HTTP, Cause()).text


async def test_each_place_is_read_until_one_has_a_cause(server: Server, causes: Causes, space: SpaceFacts) -> None:
    where = f"{space.name}/ca"
    assert await read(causes, space) == "Issuer ca does not exist"
    assert server.requests == [f"issuers {where}"]
    server.issuer, server.now = READY, FIRST_SECONDS
    assert await read(causes, space) == ""
    assert server.requests[1:] == [f"issuers {where}", f"challenges {space.name}", f"certificaterequests {space.name}"]


async def test_no_request_before_its_time_unless_the_certificate_changed(
    server: Server, causes: Causes, space: SpaceFacts
) -> None:
    assert causes.requeue_after(space) is None
    await read(causes, space, None)
    assert (server.requests, causes.requeue_after(space)) == ([], None)
    await read(causes, space)
    assert causes.requeue_after(space) == FIRST_SECONDS
    server.now = FIRST_SECONDS / 2
    await read(causes, space)
    assert len(server.requests) == 1
    assert causes.requeue_after(space) == FIRST_SECONDS / 2
    await read(causes, space, replace(VIEW, waits="x"))
    assert len(server.requests) == 2


async def test_pauses_grow_and_end_with_the_last_lacking_certificate(
    server: Server, causes: Causes, space: SpaceFacts
) -> None:
    count = 0
    while server.now < 24 * 3600:
        await read(causes, space)
        count += 1
        pause = causes.requeue_after(space)
        assert pause is not None
        server.now += pause
    assert pause == LONGEST_SECONDS
    assert count < 24 * 6 + 20
    assert await causes.read(space, {}) == {}
    assert causes.requeue_after(space) is None


async def test_a_certificate_that_is_gone_is_not_due_for_ever(
    server: Server, causes: Causes, space: SpaceFacts
) -> None:
    """Somebody else's object may have its name, and stay there."""
    await read(causes, space)
    server.now = FIRST_SECONDS * 3
    await read(causes, space, None)
    assert (len(server.requests), causes.requeue_after(space)) == (1, None)
    await read(causes, space)
    assert (len(server.requests), causes.requeue_after(space)) == (2, FIRST_SECONDS)


async def test_what_cannot_be_read(server: Server, causes: Causes, space: SpaceFacts) -> None:
    away = NotServed(404, "NotFound", "no such kind")
    server.issuer, server.lists[CHALLENGES] = away, away
    assert await read(causes, space) == ""
    server.issuer, server.now = READY, 1e6
    server.lists[CHALLENGES] = Forbidden(403, "Forbidden", "decco may not list challenges")
    text = await read(causes, space)
    assert "decco may not list challenges; see the role decco-controller-certificates" in text
    server.issuer, server.now = Forbidden(403, "Forbidden", "decco may not get issuers"), 1.5e6
    assert "decco may not get issuers; decco may not list challenges; see" in await read(causes, space)
    server.issuer = READY
    server.lists[CHALLENGES], server.now = Unreachable("refused"), 2e6
    with pytest.raises(Unreachable):
        await read(causes, space)
    server.lists[CHALLENGES] = []
    assert await read(causes, space) == ""  # it was not taken for an answer


async def test_without_a_cluster_no_cause_is_known(space: SpaceFacts) -> None:
    assert await Causes(None, lambda: 0.0).read(space, {HTTP: VIEW}) == {}


async def test_each_place_is_read_once_for_all_certificates(server: Server, causes: Causes, space: SpaceFacts) -> None:
    names = sorted(space.issued)
    assert len(names) > 1
    server.issuer = READY
    request = {"metadata": {"annotations": {"cert-manager.io/certificate-name": names[0]}}}
    pending = {"type": "Ready", "status": "False", "message": "waiting"}
    server.lists[REQUESTS] = [{**request, "status": {"conditions": [pending]}}]
    found = await causes.read(space, dict.fromkeys(names, VIEW))
    assert {name: cause.text for name, cause in found.items()} == {**dict.fromkeys(names, ""), names[0]: "waiting"}
    assert server.requests == [
        f"issuers {space.name}/ca",
        f"challenges {space.name}",
        f"certificaterequests {space.name}",
    ]
