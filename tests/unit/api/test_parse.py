"""Parsing refuses what the API server refuses, at the same place and with the same message."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

from decco.api.crd import crds
from decco.api.formats import BYTE_SIZE
from decco.api.parse import MAX_PROBLEMS, InvalidObjectError, parse_app, parse_space
from decco.api.rules import IMMUTABLE, NO_TEXT, VALIDATIONS
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
        "spec.endpoints[1].port: must be a number from 1: choose a greater one"
    )
    assert isinstance(caught.value, TerminalError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        (
            app(httpUrlPath="/a", canaryOf="b", weight=101),
            "spec.weight: must be a number up to 100: choose a smaller one",
        ),
        (app(httpUrlPath="/a", canaryOf="b", weight=-1), "spec.weight: must be a number from 0: choose a greater one"),
        (
            space(egressPolicy="Closed"),
            "spec.egressPolicy: must be 'Open' or 'Declared': choose one of these",
        ),
        (
            space(limits={"requestBody": 0}),
            f"spec.limits.requestBody: {NO_TEXT}: it {BYTE_SIZE.message}",
        ),
        (
            space(limits={"clientCidrs": [f"10.0.{i}.0/24" for i in range(65)]}),
            "spec.limits.clientCidrs: must have at most 64 items, and has 65: remove some",
        ),
        (
            endpoints({"httpPaths": []}),
            "spec.endpoints[0].httpPaths: must have at least 1 items, and has 0: add some, or leave the field out",
        ),
    ],
)
def test_what_to_do_is_said_in_decco_s_words(obj: Obj, want: str) -> None:
    with pytest.raises(InvalidObjectError) as caught:
        parse(obj)
    assert want in caught.value.problems


def test_all_mistakes_of_a_map_are_named() -> None:
    labels = {"decco.platform9.com/app": "x", "job-name": "y", "istio.io/rev": "-", "/": ""}
    with pytest.raises(InvalidObjectError) as caught:
        parse_app(app(podMetadata={"labels": labels}))
    found = [each.removeprefix("spec.podMetadata.labels: ") for each in caught.value.problems]
    assert [each.partition(":")[0].partition(",")[0][:24] for each in found] == [
        "has a key that is not of",
        "has a value that no labe",
        "has a key that decco wri",
        "has a key that controlle",
        "has a key of a service m",
    ]


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
