"""Which kinds of other projects the settings need."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.model import Served
from decco.kube.errors import NotServed, ServerError
from decco.objects import DEPLOYMENTS, GATEWAY_GROUP, INGRESSES, NETWORK_POLICIES, Obj, Resource
from decco.reconcilers.discover import TRAEFIK_GROUP, discover, is_needed, is_optional, keeping, versions
from decco.settings import Settings

GATEWAY = {kind: Resource(GATEWAY_GROUP, "v1", kind.lower(), kind) for kind in ("Gateway", "ListenerSet", "TLSRoute")}
MIDDLEWARE = Resource(TRAEFIK_GROUP, "v1alpha1", "middlewares", "Middleware")


@pytest.mark.parametrize(
    ("routing", "needed"),
    [
        ({}, {"Gateway", "TLSRoute"}),
        ({"parentGateway": "edge/shared"}, {"Gateway", "ListenerSet", "TLSRoute"}),
        ({"backend": "none"}, set()),
        ({"backend": "ingress", "ingressDialect": "haproxy"}, {"Ingress"}),
        ({"backend": "ingress", "ingressDialect": "traefik"}, {"Ingress", "Middleware"}),
    ],
)
def test_a_kind_that_the_settings_do_not_need_is_not_waited_for(routing: dict[str, Any], needed: set[str]) -> None:
    settings = Settings.model_validate({"routing": routing})
    optional = [*GATEWAY.values(), MIDDLEWARE, INGRESSES]
    assert {kind.kind for kind in optional if is_needed(kind, settings.routing)} == needed
    assert all(is_optional(kind) for kind in optional)


def test_what_isolates_and_runs_is_always_needed() -> None:
    settings = Settings.model_validate({"routing": {"backend": "none"}})
    for kind in (DEPLOYMENTS, NETWORK_POLICIES):
        assert is_needed(kind, settings.routing)
        assert not is_optional(kind)


class Documents:
    """Stands where the client does: a group without a document answers with ``trouble``."""

    def __init__(self, trouble: Exception, **groups: list[str]) -> None:
        self.trouble = trouble
        self.groups = {GATEWAY_GROUP: groups.get("gateway"), TRAEFIK_GROUP: groups.get("traefik")}

    async def raw(self, path: str) -> Obj:
        _, _, group, *version = path.split("/")
        kinds = self.groups[group]
        if kinds is None:
            raise self.trouble
        if not version:
            return {"versions": [{"version": "v1"}]}
        return {"resources": [{"name": kind.lower(), "kind": kind, "namespaced": True} for kind in kinds]}


DOWN = ServerError(503, "ServiceUnavailable", "service unavailable")


async def test_a_group_that_the_settings_do_not_need_blocks_nothing_if_it_cannot_be_discovered() -> None:
    client: Any = Documents(DOWN, gateway=["Gateway", "TLSRoute"])
    routing = Settings().routing
    known = Served(middleware=MIDDLEWARE)
    found = await discover(client, routing)
    assert (found.tls_route, found.middleware) == (GATEWAY["TLSRoute"], None)
    assert (await discover(client, routing, known)).middleware == MIDDLEWARE


async def test_a_group_that_the_settings_need_is_waited_for() -> None:
    client: Any = Documents(DOWN, traefik=["Middleware"])
    with pytest.raises(ServerError):
        await discover(client, Settings().routing)


async def test_a_group_that_is_not_served_has_no_kinds() -> None:
    client: Any = Documents(NotServed(404, "", "404 page not found"))
    assert await discover(client, Settings().routing, Served(tls_route=GATEWAY["TLSRoute"])) == Served()


def test_another_version_is_seen_although_it_is_the_same_kind() -> None:
    v1, old = GATEWAY["TLSRoute"], Resource(GATEWAY_GROUP, "v1alpha3", "tlsroute", "TLSRoute")
    assert v1 == old
    assert versions(Served(tls_route=v1)) != versions(Served(tls_route=old))
    assert versions(keeping(Served(tls_route=v1), Served(tls_route=old))) == {v1: "v1"}
    assert keeping(Served(), Served(tls_route=old)).tls_route == old
