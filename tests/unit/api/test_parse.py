"""Parsing refuses what the API server refuses, at the same place and with the same message."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

from decco.api.crd import crds
from decco.api.parse import MAX_PROBLEMS, InvalidObjectError, parse_app, parse_space
from decco.api.rules import IMMUTABLE, VALIDATIONS
from decco.api.topology import ZoneSpread
from decco.api.types import Egress, Mesh, PodSecurityLevel
from decco.errors import TerminalError
from tests.unit.api.admission_table import ROWS, Obj, Row, app, endpoints, put, space


def parse(obj: Obj) -> Any:
    return parse_space(obj) if obj["kind"] == "Space" else parse_app(obj)


@functools.cache
def rules_of_the_crds() -> dict[str, set[str]]:
    """Every rule of the CRDs: the field it blames, without list indices -> the messages there."""
    found: dict[str, set[str]] = {}

    def walk(node: dict[str, Any], path: str) -> None:
        for rule in node.get(VALIDATIONS, ()):
            if rule["rule"] != IMMUTABLE:  # has no wrong object, only a wrong change: see test_admission.py
                found.setdefault((path + rule.get("fieldPath", "")).removeprefix("."), set()).add(rule["message"])
        for name, child in node.get("properties", {}).items():
            walk(child, f"{path}.{name}")
        if "items" in node:
            walk(node["items"], path + "[]")

    for crd in crds():
        walk(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "")
    return found


def test_every_rule_has_a_row() -> None:
    shown: dict[str, set[str]] = {}
    for row in ROWS:
        shown.setdefault(re.sub(r"\[\d+\]", "[]", row.field), set()).add(row.says)
    missing = [
        f"{field}: {message}"
        for field, messages in rules_of_the_crds().items()
        for message in messages
        if not any(says in message for says in shown.get(field, ()))
    ]
    assert missing == []


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS])
def test_a_wrong_object_is_distinguished_from_a_similar_good_one(row: Row) -> None:
    parse(row.good)
    if not row.parsed:
        parse(row.bad)
        return
    with pytest.raises(InvalidObjectError) as caught:
        parse(row.bad)
    problems = caught.value.problems
    at = row.parsed_at or row.field
    matching = [problem for problem in problems if problem.startswith(f"{at}: ")]
    assert matching, problems
    known = rules_of_the_crds().get(re.sub(r"\[\d+\]", "[]", at), set())
    if any(row.says in message for message in known):
        assert any(row.says in problem for problem in matching), problems


def test_the_error_is_one_message_without_the_wrong_text() -> None:
    bad = endpoints({"hostname": "EVIL\nccept = 1"}, {"port": 0})
    with pytest.raises(InvalidObjectError) as caught:
        parse_app(bad)
    assert str(caught.value) == (
        "App is not valid by today's rules: spec.endpoints[0].hostname: must be a DNS name in lower case, such as "
        "shop.example.com: no address, port, wildcard or dot at the end; "
        "spec.endpoints[1].port: Input should be greater than or equal to 1"
    )
    assert isinstance(caught.value, TerminalError)
    assert isinstance(caught.value, ValueError)


def test_only_the_first_problems_are_reported() -> None:
    with pytest.raises(InvalidObjectError, match=r"; and 3 more$") as caught:
        parse_app(endpoints(*({"port": 0} for _ in range(MAX_PROBLEMS + 3))))
    assert len(caught.value.problems) == MAX_PROBLEMS + 3


@pytest.mark.parametrize(
    "spec",
    [None, [], "x", 1, {"pod": []}, {"pod": {"containers": [1]}}, {"pod": {"containers": [{"ports": [1]}]}},
     {"pod": {"containers": [{"ports": {}}]}}, {"pod": {"containers": [{}]}, "endpoints": {"a": 1}},
     {"pod": {"containers": [{}]}, "endpoints": [None]}, {"pod": {"containers": [{}]}, "tlsEgresses": "x"}],
)  # fmt: skip
def test_nonsense_is_an_error_of_ours(spec: Any) -> None:
    with pytest.raises(InvalidObjectError):
        parse_app({"kind": "App", "metadata": {"name": "a"}, "spec": spec})
    with pytest.raises(InvalidObjectError):
        parse_space({"kind": "Space", "metadata": {"name": "a"}, "spec": spec})


def test_defaults_of_a_space() -> None:
    spec = parse_space(space())
    assert (spec.pod_security, spec.mesh) == (PodSecurityLevel.BASELINE, Mesh.NONE)
    assert spec.topology.zone_spread is ZoneSpread.OFF
    assert spec.hostnames == ()


def test_absence_of_endpoints_is_not_an_empty_list() -> None:
    assert parse_app(app()).endpoints is None
    assert parse_app(app(endpoints=[])).endpoints == ()


@pytest.mark.parametrize("spelling", ["tlsEgresses", "egresses"])
def test_both_spellings_of_egresses_are_read(spelling: str) -> None:
    spec = parse_app(app(**{spelling: [{"localPort": 1, "endpoint": "db", "spaceName": "other"}]}))
    assert spec.tls_egresses == (Egress(local_port=1, endpoint="db", space_name="other"),)


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert parse_space(put(space(), "spec.future", {"x": 1})) == parse_space(space())


@pytest.mark.parametrize(("ports", "first"), [((8080, 9090), 8080), ((), None)])
def test_first_port(ports: tuple[int, ...], first: int | None) -> None:
    container = {"name": "c", "ports": [{"containerPort": port} for port in ports]}
    assert parse_app(app(pod={"containers": [container, {"ports": [{"containerPort": 1}]}]})).first_port == first
