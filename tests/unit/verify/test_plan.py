"""The plan is complete in itself: names, codes, what needs what."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from decco.messages import Category, Severity, messages
from decco.verify import report
from decco.verify.groups.writes import WRITES
from decco.verify.plan import BY_NAME, GROUPS, PROBES, needed, ordered
from decco.verify.probe import Probe


async def _nothing(_: object) -> None:
    return


def probe(name: str, *after: str) -> Probe:
    return Probe(name, "text", "verify-edge", _nothing, after=after)


def test_names_are_unique_and_there_are_enough() -> None:
    assert [name for name, count in Counter(each.name for each in PROBES).items() if count > 1] == []
    assert [each.name for each in PROBES if not re.fullmatch(r"[a-z]+/[a-z0-9]+(-[a-z0-9]+)*", each.name)] == []
    assert len(PROBES) >= 80


def test_each_probe_has_a_failure_of_the_catalogue() -> None:
    findings = messages(Category.FINDING)
    assert [each.name for each in PROBES if each.message not in findings] == []
    assert {findings[each.message].severity for each in PROBES} == {Severity.FAILURE}


def test_only_the_controller_and_dns_need_nothing() -> None:
    """A refusal by something that does not answer at all is no evidence, so probes need others."""
    assert {each.name for each in PROBES if not each.after} == {"setup/controller", "dns/answers"}


def test_the_order_is_possible_and_circles_are_found() -> None:
    assert {each.name for each in ordered(PROBES)} == set(BY_NAME)
    with pytest.raises(ValueError, match="a/x, a/y"):
        ordered([probe("a/x", "a/y"), probe("a/y", "a/x")])
    with pytest.raises(ValueError, match="a/x"):
        ordered([probe("a/x", "a/nothing")])


def test_a_group_brings_what_it_needs() -> None:
    chosen = needed(["mtls"], [])
    assert {each.name for each in PROBES if each.group == "mtls"} <= chosen
    assert {"setup/controller", "setup/space-a", "setup/app-a-web", "routing/edge"} <= chosen
    assert "setup/app-c-web" not in chosen
    assert needed([], []) == set(BY_NAME)
    assert {BY_NAME[name].group for name in needed([], ["isolation"])} == set(GROUPS) - {"isolation"}


def test_the_list_has_each_probe_with_its_code() -> None:
    lines = report.listing().splitlines()
    assert len(lines) == len(PROBES)
    assert all(re.match(r"DECCO-08\d\d  [a-z]+/\S+ +\S", line) for line in lines), lines
    data = json.loads(report.listing_as_json())
    assert [each["name"] for each in data] == list(BY_NAME)
    assert all(each["promise"] and re.fullmatch(r"DECCO-08\d\d", each["code"]) for each in data)


def test_each_policy_is_tried() -> None:
    """A policy without a probe could be missing in a cluster, and nobody would see it."""
    folder = Path(__file__).parents[3] / "manifests" / "policies"
    policies = {path.stem for path in folder.glob("*.yaml")} - {"0-parameters"}
    tried = {name for each in WRITES if each.policy for name in each.policy.split("|")}
    assert tried <= policies
    assert policies - tried == {"controller", "status", "space-transfer", "space-parameters", "tenant-owners"}, (
        "they need the controller's identity, the subresource, a granted name, a parameter or the UID of a Space"
    )
    assert {each.name for each in WRITES if not each.policy} >= {"listeners-own", "deployment-own", "pod-isolated"}
