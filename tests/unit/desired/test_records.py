"""The desired DNS names."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.app import app_names
from decco.desired.endpoints import resolve
from decco.desired.space import space_names
from tests.unit.desired.app_cases import app, space_facts, space_inputs

FQDN = space_facts().fqdn


def endpoint(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": 5432, "disableTlsTermination": True, "createDnsRecord": True, **more}


def test_a_space_wants_its_fqdn_and_only_while_it_has_it() -> None:
    assert space_names(space_inputs()) == (FQDN,)
    assert space_names(space_inputs(lost={FQDN: "older"})) == ()
    assert space_names(space_inputs(hostnames=["shop.example.org"])) == (FQDN,)


@pytest.mark.parametrize(
    ("endpoints", "names"),
    [
        ([endpoint("db")], (f"db.{FQDN}",)),
        ([endpoint("db", createDnsRecord=False)], ()),
        ([endpoint("db", hostname=f"main.{FQDN}")], (f"main.{FQDN}",)),
        ([endpoint("db", hostname="shop.example.org")], ("shop.example.org",)),
        ([endpoint("db", hostname="not.ours.example")], ()),
        ([{"name": "web", "port": 80, "httpPath": "/", "createDnsRecord": True}], ()),
        ([{"name": "stats", "port": 9, "isMetricsEndpoint": True}], ()),
        ([endpoint("b"), endpoint("a", port=1)], (f"a.{FQDN}", f"b.{FQDN}")),
    ],
)
def test_an_app_wants_the_names_of_its_tcp_endpoints_that_ask(
    endpoints: list[dict[str, Any]], names: tuple[str, ...]
) -> None:
    assert app_names(resolve(app({"endpoints": endpoints}, space={"hostnames": ["shop.example.org"]}))) == names


@pytest.mark.parametrize(
    ("lost", "taken"),
    [({FQDN: "older"}, {}), ({}, {f"hostname:db.{FQDN}": "older"}), ({}, {"name:db": "older"})],
)
def test_a_name_that_is_lost_is_not_wanted(lost: dict[str, str], taken: dict[str, str]) -> None:
    assert app_names(resolve(app({"endpoints": [endpoint("db")]}, lost=lost, taken=taken))) == ()
