"""Which kinds of other projects the settings need."""

from __future__ import annotations

from typing import Any

import pytest

from decco.objects import DEPLOYMENTS, GATEWAY_GROUP, INGRESSES, NETWORK_POLICIES, Resource
from decco.reconcilers.discover import TRAEFIK_GROUP, is_needed, is_optional
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
