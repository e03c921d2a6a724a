"""Every row of the tables, on a real API server with roles and policies in force, under the row's own identity.

`make attacks` runs all rows, `make test` a sample: the first row of each code and of each role, and every eighth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest

from tests.attacks import people
from tests.attacks.attempts import OK, SPACES, Attempt, Obj, create, edit, verdict
from tests.attacks.table_controller import PRIVILEGED
from tests.attacks.table_roles import READS
from tests.attacks.table_spaces import EVIL1, PARAMETER_DATA, http, parameters, spec
from tests.attacks.tables import TABLES
from tests.attacks.test_mutations import codes_of, policies
from tests.attacks.world import PARAMETERS, POLICIES, RBAC, World, space, until

FEW = 8


def sampled(attempts: Iterable[Attempt]) -> list[Attempt]:
    seen: set[str] = set()
    found = []
    for number, attempt in enumerate(attempts):
        if number % FEW == 0 or not {attempt.expect, str(attempt.who)} <= seen:
            found.append(attempt)
        seen |= {attempt.expect, str(attempt.who)}
    return found


def check(world: World, attempts: list[Attempt]) -> None:
    wrong = []
    for attempt in attempts:
        got = world.verdict(attempt)
        if got not in attempt.expected:
            wrong.append(f"{attempt.id}: {got or 'allowed'}")
    assert not wrong, "\n".join([f"{len(wrong)} of {len(attempts)}", *wrong])


@pytest.mark.parametrize("table", TABLES)
def test_sample(world: World, table: str) -> None:
    check(world, sampled(TABLES[table]))


@pytest.mark.full
@pytest.mark.parametrize("table", TABLES)
def test_all(world: World, table: str) -> None:
    check(world, TABLES[table])


def test_every_code_has_an_attack_and_every_table_honest_work() -> None:
    codes = {code for attempts in TABLES.values() for attempt in attempts for code in attempt.expected}
    defined = {code for _, policy in policies() for code in codes_of(policy["spec"]["validations"])}
    assert defined - codes == {"DECCO-0616", "DECCO-0617", "DECCO-0642"}, "those that need other parameters or bindings"
    for name, attempts in TABLES.items():
        if name != "roles":
            honest = sum(OK in attempt.expected for attempt in attempts)
            assert honest * 6 >= len(attempts), f"{name}: {honest} honest of {len(attempts)}"


def test_reads(world: World) -> None:
    wrong = []
    for who, path, where, may in READS:
        status = world.api(who).request("GET", f"{path.format(where)}?limit=1").status
        if status != (200 if may else 403):
            wrong.append(f"{who} {path.format(where)}: {status}")
    assert not wrong, "\n".join(wrong)


def test_messages(world: World) -> None:
    """Each names its subject, says what to do, and ends with its code."""
    seen: set[str] = set()
    wrong = []
    for attempts in TABLES.values():
        for attempt in attempts:
            if attempt.expect in seen or not attempt.expect.startswith("DECCO-"):
                continue
            seen.add(attempt.expect)
            message = str(json.loads(world.send(attempt).body)["message"])
            said = message.partition(" denied request: ")[2]
            asks = "ask your cluster administrator" in said or said.endswith("correct the list [DECCO-0608]")
            if not (said.endswith("]") and asks and len(said) < 600 and "  " not in said):
                wrong.append(message)
    assert not wrong, "\n".join(wrong)


# Parameters and bindings that a test changes ----------------------------------------------------------------------


@pytest.fixture
def parameterised(world: World) -> Iterator[World]:
    """With other parameters than manifests/policies has."""
    patch = {"Content-Type": "application/merge-patch+json"}
    assert world.cp.request("PATCH", PARAMETERS, {"data": PARAMETER_DATA}, headers=patch).status == 200
    [first] = [each for each in parameters() if each.expect == "DECCO-0617"][:1]
    until(lambda: world.verdict(first) in first.expected, "the parameters")
    yield world
    assert world.cp.request("PATCH", PARAMETERS, {"data": None}, headers=patch).status == 200
    until(lambda: world.verdict(first) == OK, "the former parameters")


def test_parameters(parameterised: World) -> None:
    check(parameterised, parameters())


def test_without_parameters_nothing_of_them_counts(world: World) -> None:
    check(
        world,
        [*create("creates a Space", people.OPERATOR_A, OK, SPACES, space("n", "evil.test", isolation="Standard"))],
    )
    check(world, [*edit("sets a quota", people.OPERATOR_A, OK, EVIL1, spec(resourceQuota={"hard": {"pods": "9"}}))])


def test_a_missing_parameter_object_denies(world: World) -> None:
    stored = world.cp.request("GET", PARAMETERS).json()
    attempt = next(create("creates a Space", people.OPERATOR_A, OK, SPACES, space("n", "evil.test")))
    assert world.cp.request("DELETE", PARAMETERS).status == 200
    try:
        said = until(lambda: world.verdict(attempt) or None, "the refusal")
        assert "decco-policy" in said or "param" in said.lower(), said
    finally:
        made = {key: value for key, value in stored["metadata"].items() if key in {"name", "labels"}}
        world.cp.create(PARAMETERS.rpartition("/")[0], {"metadata": made})
        until(lambda: world.verdict(attempt) == OK, "the parameters")


def test_the_controller_without_privileged(world: World) -> None:
    path = f"{RBAC}/clusterrolebindings/decco-controller-privileged"
    stored = world.cp.request("GET", path).json()
    assert world.cp.request("DELETE", path).status == 200
    try:
        until(lambda: world.verdict(PRIVILEGED[0]) != OK, "the missing binding")
        check(world, PRIVILEGED)
    finally:
        world.cp.create(path.rpartition("/")[0], {**stored, "metadata": {"name": stored["metadata"]["name"]}})
        until(lambda: world.verdict(PRIVILEGED[0]) == OK, "the binding")


# Limits -----------------------------------------------------------------------------------------------------------


def test_the_policies_are_well_typed(world: World) -> None:
    """The API server type-checks policies and writes what it finds into their status."""

    def checked() -> dict[str, object] | None:
        items = world.cp.request("GET", POLICIES).json()["items"]
        ours = [each for each in items if each["metadata"]["name"].endswith(".decco.platform9.com")]
        if not all("typeChecking" in each.get("status", {}) for each in ours):
            return None
        return {each["metadata"]["name"]: each["status"]["typeChecking"] for each in ours}

    found = until(checked, "type checks")
    # The fields isolation and httpHostnames are read as dynamic values, so their absence is no warning.
    assert {name: warnings for name, warnings in found.items() if warnings} == {}


LONG = [f"{'h' * 60}{i:03d}.{'x' * 60}.{'y' * 60}.{'z' * 50}.evil.test" for i in range(60)]


def names_of_tls(names: list[str]) -> Obj:
    return {"hostnames": names}


def names_of_http(names: list[str]) -> Obj:
    """As many as fit into the listeners of a Gateway."""
    return {"hostnames": names[:31], "httpHostnames": http(*names[31:46])}


def test_the_largest_spaces_stay_within_the_limits(world: World) -> None:
    """60 names, or 31 + 15, of 250 characters, eight foreign domains among them, labels and annotations of 250 KB."""
    foreign = [f"{'h' * 60}{i:03d}.d{i % 8 + 1}.test" for i in range(60)]
    many = {f"k{i}": "v" * 40 for i in range(3000)}
    meta = {
        "annotations": many,
        "labels": {f"l{i}": "v" for i in range(3000)},
        "finalizers": [f"a.example/{i}" for i in range(200)],
    }
    rows: list[Attempt] = []
    for named in (names_of_tls, names_of_http):
        big, alien = (space("n", "evil.test", meta, **named(names)) for names in (LONG, foreign))
        changed = {**alien, "metadata": meta}
        rows += [
            *create("creates the largest Space", people.OPERATOR_A, OK, SPACES, big),
            *create("creates the largest Space with foreign names", people.OPERATOR_MANY, OK, SPACES, alien),
            *create("creates the largest Space with foreign names", people.OPERATOR_A, "DECCO-0605", SPACES, alien),
            *edit(
                "takes a foreign name into it", people.OPERATOR_A, "DECCO-0605", EVIL1, changed, ways=("merge", "put")
            ),
        ]
    check(world, rows)


def test_the_largest_namespaces_stay_within_the_limits(world: World) -> None:
    meta = {
        "name": "n",
        "annotations": {f"k{i}": "v" * 60 for i in range(3000)},
        "labels": {f"l{i}": "v" * 60 for i in range(5000)},
    }
    honest = Attempt("creates a namespace", people.MAKER, OK, "create", "/api/v1/namespaces", {"metadata": meta})
    forged = {**meta, "labels": {**meta["labels"], "decco.platform9.com/space": "n"}}  # type: ignore[dict-item]
    attack = Attempt(
        "creates a forged one", people.MAKER, "DECCO-0630", "create", "/api/v1/namespaces", {"metadata": forged}
    )
    check(world, [honest, attack])


def test_verdicts_are_of_the_policies(world: World) -> None:
    """A row that expects RBAC is not refused by a policy, and the other way round: the two say different things."""
    attempt = Attempt("reads", people.STRANGER, OK, "create", SPACES, space("n", "evil.test"))
    answer = attempt.send(world.cp.api, world.api(people.STRANGER))
    assert (answer.status, verdict(answer)) == (403, "RBAC")
