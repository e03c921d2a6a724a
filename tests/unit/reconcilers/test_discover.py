"""Which kinds of other projects the settings need, and in which versions decco takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.desired.mesh.meshes.istio import GROUP as ISTIO_GROUP
from decco.desired.routing.dialects.traefik import GROUP as TRAEFIK_GROUP
from decco.desired.routing.dialects.traefik import MIDDLEWARES
from decco.kube.errors import NotServed, ServerError
from decco.objects import (
    CERTIFICATES,
    DEPLOYMENTS,
    ENVOY_GATEWAY_GROUP,
    GATEWAY_GROUP,
    HTTP_ROUTES,
    INGRESSES,
    NETWORK_POLICIES,
    TLS_ROUTES,
    Obj,
    Resource,
)
from decco.reconcilers.discover import discover, missing, versions
from decco.reconcilers.kinds import KINDS
from decco.settings import Settings

GATEWAY_API = {"GatewayClass", "Gateway", "HTTPRoute", "TLSRoute", "BackendTLSPolicy"}
OLD = replace(TLS_ROUTES, version="v1alpha3")


@pytest.mark.parametrize(
    ("routing", "needed"),
    [
        ({}, GATEWAY_API),
        ({"parentGateway": "edge/shared"}, {*GATEWAY_API, "ListenerSet"}),
        ({"backend": "none"}, set()),
        ({"backend": "ingress", "ingressDialect": "haproxy"}, {"Ingress"}),
        (
            {"backend": "ingress", "ingressDialect": "traefik"},
            {"Ingress", "IngressRouteTCP", "Middleware", "ServersTransport", "TLSOption"},
        ),
    ],
)
def test_a_kind_that_the_settings_do_not_need_is_not_waited_for(routing: dict[str, Any], needed: set[str]) -> None:
    settings = Settings.model_validate({"routing": routing})
    optional = [kind for kind in KINDS if kind.optional]
    assert {kind.resource.kind for kind in optional if kind.searched and kind.is_needed(settings.routing)} == needed
    assert missing({}, settings.routing) == sorted(needed - {INGRESSES.kind})


def test_what_isolates_and_runs_is_always_needed() -> None:
    always = {kind.resource for kind in KINDS if not kind.optional}
    assert {DEPLOYMENTS, NETWORK_POLICIES} <= always


class Documents:
    """Stands where the client does: a group without a document answers with ``trouble``."""

    def __init__(self, trouble: Exception, **groups: list[Resource]) -> None:
        self.trouble = trouble
        self.groups = {
            GATEWAY_GROUP: groups.get("gateway"),
            TRAEFIK_GROUP: groups.get("traefik"),
            CERTIFICATES.group: groups.get("certificates"),
            ENVOY_GATEWAY_GROUP: groups.get("envoy"),
            ISTIO_GROUP: groups.get("istio"),
        }

    async def raw(self, path: str) -> Obj:
        _, _, group, *version = path.split("/")
        kinds = self.groups[group]
        if kinds is None:
            raise self.trouble
        if not version:
            return {"versions": [{"version": each} for each in dict.fromkeys(kind.version for kind in kinds)]}
        served = [kind for kind in kinds if kind.version == version[0]]
        return {"resources": [{"name": kind.plural, "kind": kind.kind, "namespaced": True} for kind in served]}


DOWN = ServerError(503, "ServiceUnavailable", "service unavailable")


async def test_a_group_that_the_settings_do_not_need_blocks_nothing_if_it_cannot_be_discovered() -> None:
    client: Any = Documents(DOWN, gateway=[HTTP_ROUTES, TLS_ROUTES])
    routing = Settings().routing
    assert await discover(client, routing) == {HTTP_ROUTES: HTTP_ROUTES, TLS_ROUTES: TLS_ROUTES}
    assert MIDDLEWARES in await discover(client, routing, {MIDDLEWARES: MIDDLEWARES})


async def test_a_group_that_the_settings_need_is_waited_for() -> None:
    client: Any = Documents(DOWN, traefik=[MIDDLEWARES])
    with pytest.raises(ServerError):
        await discover(client, Settings().routing)


async def test_a_group_that_is_not_served_has_no_kinds() -> None:
    client: Any = Documents(NotServed(404, "", "404 page not found"))
    assert await discover(client, Settings().routing, {TLS_ROUTES: TLS_ROUTES}) == {}


async def test_a_kind_in_an_older_version_is_taken_and_one_in_an_unknown_version_is_not() -> None:
    client: Any = Documents(DOWN, gateway=[replace(HTTP_ROUTES, version="v2"), OLD], traefik=[])
    found = await discover(client, Settings().routing)
    assert [str(each.version) for each in found.values()] == ["v1alpha3"]
    assert missing(found, Settings().routing) == ["BackendTLSPolicy", "Gateway", "GatewayClass", "HTTPRoute"]


def test_another_version_is_seen_although_it_is_the_same_kind() -> None:
    assert TLS_ROUTES == OLD
    assert versions({TLS_ROUTES: TLS_ROUTES}) != versions({TLS_ROUTES: OLD})
