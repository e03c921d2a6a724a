"""Generated specs (tests/generated/specs.py) on the real API server: who accepts them, and what decco makes of them.

``make generated`` runs all, and ``make integration`` a sample of them, the same in each run.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from decco.api.parse import InvalidObjectError, parse_app, parse_space
from testbed.controlplane import ControlPlane
from tests.generated.lives import GOOD_APP, GOOD_SPACE, Lane, accept_anything, kinds_of
from tests.generated.specs import Case, cases
from tests.integration.harness import Cluster, Decco, own_control_plane
from tests.integration.loop import assert_no_defects
from tests.integration.test_admission import post
from tests.unit.api.admission_table import Obj, app, pod, space

WHOLE = bool(os.environ.get("GENERATED"))
"""Set by ``make generated``."""
SAMPLE = 100
"""Cases of each good spec that are compared in ``make integration``."""
LIVES = 12
"""Cases that decco reconciles there, with the CRDs that store everything."""
LANES = 6

GOOD: dict[str, tuple[str, Obj]] = {
    "Space": ("Space", {"domainName": "example.com"}),
    "App": ("App", {"pod": pod(8080, 9090)}),
    "App with endpoints": (
        "App",
        {
            "pod": pod(8080, 9090),
            "endpoints": [{"name": "first", "port": 8080}, {"name": "second", "port": 9090, "httpPath": "/second"}],
            "tlsEgresses": [{"localPort": 9000, "fqdn": "db.example.net"}],
        },
    ),
}


def sample(found: list[Any], count: int) -> list[Any]:
    return found if WHOLE else random.Random("generated").sample(found, min(count, len(found)))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", GOOD)
def test_the_model_and_the_api_server_agree(control_plane: ControlPlane, name: str) -> None:
    kind, good = GOOD[name]
    make, parse = (space, parse_space) if kind == "Space" else (app, parse_app)
    counts: Counter[str] = Counter()
    differ = []
    for case in sample(list(cases(kind, good)), SAMPLE):
        obj = make() | {"spec": case.spec}
        answer = post(control_plane, obj, "?dryRun=All&fieldValidation=Ignore")
        assert answer.status in (201, 400, 422, 413), (case.path, answer.status, answer.body[:300])
        accepted = answer.status == 201
        counts["accepted" if accepted else "refused"] += 1
        # What the server has stored is what decco reads: without unknown fields, with defaults.
        problem = problem_of(parse, answer.json() if accepted else obj)
        if (accepted and problem) or not (accepted or problem or is_harmless(case.value)):
            differ.append(
                f"{case.path} = {str(case.value)[:60]!r}: {answer.status}, and parsed: {problem or 'accepted'}"
            )
    print(f"{name}: {dict(counts)}")
    assert min(counts.values()) > 10, counts
    assert not differ, "\n".join(differ)


def is_harmless(value: Any) -> bool:
    """Whether it is a scalar in another form, or a list with an item twice."""
    if isinstance(value, list):
        return len(value) == 2 and value[0] == value[1]
    return value in ("true", "1", 0, 1)


def problem_of(parse: Any, obj: Obj) -> str:
    try:
        parse(obj)
    except InvalidObjectError as error:
        return str(error)
    return ""


# Lives: good, generated, good ---------------------------------------------------------------------------------------


FORMS = ("without schema", "of this version") if WHOLE else ("without schema",)


@pytest.fixture(scope="module", params=FORMS)
def lanes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    """Spaces with an App each, on a control plane of their own. No controller of Kubernetes runs there: a generated
    number of replicas would become pods.

    Without schema every spec is stored, as one may be that is older than the CRD.
    """
    with own_control_plane() as cp:
        assert cp._manager is not None
        cp.processes.stop(cp._manager, 0)
        if request.param == "without schema":
            accept_anything(cp)
        with Decco(cp, tmp_path_factory.mktemp("decco")) as decco:
            found = [Lane(Cluster(cp), f"lane-{number}") for number in range(LANES)]
            for lane in found:
                lane.begin()
            yield found
            assert decco.stop() == 0, decco.tail()
            assert_no_defects(decco)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["App", "Space"])
def test_good_then_generated_then_good(lanes: list[Lane], kind: str) -> None:
    """Each stored spec gets a condition; no refusal takes the workload away; and good is what it was before."""
    good = GOOD_APP if kind == "App" else GOOD_SPACE
    # A large value shows nothing more here than that it is refused.
    todo = [case for case in sample(list(cases(kind, good)), LIVES) if len(json.dumps(case.spec)) < 400_000]
    counts: Counter[str] = Counter()
    failures = []
    while todo:
        running = []
        for lane, case in zip(lanes, todo, strict=False):
            before, held = lane.fingerprint(), lane.workloads()
            stored = lane.put(kind, case.spec) == 200
            counts["stored" if stored else "refused"] += 1
            if stored:
                running.append((lane, case, before, held))
        todo = todo[LANES:]
        for lane, case, _, held in running:
            if problem := judge(lane, kind, case, held):
                failures.append(f"{case.path} = {str(case.value)[:80]!r}: {problem}")
                print(failures[-1], flush=True)
            assert lane.put(kind, good) == 200
        for lane, case, before, _ in running:
            lane.wait(kind)
            if problem := lane.converged(before):
                failures.append(f"{case.path} = {str(case.value)[:80]!r}, then good again: {problem}"[:1500])
                print(failures[-1], flush=True)
    print(f"{kind}: {dict(counts)}")
    assert not failures, "\n".join(failures)


def judge(lane: Lane, kind: str, case: Case, held: dict[str, str]) -> str:
    """What is wrong while the generated spec is there; empty if nothing is."""
    try:
        lane.wait(kind)
    except AssertionError as error:
        return str(error)
    now = lane.workloads()
    if not now:
        return "the workload was taken away"
    expected = set(kinds_of(case.spec)) if kind == "App" else {"Deployment"}
    if "Deployment" in expected and now.get("Deployment") != held.get("Deployment"):
        return f"the Deployment was replaced: {held} became {now}"
    return ""
