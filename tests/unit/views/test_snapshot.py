"""What a snapshot of a cluster does without."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from decco.desired.routing.dialects.traefik import GROUP as TRAEFIK_GROUP
from decco.kube.client import ListPage
from decco.kube.errors import NotServed, ServerError
from decco.objects import GATEWAY_GROUP, Obj, Resource
from decco.settings import Settings
from decco.views.snapshot import from_cluster

DOWN = ServerError(500, "InternalError", "conversion webhook failed")


class Client:
    """A cluster without objects that serves two kinds; those of ``broken`` groups cannot be listed."""

    def __init__(self, *broken: str) -> None:
        self.broken = broken

    async def raw(self, path: str) -> Obj:
        kinds = {GATEWAY_GROUP: "TLSRoute", TRAEFIK_GROUP: "Middleware"}
        _, _, group, *version = path.split("/")
        if group not in kinds:
            raise NotServed(404, "", "404 page not found")
        if not version:
            return {"versions": [{"version": "v1" if group == GATEWAY_GROUP else "v1alpha1"}]}
        return {"resources": [{"name": f"{kinds[group].lower()}s", "kind": kinds[group], "namespaced": True}]}

    async def list_pages(self, resource: Resource, **_: Any) -> AsyncGenerator[ListPage, None]:
        if resource.group in self.broken:
            raise DOWN
        yield ListPage([], "5", remaining=False)


async def test_a_kind_that_the_settings_do_not_need_may_be_unreadable() -> None:
    client: Any = Client(TRAEFIK_GROUP)
    snapshot = await from_cluster(client, Settings())
    assert [(kind.kind, namespace) for kind, namespace in snapshot.unreadable] == [("Middleware", "")]


async def test_a_kind_that_the_settings_need_must_be_readable() -> None:
    client: Any = Client(GATEWAY_GROUP)
    with pytest.raises(ServerError):
        await from_cluster(client, Settings())
