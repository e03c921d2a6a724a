"""Diff before write, against a real API server: the cost of each desired state, and the ownership of each field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from decco.kube.apply import Result
from decco.kube.errors import Invalid
from decco.kube.identity import Foreign
from decco.objects import (
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_RUN,
    CONFIGMAPS,
    DEPLOYMENTS,
    INGRESSES,
    JOBS,
    LABEL_MANAGED_BY,
    LABEL_SPACE,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Key,
    Obj,
    Resource,
    key_of,
)
from decco.reconcilers.kinds import children
from tests.integration.applier_world import (
    KINDS,
    LIVES,
    POD,
    World,
    deployment,
    desired_objects,
    encoded,
    job,
    named,
    of_kind,
)


@pytest.mark.parametrize("kind", KINDS, ids=named)
async def test_a_desired_object_costs_one_write(world: World, kind: Resource | str) -> None:
    resource, desired = of_kind(world, kind)
    name = desired["metadata"]["name"]
    made = await world.ensure(resource, desired)
    assert (made.result, world.requests()) == (Result.CREATED, ["POST 201"])

    for _ in range(2):  # from the answer alone, and after the watch has delivered everything
        assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
        await world.relist(resource)
    assert world.requests() == []

    other = copy.deepcopy(desired)
    other["metadata"]["labels"] |= {"team": None, "more": "x"}
    other["metadata"]["annotations"]["note"] = "b"
    world.patch(resource, {"metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "2"}}}, name=name)
    world.patch(resource, {"metadata": {"finalizers": ["example.com/theirs"]}}, name=name)
    await world.relist(resource)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED, "others may add"
    assert world.requests() == []
    assert (await world.ensure(resource, other)).result is Result.UPDATED
    assert (await world.ensure(resource, other)).result is Result.UNCHANGED
    assert world.requests() == ["PUT 200"]
    meta = world.live(resource, name)["metadata"]
    assert {"theirs": "1", "more": "x", LABEL_MANAGED_BY: "decco"}.items() <= meta["labels"].items()
    assert "team" not in meta["labels"]
    assert {"theirs": "2", "note": "b"}.items() <= meta["annotations"].items()
    assert meta["finalizers"] == ["example.com/theirs"]

    await world.restart(resource)
    assert (await world.ensure(resource, other)).result is Result.UNCHANGED
    assert world.requests() == [], "a restart finds everything as it should be"
    world.patch(resource, {"metadata": {"finalizers": None}}, name=name)


CONTENT_CHANGES: dict[str, tuple[Resource | str, Callable[[Obj], Any], Callable[[Obj], Any]]] = {
    # the next desired state, as a change of the previous one; what must be true of the live object afterwards
    "ConfigMap, a key less": (CONFIGMAPS, lambda o: o["data"].pop("a"), lambda o: set(o["data"]) == {"b", "empty"}),
    "Secret, a key less": (
        SECRETS,
        lambda o: o["data"].pop("empty"),
        lambda o: set(o["data"]) == {"tls.crt", "tls.key"},
    ),
    "Service, a port less": (SERVICES, lambda o: o["spec"]["ports"].pop(), lambda o: len(o["spec"]["ports"]) == 1),
    "Deployment, another image": (
        DEPLOYMENTS,
        lambda o: o["spec"]["template"]["spec"]["containers"][0].update(image="registry.example/app:2"),
        lambda o: o["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/app:2",
    ),
    "Deployment, no environment": (
        DEPLOYMENTS,
        lambda o: o["spec"]["template"]["spec"]["containers"][0].pop("env"),
        lambda o: "env" not in o["spec"]["template"]["spec"]["containers"][0],
    ),
    "NetworkPolicy, a rule less": (
        NETWORK_POLICIES,
        lambda o: o["spec"]["ingress"].pop(),
        lambda o: o["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}],
    ),
    "ResourceQuota, a limit less": (
        RESOURCE_QUOTAS,
        lambda o: o["spec"]["hard"].pop("pods"),
        lambda o: o["spec"]["hard"] == {"cpu": "1", "memory": "1Gi"},
    ),
    "Ingress, another class": (
        INGRESSES,
        lambda o: o["spec"].update(ingressClassName="haproxy"),
        lambda o: o["spec"]["ingressClassName"] == "haproxy",
    ),
    "HTTPRoute, another path": (
        "HTTPRoute",
        lambda o: o["spec"]["rules"][0]["matches"][0]["path"].update(value="/other"),
        lambda o: o["spec"]["rules"][0]["matches"][0]["path"]["value"] == "/other",
    ),
    "ListenerSet, a listener less": (
        "ListenerSet",
        lambda o: o["spec"]["listeners"].pop(),
        lambda o: [listener["name"] for listener in o["spec"]["listeners"]] == ["https"],
    ),
    "Job, another backoff limit": (
        JOBS,
        lambda o: o["spec"].update(backoffLimit=5),
        lambda o: o["spec"]["backoffLimit"] == 5,
    ),
}


@pytest.mark.parametrize("name", CONTENT_CHANGES)
async def test_another_desired_state_is_one_write_that_also_removes(world: World, name: str) -> None:
    kind, change, holds = CONTENT_CHANGES[name]
    resource, desired = of_kind(world, kind)
    await world.ensure(resource, desired)
    await world.relist(resource)
    world.requests()
    change(desired)
    assert (await world.ensure(resource, desired)).result is Result.UPDATED
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == ["PUT 200"]
    assert holds(world.live(resource))
    await world.restart(resource)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == []


# Others' property -----------------------------------------------------------------------------------------------------


async def test_replicas_belong_to_whoever_scales(world: World) -> None:
    desired = deployment(world, replicas=1)
    await world.ensure(DEPLOYMENTS, desired)
    world.kubectl("scale", "deployment/web", "--replicas=3")
    world.kubectl("rollout", "restart", "deployment/web")
    await world.relist(DEPLOYMENTS)
    world.requests()
    assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert world.requests() == []

    desired = deployment(world, {"containers": [{"name": "main", "image": "registry.example/app:2"}]}, replicas=1)
    assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UPDATED
    spec = world.live(DEPLOYMENTS)["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["containers"][0]["image"] == "registry.example/app:2"
    assert "kubectl.kubernetes.io/restartedAt" in spec["template"]["metadata"]["annotations"]

    await world.restart(DEPLOYMENTS)
    assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert (await world.ensure(DEPLOYMENTS, deployment(world, replicas=5))).result is Result.UPDATED
    assert world.live(DEPLOYMENTS)["spec"]["replicas"] == 5, "another initial number takes them back"
    assert world.requests() == ["PUT 200", "PUT 200"]


@pytest.mark.parametrize(
    "operations",
    [
        [("replace", "/metadata/annotations/decco.platform9.com~1initial-replicas", "7")],
        [("remove", "/metadata/annotations/decco.platform9.com~1initial-replicas", None)],
        [("remove", "/metadata/annotations", None)],
    ],
    ids=["changed", "removed", "all-removed"],
)
async def test_replicas_are_not_taken_back_because_somebody_touched_the_annotation(
    world: World, operations: list[tuple[str, str, Any]]
) -> None:
    desired = deployment(world, replicas=1)
    await world.ensure(DEPLOYMENTS, desired)
    world.kubectl("scale", "deployment/web", "--replicas=3")
    world.patch(DEPLOYMENTS, [{"op": op, "path": path, "value": value} for op, path, value in operations], "json")
    await world.relist(DEPLOYMENTS)
    assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UPDATED
    live = world.live(DEPLOYMENTS)
    assert live["spec"]["replicas"] == 3
    assert live["metadata"]["annotations"][ANNOTATION_INITIAL_REPLICAS] == "1"


async def test_a_service_keeps_its_addresses(world: World) -> None:
    """The PUT carries them. Would the API server keep them by itself? It does, which the second half shows."""
    desired = desired_objects(world)[SERVICES]
    await world.ensure(SERVICES, desired)
    before = world.live(SERVICES)["spec"]
    desired["spec"]["ports"].pop()
    await world.ensure(SERVICES, desired)
    after = world.live(SERVICES)["spec"]
    allocated = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
    assert [after[field] for field in allocated] == [before[field] for field in allocated]

    bare = world.live(SERVICES)
    for field in allocated:
        del bare["spec"][field]
    answer = world.cp.request("PUT", world.path(SERVICES, "web"), bare)
    assert answer.status == 200
    assert [answer.json()["spec"][field] for field in allocated] == [before[field] for field in allocated]


async def test_a_headless_service_stays_headless(world: World) -> None:
    desired = desired_objects(world)[SERVICES]
    desired["spec"]["clusterIP"] = "None"
    await world.ensure(SERVICES, desired)
    await world.restart(SERVICES)
    assert (await world.ensure(SERVICES, desired)).result is Result.UNCHANGED
    desired["spec"]["ports"].pop()
    await world.ensure(SERVICES, desired)
    assert world.live(SERVICES)["spec"]["clusterIP"] == "None"
    assert world.requests() == ["POST 201", "PUT 200"]


async def test_a_namespace_keeps_its_finalizers(world: World) -> None:
    desired = desired_objects(world)[NAMESPACES]
    name = desired["metadata"]["name"]
    await world.ensure(NAMESPACES, desired)
    desired["metadata"]["labels"]["more"] = "x"
    assert (await world.ensure(NAMESPACES, desired)).result is Result.UPDATED
    live = world.live(NAMESPACES, name)
    assert live["spec"] == {"finalizers": ["kubernetes"]}
    assert {"kubernetes.io/metadata.name": name, "more": "x"}.items() <= live["metadata"]["labels"].items()


# Foreign objects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled", [False, True], ids=["not-watched", "watched"])
@pytest.mark.parametrize("owned", [False, True], ids=["no-owner", "another-owner"])
async def test_a_foreign_object_is_never_written_to(world: World, labelled: bool, owned: bool) -> None:
    meta: Obj = {"name": "web"}
    if labelled:
        meta["labels"] = {LABEL_MANAGED_BY: "decco"}
    if owned:
        meta["ownerReferences"] = [another_owner(world)]
    theirs = world.cp.create(world.path(CONFIGMAPS), {"metadata": meta, "data": {"theirs": "1"}})
    await world.relist(CONFIGMAPS)
    desired = desired_objects(world)[CONFIGMAPS]
    world.mark()
    for _ in range(3):
        with pytest.raises(Foreign) as raised:
            await world.ensure(CONFIGMAPS, desired)
        assert str(raised.value) == (f"ConfigMap {world.namespace}/web exists and was not made by decco for this owner")
    # Unwatched, its existence is learned from the refused creation; then it is read each time, and not created.
    assert world.requests() == ([] if labelled else ["POST 409", "GET 200", "GET 200", "GET 200"])
    assert world.live(CONFIGMAPS)["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"]

    world.delete(CONFIGMAPS)
    await world.relist(CONFIGMAPS)
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.CREATED
    assert world.requests() == (["POST 201"] if labelled else ["GET 404", "POST 201"])


async def test_an_object_of_the_same_app_created_again_is_foreign_until_it_is_deleted(world: World) -> None:
    """The App was deleted and made again: same name, another UID. The garbage collector removes the old children."""
    desired = desired_objects(world)[CONFIGMAPS]
    world.owner = another_owner(world)
    await world.ensure(CONFIGMAPS, desired_objects(world)[CONFIGMAPS])
    world.mark()
    with pytest.raises(Foreign):
        await world.ensure(CONFIGMAPS, desired)
    assert world.requests() == []
    world.delete(CONFIGMAPS)
    await world.relist(CONFIGMAPS)
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.CREATED


def another_owner(world: World) -> Obj:
    """One that exists, so that the garbage collector lets its objects live."""
    made = world.cp.create(world.path(SECRETS), {"metadata": {"name": "other"}})["metadata"]
    return {"apiVersion": "v1", "kind": "Secret", "name": "other", "uid": made["uid"], "controller": True}


async def test_copied_labels_and_hash_of_another_owner_do_not_make_an_object_ours(world: World) -> None:
    desired = desired_objects(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    stolen = world.live(CONFIGMAPS)["metadata"]
    world.delete(CONFIGMAPS)
    world.owner = {**world.owner, "uid": "22222222-2222-2222-2222-222222222222"}
    labels = {**stolen["labels"], LABEL_SPACE: "other"}
    meta = {"name": "web", "labels": labels, "annotations": stolen["annotations"]}
    world.cp.create(world.path(CONFIGMAPS), {"metadata": meta, "data": desired["data"]})
    await world.relist(CONFIGMAPS)
    with pytest.raises(Foreign):
        await world.ensure(CONFIGMAPS, desired_objects(world)[CONFIGMAPS])


# Replacements and removals --------------------------------------------------------------------------------------------


async def test_another_run_is_another_job(world: World) -> None:
    first = await world.ensure(JOBS, job(world, run="1"))
    await world.relist(JOBS)
    changed = job(world, run="2", pod={"containers": [{"name": "main", "image": "registry.example/app:2"}]})
    assert (await world.ensure(JOBS, changed)).result is Result.DELETED
    assert (await world.ensure(JOBS, changed)).result is Result.WAITING, "not twice"
    await world.eventually(lambda: world.cp.request("GET", world.path(JOBS, "web")).status == 404)
    await world.relist(JOBS)
    second = await world.ensure(JOBS, changed)
    assert second.result is Result.CREATED
    assert world.requests() == ["POST 201", "DELETE 200", "POST 201"]
    assert world.previews == ["POST 409"], "the server was asked first whether it takes the new one"
    assert first.entry is not None
    assert second.entry is not None
    assert first.entry.uid != second.entry.uid


@LIVES
async def test_a_job_is_left_alone_when_its_template_cannot_follow(world: World, restarted: bool) -> None:
    """Another image of the sidecar is not another run of the user's pod: what can be is written, the template stays."""
    await world.ensure(JOBS, job(world))
    sidecar = {"name": "tls", "image": "stunnel:2", "restartPolicy": "Always", "env": [{"name": "X", "value": "1"}]}
    changed = job(world, pod={**POD, "initContainers": [sidecar]})
    changed["spec"]["parallelism"] = 2
    await world.relist(JOBS)
    assert (await world.ensure(JOBS, changed)).result is Result.UPDATED
    if restarted:
        await world.restart(JOBS)
    assert (await world.ensure(JOBS, changed)).result is Result.UNCHANGED
    assert world.requests() == ["POST 201", "PUT 200"]
    live = world.live(JOBS)["spec"]
    assert "initContainers" not in live["template"]["spec"]
    assert live["parallelism"] == 2


async def test_touching_the_annotation_of_a_run_does_not_run_it_again(world: World) -> None:
    made = await world.ensure(JOBS, job(world))
    world.kubectl("annotate", "job/web", f"{ANNOTATION_RUN}=other", "--overwrite")
    await world.relist(JOBS)
    repaired = await world.ensure(JOBS, job(world))
    assert repaired.result is Result.UPDATED
    assert world.requests() == ["POST 201", "PUT 200"]
    assert repaired.entry is not None
    assert made.entry is not None
    assert repaired.entry.uid == made.entry.uid


async def test_another_run_of_a_job_that_lost_its_label(world: World) -> None:
    """Unseen by the watch, and yet not merely relabelled: a PUT would claim that the old pods are the new run."""
    await world.ensure(JOBS, job(world))
    world.kubectl("label", "job/web", f"{LABEL_MANAGED_BY}-")
    await world.relist(JOBS)
    changed = job(world, run="2")
    waiting = await world.ensure(JOBS, changed)
    assert (waiting.result, waiting.entry) == (Result.WAITING, None), "no event reports its deletion"
    await world.eventually(lambda: world.cp.request("GET", world.path(JOBS, "web")).status == 404)
    assert (await world.ensure(JOBS, changed)).result is Result.CREATED
    assert world.requests() == ["POST 201", "POST 409", "GET 200", "DELETE 200", "POST 201"]
    assert world.previews == ["POST 409"]


OURS, THEIRS, FIXED = "decco writes it", "decco leaves it alone", "the server refuses another value"
FIELDS_OF_A_JOB: dict[tuple[str, ...], tuple[str, Any]] = {
    ("backoffLimit",): (OURS, 5),
    ("parallelism",): (OURS, 3),
    ("suspend",): (OURS, True),
    ("activeDeadlineSeconds",): (OURS, 600),
    ("ttlSecondsAfterFinished",): (OURS, 60),
    ("podReplacementPolicy",): (THEIRS, "Failed"),
    ("manualSelector",): (THEIRS, True),
    ("completions",): (FIXED, 4),
    ("completionMode",): (FIXED, "Indexed"),
    ("backoffLimitPerIndex",): (FIXED, 1),
    ("managedBy",): (FIXED, "example.com/other"),
    ("podFailurePolicy",): (
        FIXED,
        {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}]},
    ),
    ("template", "spec", "containers"): (FIXED, [{"name": "main", "image": "registry.example/app:2"}]),
    ("template", "metadata"): (FIXED, {"labels": {"x": "y"}}),
}


@pytest.mark.parametrize("path", FIELDS_OF_A_JOB, ids=".".join)
async def test_which_fields_of_a_job_can_change(world: World, path: tuple[str, ...]) -> None:
    """What ``kinds.py`` claims to be mutable, and the rest: a version that changes its mind shows here."""
    await world.ensure(JOBS, job(world))
    whose, value = FIELDS_OF_A_JOB[path]
    for part in reversed(("spec", *path)):
        value = {part: value}
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = world.cp.request("PATCH", world.path(JOBS, "web"), value, headers=headers)
    assert answer.status == (422 if whose is FIXED else 200), answer.body
    assert (("spec", *path) in (children({})[JOBS].mutable or ())) == (whose is OURS)


async def test_a_job_is_not_taken_away_for_one_that_the_server_refuses(world: World) -> None:
    await world.ensure(JOBS, job(world, run="1"))
    await world.relist(JOBS)
    uid = world.live(JOBS)["metadata"]["uid"]
    bad = {"containers": [{"name": "no label", "image": "registry.example/app:2"}]}
    with pytest.raises(Invalid):
        await world.ensure(JOBS, job(world, run="2", pod=bad))
    assert (world.requests(), world.previews) == (["POST 201"], ["POST 422"])
    assert world.live(JOBS)["metadata"]["uid"] == uid
    assert "deletionTimestamp" not in world.live(JOBS)["metadata"]


async def test_a_job_is_replaced_although_the_quota_allows_only_one(world: World) -> None:
    quota = world.desired(RESOURCE_QUOTAS, name="one", spec={"hard": {"count/jobs.batch": "1"}})
    await world.ensure(RESOURCE_QUOTAS, quota)
    await world.eventually(lambda: "used" in world.live(RESOURCE_QUOTAS, "one").get("status", {}))
    await world.ensure(JOBS, job(world, run="1"))
    # The controller of quotas may have counted before it saw the Job, and admission goes by its count.
    await world.eventually(lambda: world.live(RESOURCE_QUOTAS, "one")["status"]["used"] == {"count/jobs.batch": "1"})
    await world.relist(JOBS)
    world.requests()
    assert (await world.ensure(JOBS, job(world, run="2"))).result is Result.DELETED
    assert (world.requests(), world.previews) == (["DELETE 200"], ["POST 403"])


async def test_a_secret_of_another_type_is_replaced(world: World) -> None:
    desired = desired_objects(world)[SECRETS]
    await world.ensure(SECRETS, desired)
    desired["type"] = "Opaque"
    assert (await world.ensure(SECRETS, desired)).result is Result.UPDATED
    await world.relist(SECRETS)
    assert (await world.ensure(SECRETS, desired)).result is Result.UNCHANGED
    assert world.requests() == ["POST 201", "DELETE 200", "POST 201"]
    assert world.previews == ["POST 409"], "the server was asked first whether it takes the new one"
    assert world.live(SECRETS)["type"] == "Opaque"


async def test_a_secret_without_a_type_is_not_replaced_for_ever(world: World) -> None:
    desired = desired_objects(world)[SECRETS]
    del desired["type"]
    await world.ensure(SECRETS, desired)
    desired["data"]["more"] = encoded("x")
    assert (await world.ensure(SECRETS, desired)).result is Result.UPDATED
    assert world.requests() == ["POST 201", "PUT 200"]


async def test_prune_deletes_what_this_owner_no_longer_wants(world: World) -> None:
    wanted, dropped = desired_objects(world)[CONFIGMAPS], desired_objects(world)[SECRETS]
    for resource, desired in ((CONFIGMAPS, wanted), (SECRETS, dropped)):
        await world.ensure(resource, desired)
    uid, world.owner = world.owner["uid"], another_owner(world)
    await world.ensure(SERVICES, desired_objects(world)[SERVICES])
    world.mark()
    assert await world.applier.pruner.prune(uid, Key("", world.namespace), {(CONFIGMAPS, key_of(wanted))}) == 1
    assert await world.applier.pruner.prune(uid, Key("", world.namespace), {(CONFIGMAPS, key_of(wanted))}) == 0, (
        "asked once"
    )
    assert world.requests() == ["DELETE 200"]
    assert world.cp.request("GET", world.path(SECRETS, "web")).status == 404
    assert world.live(SERVICES)


async def test_prune_leaves_an_object_that_was_replaced_by_another(world: World) -> None:
    desired = desired_objects(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    world.delete(CONFIGMAPS)
    world.cp.create(world.path(CONFIGMAPS), {"metadata": {"name": "web"}, "data": {"theirs": "1"}})
    assert await world.applier.pruner.prune(world.owner["uid"], Key("", world.namespace), set()) == 1
    assert world.live(CONFIGMAPS)["data"] == {"theirs": "1"}


@pytest.mark.parametrize("kind", KINDS, ids=named)
async def test_an_object_that_is_held_in_deletion_is_kept_as_desired(world: World, kind: Resource | str) -> None:
    """But for what its controller does not act upon any more; and it is not deleted or created meanwhile."""
    resource, desired = of_kind(world, kind)
    name = desired["metadata"]["name"]
    await world.ensure(resource, desired)
    world.patch(resource, {"metadata": {"finalizers": ["example.com/wait"]}}, name=name)
    world.delete(resource, name)
    await world.relist(resource)
    world.requests()
    other = copy.deepcopy(desired)
    other["metadata"]["labels"]["more"] = "x"
    kept = resource not in (DEPLOYMENTS, STATEFUL_SETS, JOBS)
    assert (await world.ensure(resource, other)).result is (Result.UPDATED if kept else Result.WAITING)
    for _ in range(2):
        assert (await world.ensure(resource, other)).result is Result.WAITING
        await world.relist(resource)
    namespace = world.namespace if resource.namespaced else name
    assert await world.applier.pruner.prune(world.owner["uid"], Key("", namespace), set()) == 0
    assert world.requests() == (["PUT 200"] if kept else [])
    assert ("more" in world.live(resource, name)["metadata"]["labels"]) is kept
    world.patch(resource, {"metadata": {"finalizers": None}}, name=name)
