"""The targets of host names: an unknown address is not treated as a deleted one."""

from __future__ import annotations

from typing import Any

import pytest

from decco.objects import APPS, GATEWAY_CLASSES, GATEWAYS
from decco.reconcilers.edge import addresses_for, gateway_controller
from decco.reconcilers.facts import space_facts
from decco.reconcilers.records import Records
from tests.unit.reconcilers.world import app, make_caches, space, stored

FACTS = space_facts(space("acme"))


@pytest.mark.parametrize("routing", [{}, {"parentGateway": "edge/shared"}])
def test_addresses_of_gateways_that_cannot_be_listed_are_unknown(routing: dict[str, Any]) -> None:
    caches = make_caches(routing=routing)
    assert addresses_for(caches, FACTS) == ()
    stores = caches.edges if routing else caches.children
    stores[GATEWAYS].unlisted = "forbidden"
    assert addresses_for(caches, FACTS) is None


def test_addresses_of_gateways_that_are_not_served_are_unknown() -> None:
    assert addresses_for(make_caches({}), FACTS) is None


def test_addresses_of_the_settings_are_known_whatever_is_listed() -> None:
    caches = make_caches({}, edge={"addresses": ["192.0.2.1"]})
    assert addresses_for(caches, FACTS) == ("192.0.2.1",)
    assert addresses_for(make_caches({}, routing={"backend": "none"}), FACTS) == ()


@pytest.mark.parametrize(
    ("routing", "want"),
    [
        ({"gatewayClassName": "envoy"}, "envoy.example/controller"),
        ({"gatewayClassName": "missing"}, None),
        ({"parentGateway": "edge/shared"}, "other.example/controller"),
    ],
    ids=["own Gateways", "a class that does not exist", "the class of the shared Gateway"],
)
def test_the_controller_is_that_of_the_gateways_class(routing: dict[str, Any], want: str | None) -> None:
    caches = make_caches(routing=routing)
    assert gateway_controller(caches) is None
    for name, controller in (("envoy", "envoy.example/controller"), ("other", "other.example/controller")):
        found = stored(GATEWAY_CLASSES, name, "", spec={"controllerName": controller})
        caches.edges[GATEWAY_CLASSES].put(found, own=False)
    if "parentGateway" in routing:
        shared = stored(GATEWAYS, "shared", "edge", spec={"gatewayClassName": "other"})
        caches.edges[GATEWAYS].put(shared, own=False)
    assert gateway_controller(caches) == want


def test_without_the_gateway_api_there_is_no_controller() -> None:
    assert gateway_controller(make_caches({})) is None


class Dns:
    """Stands where the DNS service does, and writes down what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pause(self, uid: str, lost: object = ()) -> None:
        self.asked.append(f"pause {uid}")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}: a record would change")


async def test_records_stay_while_it_is_unknown_where_they_should_lead() -> None:
    times = iter((0.0, 1000.0))
    dns: Any = Dns()
    caches = make_caches(dns={"noAddressGraceSeconds": 1})
    served: Any = None  # nothing is asked about records whose addresses are unknown
    records = Records(dns, None, caches.settings, lambda: next(times), served)  # type: ignore[arg-type]
    obj = app("web", "acme", uid="uid-web", meta={"finalizers": ["decco.platform9.com/dns"]})
    entry = caches.apps.put(obj, own=False)
    assert caches.apps.resource == APPS
    for _ in range(2):
        published = await records.publish(caches.apps, entry, entry.obj(), ["web.example.net"], None)
        assert published.requeue_after is None
        assert [problem.reason for problem in published.problems or ()] == ["NoAddress"]
    assert dns.asked == ["pause uid-web"] * 2
