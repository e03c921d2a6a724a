from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from decco.api.types import SpaceSpec
from decco.desired.grants import parse_transfers
from decco.desired.model import (
    SecretCopy,
    SecretFacts,
    SecretState,
    SecretView,
    SpaceFacts,
    SpaceInputs,
)
from decco.desired.space import space_children
from decco.objects import (
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    Obj,
)
from decco.settings import Settings
from tests.unit.desired.app_cases import SERVED, claims_of
from tests.unit.goldens import check_golden

NOW = datetime(2024, 6, 1, tzinfo=UTC)
NO_ROUTING = Settings.model_validate({"routing": {"backend": "none"}})
SHARED = Settings.model_validate({"routing": {"parentGateway": "edge/shared"}})


def inputs(
    settings: Settings = NO_ROUTING,
    lost: Mapping[str, str] | None = None,
    copies: Iterable[SecretCopy] = (),
    secrets: Iterable[SecretView] = (),
    record: str = "",
    listed: Iterable[str] = (),
    **spec: Any,
) -> SpaceInputs:
    """``listed``: the field ``secrets`` of the spec."""
    facts = SpaceFacts(
        name="acme",
        uid="space-uid",
        generation=3,
        created="2024-01-01T00:00:00Z",
        spec=SpaceSpec.model_validate({"domainName": "example.com", "secrets": list(listed), **spec}),
    )
    return SpaceInputs(
        space=facts,
        settings=settings,
        served=SERVED,
        claims=claims_of(facts, lost),
        copies={source.name: source for source in copies},
        secrets={view.name: view for view in secrets},
        now=NOW,
        record=record,
    )


def source(name: str, secret_type: str = "kubernetes.io/tls") -> SecretCopy:
    data = {"tls.crt": "Y3J0", "tls.key": "a2V5", "ca.crt": "Y2E="}
    return SecretCopy(name=name, type=secret_type, data=data)


def seen(name: str) -> SecretView:
    return SecretView(name, SecretState.COPY, SecretFacts(type="kubernetes.io/tls", digest="d", has_ca=True))


FULL = inputs(
    settings=SHARED,
    copies=[source("tcp", "Opaque"), source("http")],
    secrets=[seen("http"), seen("tcp")],
    project="blue",
    httpCertSecretName="http",
    tcpCertAndCaSecretName="tcp",
    hostnames=["shop.example.org"],
    podSecurity="restricted",
    runtimeClassName="kata",
    resourceQuota={"hard": {"pods": "10", "requests.cpu": 4}},
    limitRange={"limits": [{"type": "Container", "default": {"memory": "512Mi"}}]},
    mesh="Istio",
    topology={"zoneSpread": "Require"},
)
CASES = {
    "plain": inputs(),
    "own-gateway": inputs(
        settings=Settings(), copies=[source("http")], secrets=[seen("http")], httpCertSecretName="http"
    ),
    "full": FULL,
    "lost-fqdn": replace(FULL, claims=claims_of(FULL.space, {"acme.example.com": "older"})),
    "secrets": inputs(
        copies=[
            SecretCopy("regcred", "kubernetes.io/dockerconfigjson", {".dockerconfigjson": "e30="}),
            SecretCopy("app-config", "Opaque", {"token": "dG9rZW4="}),
        ],
        secrets=[seen("regcred"), seen("app-config")],
        listed=("app-config", "regcred"),
    ),
    "empty-limits": inputs(resourceQuota={}, limitRange={}),
}


@pytest.mark.parametrize("case", CASES)
def test_children(case: str) -> None:
    check_golden(f"space/{case}", [child.obj for child in space_children(CASES[case])])


@pytest.mark.parametrize("case", CASES)
def test_what_holds_for_every_child(case: str) -> None:
    for child in space_children(CASES[case]):
        obj, meta = child.obj, child.obj["metadata"]
        assert (obj["apiVersion"], obj["kind"]) == (child.resource.api_version, child.resource.kind)
        assert meta.get("namespace") == ("acme" if child.resource.namespaced else None)
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "decco"
        assert meta["labels"]["decco.platform9.com/space"] == "acme"
        [owner] = meta["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("Space", "space-uid", True)


@pytest.mark.parametrize("case", CASES)
def test_the_namespace_is_first_and_what_can_be_reached_comes_after_isolation(case: str) -> None:
    """Apps are made once the policy is there: quota, limits and Secrets come before it, listeners and routes after."""
    kinds = [child.resource for child in space_children(CASES[case])]
    policy, policies = kinds.index(NETWORK_POLICIES), kinds.count(NETWORK_POLICIES)
    assert space_children(CASES[case])[policy].obj["metadata"]["name"] == "decco"
    assert kinds[0] == NAMESPACES
    assert set(kinds[1:policy]) <= {RESOURCE_QUOTAS, LIMIT_RANGES, SECRETS}
    assert not set(kinds[policy + policies :]) & {NAMESPACES, RESOURCE_QUOTAS, LIMIT_RANGES, SECRETS, NETWORK_POLICIES}


@pytest.mark.parametrize("case", CASES)
def test_equal_inputs_give_equal_children_and_stay_as_they_are(case: str) -> None:
    before = deepcopy(CASES[case])
    assert space_children(CASES[case]) == space_children(CASES[case])
    assert CASES[case] == before


def namespace(given: SpaceInputs) -> Obj:
    meta: Obj = space_children(given)[0].obj["metadata"]
    return meta


@pytest.mark.parametrize(
    ("spec", "label", "value"),
    [
        ({}, "decco.platform9.com/project", None),
        ({"project": "blue"}, "decco.platform9.com/project", "blue"),
        ({}, "pod-security.kubernetes.io/enforce", "baseline"),
        ({"podSecurity": "privileged"}, "pod-security.kubernetes.io/enforce", "privileged"),
        ({}, "istio.io/dataplane-mode", None),
        ({"mesh": "None"}, "istio.io/dataplane-mode", None),
        ({"mesh": "Istio"}, "istio.io/dataplane-mode", "ambient"),
    ],
)
def test_a_label_that_goes_away_is_taken_back(spec: Obj, label: str, value: str | None) -> None:
    labels = namespace(inputs(**spec))["labels"]
    assert label in labels  # None is not "no opinion" but "must be absent"
    assert labels[label] == value


def test_the_namespace_names_only_a_host_that_the_space_has() -> None:
    annotation = "decco.platform9.com/fqdn"
    assert namespace(inputs())["annotations"][annotation] == "acme.example.com"
    other = inputs(lost={"shop.example.org": "older"}, hostnames=["shop.example.org"])
    assert namespace(other)["annotations"][annotation] == "acme.example.com"
    lost = inputs(lost={"acme.example.com": "older"})
    assert set(namespace(lost)["annotations"].values()) == {None}


def test_the_namespace_records_the_grants_of_host_names() -> None:
    record = ".acme.example.com@2024-01-01T00:00:00Z/1"
    assert namespace(inputs(record=record))["annotations"]["decco.platform9.com/hostnames"] == record
    moved = {"b.example.org": "former", "a.example.org": "other"}
    text = namespace(replace(inputs(), transferred=moved))["annotations"]["decco.platform9.com/transferred"]
    assert text == "a.example.org=other,b.example.org=former"
    assert parse_transfers(text) == moved


def test_a_copy_has_nothing_of_its_source_but_type_and_data() -> None:
    given = inputs(copies=[source("http", "example.com/own-type")])
    [copy] = [child.obj for child in space_children(given) if child.resource.kind == "Secret"]
    assert copy["type"] == "example.com/own-type"
    assert copy["data"] == source("http").data
    assert copy["data"] is not given.copies["http"].data
    assert "decco.platform9.com/share" not in copy["metadata"]["labels"]  # a copy is not a source
    assert copy["metadata"]["annotations"] == {"decco.platform9.com/copied-from": "decco/http"}


def test_the_order_of_copies_is_fixed() -> None:
    one, other = source("a"), source("b")
    assert space_children(inputs(copies=[one, other])) == space_children(inputs(copies=[other, one]))
