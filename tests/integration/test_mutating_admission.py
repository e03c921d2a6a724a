"""A policy of the cluster that changes what decco writes: no write because of it, also after a restart, and a real
alteration is repaired all the same. The policies are real ones, and the API server's audit log says what was sent.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from decco.kube.apply import Result
from decco.objects import CONFIGMAPS, DEPLOYMENTS, NETWORK_POLICIES, SERVICES, Resource
from tests.integration.admission_rules import in_force, mutating
from tests.integration.applier_world import World, desired_objects

Obj = dict[str, Any]

CONTAINERS = "/spec/template/spec/containers"
MESH = f'[JSONPatch{{op: "add", path: "{CONTAINERS}/-", value: {{"name": "mesh", "image": "mesh.example/proxy:1"}}}}]'
FRONT = MESH.replace("containers/-", "containers/0")
IMAGE = f'[JSONPatch{{op: "replace", path: "{CONTAINERS}/0/image", value: "mirror.example/app:1"}}]'
LESS = f'[JSONPatch{{op: "remove", path: "{CONTAINERS}/0/resources"}}]'
ORDER = (
    f'[JSONPatch{{op: "replace", path: "{CONTAINERS}/0/env", '
    'value: [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}]'
)
LABEL = '[JSONPatch{op: "add", path: "/metadata/labels/team", value: "admission"}]'
MARK = '[JSONPatch{op: "remove", path: "/metadata/annotations/decco.platform9.com~1hash"}]'
MESHED = 'object.spec.template.spec.containers.exists(c, c.name == "mesh")'

POLICIES: dict[str, tuple[str, str]] = {
    # JSON patches, and when they are not needed
    "another container": (MESH, MESHED),
    "another container in front": (FRONT, MESHED),
    "another image": (IMAGE, "false"),
    "a field less": (LESS, "!has(object.spec.template.spec.containers[0].resources.limits)"),
    "a list in another order": (ORDER, "false"),
    "a label of decco's": (LABEL, "false"),
    "decco's annotation less": (MARK, '!("decco.platform9.com/hash" in object.metadata.annotations)'),
}


def was_mutated(probe: Obj) -> Callable[[int, Obj], bool]:
    def differs(status: int, answer: Obj) -> bool:
        spec = answer.get("spec", {}).get("template", {}).get("spec", {}).get("containers")
        return status == 201 and (
            len(spec) > 1
            or spec[0]["image"] != probe["spec"]["template"]["spec"]["containers"][0]["image"]
            or "limits" not in spec[0].get("resources", {})
            or spec[0]["env"][0]["name"] == "B"
            or answer["metadata"]["labels"]["team"] == "admission"
            or "decco.platform9.com/hash" not in answer["metadata"]["annotations"]
        )

    return differs


def wait_for_policy(world: World) -> None:
    probe = copy.deepcopy(desired_objects(world)[DEPLOYMENTS])
    probe["metadata"]["annotations"]["decco.platform9.com/hash"] = "x"
    in_force(world.cp, world.path(DEPLOYMENTS), probe, was_mutated(probe))


@pytest.mark.parametrize("operations", [("CREATE", "UPDATE"), ("CREATE",)], ids=["always", "at creation"])
@pytest.mark.parametrize("name", POLICIES)
async def test_nothing_is_written_for_what_admission_changed(
    world: World, name: str, operations: tuple[str, ...]
) -> None:
    expression, unless = POLICIES[name]
    desired = desired_objects(world)[DEPLOYMENTS]
    with mutating(world.cp, world.namespace, expression, unless=unless, operations=operations):
        wait_for_policy(world)
        assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.CREATED
        assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
        for _ in range(2):
            version = world.live(DEPLOYMENTS)["metadata"]["generation"]
            await world.restart(DEPLOYMENTS)
            world.mark()
            for _ in range(2):
                assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
            written = [event for event in world.cp.audit(since=world._mark, writes=True) if "dryRun" not in event.uri]
            assert [event for event in written if event.namespace == world.namespace] == []
            assert world.live(DEPLOYMENTS)["metadata"]["generation"] == version


@pytest.mark.parametrize("restarted", [False, True], ids=["same-life", "after-restart"])
@pytest.mark.parametrize("name", ["another container", "another image", "a list in another order"])
async def test_an_alteration_is_repaired_beside_what_admission_changed(
    world: World, name: str, restarted: bool
) -> None:
    expression, unless = POLICIES[name]
    desired = desired_objects(world)[DEPLOYMENTS]
    with mutating(world.cp, world.namespace, expression, unless=unless):
        wait_for_policy(world)
        await world.ensure(DEPLOYMENTS, desired)
        before = world.live(DEPLOYMENTS)["spec"]
        world.patch(DEPLOYMENTS, {"spec": {"template": {"spec": {"hostNetwork": True}}}})
        assert world.live(DEPLOYMENTS)["spec"] != before
        await (world.restart if restarted else world.relist)(DEPLOYMENTS)
        world.mark()
        applied = await world.ensure(DEPLOYMENTS, desired)
        assert (applied.result, applied.repaired) == (Result.UPDATED, True)
        assert world.live(DEPLOYMENTS)["spec"] == before
        assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED


KINDS: dict[str, tuple[Resource, str, str, str]] = {
    "ConfigMap": (CONFIGMAPS, "", "configmaps", '[JSONPatch{op: "remove", path: "/data/b"}]'),
    "Service": (SERVICES, "", "services", '[JSONPatch{op: "remove", path: "/spec/ports/1"}]'),
    "NetworkPolicy": (
        NETWORK_POLICIES,
        "networking.k8s.io",
        "networkpolicies",
        '[JSONPatch{op: "remove", path: "/spec/ingress/1"}]',
    ),
}


@pytest.mark.parametrize("name", KINDS)
async def test_other_kinds_are_treated_alike(world: World, name: str) -> None:
    resource, group, plural, expression = KINDS[name]
    desired = desired_objects(world)[resource]
    with mutating(world.cp, world.namespace, expression, group=group, plural=plural):
        before = size(desired)
        in_force(world.cp, world.path(resource), desired, lambda status, it: status == 201 and size(it) < before)
        await world.ensure(resource, desired)
        await world.restart(resource)
        world.mark()
        assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
        assert (world.requests(), world.previews) == ([], ["PUT 200"])


def size(obj: Obj) -> int:
    """How many items there are in what the policies of ``KINDS`` shorten."""
    spec = obj.get("spec", {})
    return sum(map(len, (obj.get("data", {}), spec.get("ports", ()), spec.get("ingress", ()))))
