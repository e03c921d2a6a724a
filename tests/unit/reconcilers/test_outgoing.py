"""Targets of egresses, and the addresses of names, as the reconcilers read them from the caches and the resolver."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from decco.desired.model import EgressTarget, NamedAddresses
from decco.objects import Key, Obj
from decco.reconcilers.caches import Caches
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.facts import AppFacts
from decco.reconcilers.outgoing import ResolvedAddresses, egress_targets
from decco.resolver.model import Known
from tests.unit.reconcilers.world import app, facts_of, make_caches, space

NAME = "db.partner.example"


def targets(*objects: Obj, with_pods: bool = False) -> dict[tuple[str, str], EgressTarget]:
    """Of App client in Space acme, which has an egress to endpoint db of Space data."""
    caches: Caches = make_caches()
    EventHandlers(caches).connect()  # they keep the index of endpoints
    egress = {"localPort": 9000, "endpoint": "db", "spaceName": "data"}
    for obj in (*objects, app("client", "acme", tlsEgresses=[egress])):
        (caches.spaces if obj["kind"] == "Space" else caches.apps).put(obj, own=False)
    entry = caches.apps.get(Key("acme", "client"))
    assert entry is not None
    assert isinstance(entry.facts, AppFacts)
    return egress_targets(caches, facts_of(caches, "acme"), entry.facts, with_pods=with_pods)


@pytest.mark.parametrize(
    ("project", "found"),
    [(None, True), ("red", True), ("blue", False)],
    ids=["open", "same project", "another project"],
)
def test_a_target_that_does_not_let_the_client_in_is_not_shown(project: str | None, found: bool) -> None:
    data: dict[str, Any] = {} if project is None else {"project": project}
    result = targets(space(project="red"), space("data", **data), app("db", "data", {"name": "db"}))
    assert list(result) == ([("data", "db")] if found else [])


def test_an_endpoint_that_does_not_exist_is_no_target() -> None:
    assert targets(space(), space("data"), app("db", "data", {"name": "another"})) == {}
    assert targets(space(), app("db", "data", {"name": "db"})) == {}


@pytest.mark.parametrize("with_pods", [True, False])
def test_a_target_has_the_names_of_its_service(with_pods: bool) -> None:
    endpoint = {"name": "db", "port": 5432, "tlsListenPort": 8443}
    data = space("data", tcpCertAndCaSecretName="tls")
    found = targets(space(), data, app("db", "data", endpoint), with_pods=with_pods)["data", "db"]
    assert (found.host, found.port, found.hostname) == ("db.data.svc", 8443, "db.data.example.net")
    assert (found.pods is not None) == with_pods


def test_what_the_resolver_knows_of_each_name_reaches_the_app() -> None:
    resolver: Any = Mock()
    known = {NAME: Known(("192.0.2.1",)), "new.example": Known(pending=True), "no.example": Known(error="none")}
    resolver.ensure = Mock(return_value=known)
    entry: Any = Mock(uid="1", key=Key("acme", "client"))
    found = ResolvedAddresses(resolver).of_app(entry, frozenset(known), {NAME: ("192.0.2.9",)})
    assert found == {
        NAME: NamedAddresses(("192.0.2.1",)),
        "new.example": NamedAddresses(pending=True),
        "no.example": NamedAddresses(error="none"),
    }
    resolver.ensure.assert_called_once_with("1", frozenset(known), group="acme", former={NAME: ("192.0.2.9",)})
