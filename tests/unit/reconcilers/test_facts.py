"""Facts that are computed from an object once, when it enters its store."""

from __future__ import annotations

from typing import Any

import pytest

from decco.objects import ANNOTATION_PAUSED, SECRETS
from decco.reconcilers.facts import EndpointFacts, app_facts, shared_secret, space_facts
from tests.unit.reconcilers.world import app, shared, space, stored, tls_data


def identities(*endpoints: dict[str, Any]) -> set[str]:
    return set(app_facts(app("web", "acme", *endpoints)).identities)


@pytest.mark.parametrize(
    ("endpoint", "wanted"),
    [
        ({"name": "a"}, {"name:a"}),
        ({"name": "a", "createClearTextService": True}, {"name:a", "name:a-cleartext"}),
        ({"name": "a", "hostname": "db.example.org"}, {"name:a", "hostname:db.example.org"}),
        # One prefix in two spellings.
        ({"name": "a", "httpPath": "/x"}, {"name:a", "path:/x"}),
        ({"name": "a", "httpPath": "/x/"}, {"name:a", "path:/x"}),
        ({"name": "a", "httpPath": "/"}, {"name:a", "path:/"}),
        # A hostname that is not used is left to others.
        ({"name": "a", "httpPath": "/x", "hostname": "db.example.org"}, {"name:a", "path:/x"}),
        ({"name": "a", "isMetricsEndpoint": True, "hostname": "db.example.org"}, {"name:a"}),
    ],
)
def test_identities(endpoint: dict[str, Any], wanted: set[str]) -> None:
    assert identities(endpoint) == wanted


def test_the_short_form_is_an_endpoint_like_others() -> None:
    pod = {"containers": [{"name": "main", "image": "i", "ports": [{"containerPort": 80}]}]}
    facts = app_facts(app(pod=pod, endpoints=None, httpUrlPath="/shop", tlsCaAndCertSecretName=None))
    assert facts.identities == {"name:web", "path:/shop"}
    assert facts.endpoints == (EndpointFacts("web", None, 443, tls=False, paths=("/shop",)),)


@pytest.mark.parametrize(
    ("endpoint", "tls"),
    [
        ({}, True),
        ({"disableTlsTermination": True}, True),
        ({"httpPath": "/"}, False),
        ({"isMetricsEndpoint": True}, False),
    ],
)
def test_what_an_egress_can_lead_to(endpoint: dict[str, Any], tls: bool) -> None:
    (found,) = app_facts(app("web", "acme", {"name": "db", "tlsListenPort": 6432, **endpoint})).endpoints
    assert (found.tls, found.service_port) == (tls, 6432)


def test_secrets_and_targets() -> None:
    egresses = [
        {"localPort": 1, "endpoint": "db", "certAndCaSecretName": "client"},
        {"localPort": 2, "endpoint": "db", "spaceName": "other"},
        {"localPort": 3, "fqdn": "x.test"},
    ]
    facts = app_facts(app("web", "acme", {"name": "a", "certAndCaSecretName": "own"}, tlsEgresses=egresses))
    assert facts.secrets == {"own", "client"}
    assert facts.targets == {("", "db"), ("other", "db")}


@pytest.mark.parametrize(("value", "paused"), [("true", True), ("false", False), ("", False), ("True", False)])
def test_paused_is_one_exact_word(value: str, paused: bool) -> None:
    assert app_facts(app(meta={"annotations": {ANNOTATION_PAUSED: value}})).paused is paused
    assert not app_facts(app()).paused


def test_the_older_is_the_smaller() -> None:
    older, younger = app_facts(app("b", age=9)), app_facts(app("a", age=8))
    assert older.creation_order < younger.creation_order
    same_second = app_facts(app("b", uid="1")), app_facts(app("a", uid="2"))
    assert same_second[0].creation_order < same_second[1].creation_order


def test_wrong_objects_are_a_message() -> None:
    with pytest.raises(ValueError, match=r"spec\.endpoints\[0\]\.port"):
        app_facts(app("web", "acme", {"name": "a", "port": 0}))
    with pytest.raises(ValueError, match=r"spec\.domainName"):
        space_facts(space(domainName="Not a name"))


def test_without_the_label_it_is_not_shared() -> None:
    meta = {**shared("*"), "labels": {"decco.platform9.com/share": "yes"}}
    assert not shared_secret(stored(SECRETS, "s", "decco", meta=meta, data=tls_data())).source.shared_with
