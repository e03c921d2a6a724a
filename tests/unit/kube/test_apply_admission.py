"""Changes by admission are distinguished from changes by others; the writer answers as scripted.

The same with real policies is in tests/integration/test_mutating_admission.py.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from decco.kube.apply import Applier, Result
from decco.kube.entry import Shape
from decco.kube.errors import BadRequest, Conflict, Forbidden, NotFound
from decco.kube.store import Store
from decco.objects import ANNOTATION_HASH, DEPLOYMENTS, NAMESPACES, Obj
from tests.unit.kube.test_apply import Script, desired_object, stored

SCALED = Shape(unmanaged=(("spec", "replicas"),))


def deployment(*containers: str) -> Obj:
    desired = desired_object(spec={"replicas": 1, "containers": [{"name": name} for name in containers]})
    return {**desired, "apiVersion": "apps/v1", "kind": "Deployment"}


def with_sidecar(obj: Obj) -> Obj:
    obj["spec"]["containers"] = [*obj["spec"]["containers"], {"name": "mesh"}]
    return obj


def restarted(live: Obj, *answers: Any) -> tuple[Applier, Store, Script]:
    script, store = Script(*answers), Store(DEPLOYMENTS, SCALED)
    store.put(copy.deepcopy(live), own=False)
    return Applier(script, {DEPLOYMENTS: store}), store, script


async def test_what_admission_adds_costs_one_dry_run_and_no_write_after_a_restart() -> None:
    desired = deployment("main")
    applier, _, script = restarted(with_sidecar(stored(desired)))
    script.admission = with_sidecar
    for _ in range(3):
        assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert (script.asked, script.previewed) == ([], 1)


async def test_an_unchanged_object_costs_no_dry_run() -> None:
    desired = deployment("main")
    applier, _, script = restarted(stored(desired))
    assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert (script.asked, script.previewed) == ([], 0)


async def test_a_namespace_is_not_tried_under_another_name() -> None:
    """decco's own policy would refuse it, as the work of a stolen token."""
    desired = {**deployment("main"), "apiVersion": "v1", "kind": "Namespace"}
    del desired["metadata"]["namespace"]
    script, store = Script(stored(desired)), Store(NAMESPACES, SCALED)
    store.put(with_sidecar(stored(desired)), own=False)
    applied = await Applier(script, {NAMESPACES: store}).ensure(NAMESPACES, desired)
    assert (applied.result, script.asked, script.previewed) == (Result.UPDATED, ["replace"], 1)


async def test_what_admission_adds_at_creation_only_is_recognised() -> None:
    desired = deployment("main")
    applier, _, script = restarted(with_sidecar(stored(desired)))
    script.admission = lambda obj: obj if "resourceVersion" in obj["metadata"] else with_sidecar(obj)
    assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert (script.asked, script.previewed) == ([], 2)


ALTERATIONS: dict[str, Any] = {
    "another container": lambda live: live["spec"]["containers"].append({"name": "spy"}),
    "admission's container less": lambda live: live["spec"]["containers"].clear(),
    "another order": lambda live: live["spec"]["containers"].reverse(),
    "a label less": lambda live: live["metadata"].update(labels={}),
    "no owner": lambda live: live["metadata"].update(ownerReferences=[]),
}


@pytest.mark.parametrize("name", ALTERATIONS)
@pytest.mark.parametrize("only_creations", [False, True])
async def test_an_alteration_is_repaired_where_admission_changes_objects_too(name: str, only_creations: bool) -> None:
    desired = deployment("main")
    desired["metadata"]["labels"] = {"ours": "1"}
    live = with_sidecar(stored(desired))
    ALTERATIONS[name](live)
    applier, _, script = restarted(live, with_sidecar(stored(desired, 11)))
    script.admission = lambda obj: obj if only_creations and "resourceVersion" in obj["metadata"] else with_sidecar(obj)
    applied = await applier.ensure(DEPLOYMENTS, desired)
    assert (applied.result, applied.repaired) == (Result.UPDATED, True)
    assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert script.asked == ["replace"]


async def test_a_scaled_object_is_still_recognised() -> None:
    desired = deployment("main")
    live = with_sidecar(stored(desired))
    live["spec"]["replicas"] = 7
    applier, _, script = restarted(live)
    script.admission = with_sidecar
    assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert script.asked == []


async def test_a_webhook_that_takes_no_dry_run_leaves_the_write() -> None:
    desired = deployment("main")
    applier, _, script = restarted(with_sidecar(stored(desired)), with_sidecar(stored(desired, 11)))

    def refuse(obj: Obj) -> Obj:
        raise BadRequest(400, "BadRequest", 'admission webhook "mesh.example" does not support dry run')

    script.admission = refuse
    assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UPDATED
    assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert (script.asked, script.previewed) == (["replace"], 1)


@pytest.mark.parametrize("error", [Forbidden(403, "Forbidden", "no"), Conflict(409, "Conflict", "modified")])
async def test_what_the_dry_run_is_refused_the_write_would_be_refused_as_well(error: Exception) -> None:
    desired = deployment("main")
    applier, _, script = restarted(with_sidecar(stored(desired)))

    def refuse(obj: Obj) -> Obj:
        raise error

    script.admission = refuse
    with pytest.raises(type(error)):
        await applier.ensure(DEPLOYMENTS, desired)
    assert script.asked == []


async def test_an_object_that_is_gone_at_the_dry_run_is_waited_for() -> None:
    desired = deployment("main")
    applier, _, script = restarted(with_sidecar(stored(desired)))

    def gone(obj: Obj) -> Obj:
        raise NotFound(404, "NotFound", "not found")

    script.admission = gone
    script.answers = [NotFound(404, "NotFound", "not found")]
    assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.WAITING


# Admission that changes the metadata that identifies decco's objects


def without_hash(obj: Obj) -> Obj:
    del obj["metadata"]["annotations"][ANNOTATION_HASH]
    return obj


async def test_admission_that_takes_the_hash_off_costs_one_write() -> None:
    desired = deployment("main")
    applier, store, script = restarted(stored(deployment("old")), without_hash(stored(desired, 11)))
    assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UPDATED
    for _ in range(3):
        assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert script.asked == ["replace"]
    script.answers = [without_hash(stored(deployment("new"), 12))]
    assert (await applier.ensure(DEPLOYMENTS, deployment("new"))).result is Result.UPDATED
    assert len(store) == 1


async def test_admission_that_takes_the_hash_off_costs_no_write_after_a_restart() -> None:
    desired = deployment("main")
    applier, _, script = restarted(without_hash(stored(desired)))
    script.admission = without_hash
    for _ in range(3):
        assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert (script.asked, script.previewed) == ([], 1)


async def test_admission_that_changes_a_label_of_ours_costs_no_write_after_a_restart() -> None:
    def relabelled(obj: Obj) -> Obj:
        obj["metadata"]["labels"] = {"team": "admission"}
        return obj

    desired = deployment("main")
    desired["metadata"]["labels"] = {"team": "ours"}
    applier, _, script = restarted(relabelled(stored(desired)))
    script.admission = relabelled
    for _ in range(3):
        assert (await applier.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert (script.asked, script.previewed) == ([], 1)
