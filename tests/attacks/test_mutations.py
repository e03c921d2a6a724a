"""Every part of the policies is necessary: without it a row of the tables has another answer.

A mutant is one policy with one change: a validation removed, an authorization check that always agrees or never does,
a condition for the evaluation removed, or a neutral value of a variable (``neutral.py``). It is stored on the live
cluster, and one row must be answered differently: an attack that succeeds, or honest work that is refused. A mutant
that no row notices fails the test: the part has no use, or the tables lack a row.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from testbed.manifests import MANIFESTS, read
from tests.attacks.attempts import OK, Attempt, Obj
from tests.attacks.neutral import NEUTRAL
from tests.attacks.table_spaces import PARAMETER_DATA, parameters
from tests.attacks.table_tenants import TENANT_TABLES
from tests.attacks.tables import TABLES
from tests.attacks.world import PARAMETERS, POLICIES, World, until

SECONDS = 20.0
"""How long a mutant may go unnoticed; the API server reads policies once a second."""
SAMPLE = 15
"""`make test` runs each such mutant, `make attacks` all."""
ELSEWHERE = frozenset({"space-parameters"})
"""Policies whose rows need other parameters: test_parameter_mutants."""

_CHECK = re.compile(r"authorizer(?:\s*\.\w+\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))+?\s*\.allowed\(\)")
_CODE = re.compile(r"DECCO-\d{4}")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``codes`` are those of the validations that may have changed."""

    id: str
    policy: Obj
    codes: frozenset[str]
    opens: bool
    about: str = ""
    """Words in what or path of the rows that may notice it."""

    def noticed_by(self, attempt: Attempt, got: str) -> bool:
        if self.opens:
            return got == OK and attempt.expect != OK
        return got not in attempt.expected and attempt.expect == OK


def policies() -> Iterator[tuple[str, Obj]]:
    for obj in read(sorted((MANIFESTS / "policies").glob("*.yaml"))):
        if obj["kind"] == "ValidatingAdmissionPolicy":
            yield obj["metadata"]["name"].partition(".")[0], obj


def codes_of(part: Any) -> frozenset[str]:
    return frozenset(_CODE.findall(str(part)))


def mutants(short: str, policy: Obj) -> Iterator[Mutant]:
    spec = policy["spec"]
    everything = codes_of(spec["validations"])
    for i, validation in enumerate(spec["validations"]):
        if len(spec["validations"]) > 1:
            changed = copy.deepcopy(policy)
            del changed["spec"]["validations"][i]
        else:
            changed = copy.deepcopy(policy)
            changed["spec"]["validations"][0]["expression"] = "true"
        yield Mutant(f"{short}: without validation {i}", changed, codes_of(validation), opens=True)
    for part in ("variables", "validations"):
        for i, each in enumerate(spec.get(part, [])):
            for j, found in enumerate(_CHECK.finditer(each["expression"])):
                for value in ("true", "false"):
                    changed = copy.deepcopy(policy)
                    text = each["expression"]
                    changed["spec"][part][i]["expression"] = f"{text[: found.start()]}{value}{text[found.end() :]}"
                    name = each.get("name", f"validation {i}")
                    codes = everything if part == "variables" else codes_of(each)
                    yield Mutant(f"{short}: {name}, check {j} is {value}", changed, codes, opens=value == "true")
    for i, condition in enumerate(spec.get("matchConditions", [])):
        changed = copy.deepcopy(policy)
        del changed["spec"]["matchConditions"][i]
        if condition["name"] == "annotated":
            continue  # saves the evaluation only
        yield Mutant(f"{short}: without condition {condition['name']}", changed, everything, opens=False)
    for each in NEUTRAL:
        if each.policy == short:
            changed = copy.deepcopy(policy)
            [variable] = [found for found in changed["spec"]["variables"] if found["name"] == each.variable]
            variable["expression"] = each.value
            yield Mutant(f"{short}: {each.variable} is {each.value}", changed, everything, each.opens, each.about)


MUTANTS = [mutant for short, policy in policies() for mutant in mutants(short, policy)]
ROWS = [attempt for attempts in TABLES.values() for attempt in attempts]


TABLES_OF = {
    "app-privileges": ("apps",),
    "namespace-labels": ("namespaces",),
    "controller": ("controller", "apps"),
    "status": ("spaces", "apps"),
    **{name: (name,) for name in TENANT_TABLES},
}
ABOUT = {"space-hostnames": ("name", "domain"), "space-transfer": ("transfer",)}
"""Words of the rows that may notice a mutant that refuses too much."""


def rows_for(mutant: Mutant) -> list[Attempt]:
    """The rows that may notice it, by one technique each: PUT and apply reach the same expressions."""
    short = mutant.id.partition(":")[0]
    if mutant.opens:
        attacks = [each for each in ROWS if each.expected & mutant.codes]
        return _by_technique([each for each in attacks if mutant.about in f"{each.what} {each.path}"])
    if mutant.about:
        honest = [each for each in TABLES[short] if each.expect == OK]
        return _by_technique([each for each in honest if mutant.about in f"{each.what} {each.path}"])
    names, about = TABLES_OF.get(short, ("spaces",)), ABOUT.get(short, ("",))
    honest = [each for name in names for each in TABLES[name] if each.expect == OK]
    return _by_technique([each for each in honest if any(word in each.what for word in about)])


def _by_technique(rows: list[Attempt]) -> list[Attempt]:
    """One row of those that differ in their technique only."""
    return list({(each.who, each.what, each.path): each for each in reversed(rows)}.values())[::-1]


def notice(world: World, mutant: Mutant, rows: list[Attempt]) -> Attempt | None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for attempt in rows:
            if mutant.noticed_by(attempt, world.verdict(attempt)):
                return attempt
        time.sleep(0.2)
    return None


def run(world: World, mutant: Mutant, rows: list[Attempt]) -> None:
    assert rows, f"no row has one of the codes {', '.join(sorted(mutant.codes))}"
    original = dict(policies())[mutant.id.partition(":")[0]]
    replace(world, mutant.policy)
    try:
        noticed = notice(world, mutant, rows)
    finally:
        replace(world, original)
    assert noticed is not None, f"{mutant.id}: no attack succeeds and no honest work is refused"
    until(lambda: world.verdict(noticed) in noticed.expected, "the original")


def replace(world: World, policy: Obj) -> None:
    """By PUT: server-side apply would merge lists. The type checker writes the status meanwhile."""
    path = f"{POLICIES}/{policy['metadata']['name']}"

    def stored() -> bool:
        version = world.cp.request("GET", path).json()["metadata"]["resourceVersion"]
        changed = {**policy, "metadata": {**policy["metadata"], "resourceVersion": version}}
        answer = world.cp.request("PUT", path, changed)
        assert answer.status in {200, 409}, answer.body.decode()[:2000]
        return answer.status == 200

    until(stored, f"the policy {policy['metadata']['name']}")


def of(*, elsewhere: bool) -> list[Any]:
    chosen = [mutant for mutant in MUTANTS if (mutant.id.partition(":")[0] in ELSEWHERE) is elsewhere]
    return [
        pytest.param(mutant, id=mutant.id, marks=[] if i % SAMPLE == 0 else pytest.mark.full)
        for i, mutant in enumerate(chosen)
        if "DECCO-0642" not in mutant.codes or len(mutant.codes) > 1
    ]


@pytest.mark.parametrize("mutant", of(elsewhere=False))
def test_mutant(world: World, mutant: Mutant) -> None:
    run(world, mutant, rows_for(mutant))


@pytest.fixture(scope="module")
def parameterised(world: World) -> Iterator[World]:
    patch = {"Content-Type": "application/merge-patch+json"}
    assert world.cp.request("PATCH", PARAMETERS, {"data": PARAMETER_DATA}, headers=patch).status == 200
    attack = next(attempt for attempt in parameters() if attempt.expect == "DECCO-0617")
    until(lambda: world.verdict(attack) in attack.expected, "the parameters")
    yield world
    assert world.cp.request("PATCH", PARAMETERS, {"data": None}, headers=patch).status == 200
    until(lambda: world.verdict(attack) == OK, "the former parameters")


@pytest.mark.full
@pytest.mark.parametrize("mutant", of(elsewhere=True))
def test_parameter_mutants(parameterised: World, mutant: Mutant) -> None:
    run(parameterised, mutant, parameters())
