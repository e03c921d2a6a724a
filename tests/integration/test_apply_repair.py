"""Whatever is altered by hand is repaired by exactly one write, with and without a restart in between."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from decco.kube import watch as w
from decco.kube.apply import Result
from decco.kube.errors import Conflict
from decco.kube.identity import Foreign
from decco.kube.informer import Informer
from decco.objects import (
    ANNOTATION_HASH,
    CONFIGMAPS,
    DEPLOYMENTS,
    INGRESSES,
    JOBS,
    LABEL_MANAGED_BY,
    LIMIT_RANGES,
    MANAGED_SELECTOR,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    Obj,
    Resource,
    key_of,
)
from tests.integration.applier_world import LIVES, World, desired_objects, encoded, named, of_kind

FIRST = "/spec/template/spec/containers/0"
MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "spy", "port": 80}}}
Vandalism = Callable[[World], None]


def kubectl(*args: str) -> Vandalism:
    return lambda world: world.kubectl(*args)


def json_patch(kind: Resource | str, *operations: tuple[str, str, Any]) -> Vandalism:
    def act(world: World) -> None:
        resource, desired = of_kind(world, kind)
        patch = [{"op": op, "path": path, "value": value} for op, path, value in operations]
        world.patch(resource, patch, "json", desired["metadata"]["name"])

    return act


def replaced(kind: Resource | str, change: Callable[[Obj], Any]) -> Vandalism:
    """`kubectl replace` of the live object, changed."""

    def act(world: World) -> None:
        resource, desired = of_kind(world, kind)
        name = desired["metadata"]["name"]
        for _ in range(20):  # the controllers of Kubernetes write as well, just after the creation
            live = world.live(resource, name)
            change(live)
            answer = world.cp.request("PUT", world.path(resource, name), live)
            if answer.status != 409:
                break
        assert answer.status == 200, answer.body

    return act


CONTENT_VANDALISM: dict[str, tuple[Resource | str, Vandalism]] = {
    "set env": (DEPLOYMENTS, kubectl("set", "env", "deployment/web", "C=3")),
    "change env": (DEPLOYMENTS, kubectl("set", "env", "deployment/web", "A=other")),
    "unset env": (DEPLOYMENTS, kubectl("set", "env", "deployment/web", "A-")),
    "set image": (DEPLOYMENTS, kubectl("set", "image", "deployment/web", "main=evil.example/app:1")),
    "root's user id less": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("remove", f"{FIRST}/securityContext/runAsUser", None)),
    ),
    "a node selector less": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("remove", "/spec/template/spec/nodeSelector/node-role.kubernetes.io~1edge", None)),
    ),
    "set resources": (DEPLOYMENTS, kubectl("set", "resources", "deployment/web", "--limits=cpu=4")),
    "hostNetwork": (DEPLOYMENTS, json_patch(DEPLOYMENTS, ("add", "/spec/template/spec/hostNetwork", True))),
    "another container": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("add", "/spec/template/spec/containers/-", {"name": "spy", "image": "spy:1"})),
    ),
    "another container in front": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("add", FIRST, {"name": "spy", "image": "spy:1"})),
    ),
    "an init container": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("add", "/spec/template/spec/initContainers", [{"name": "spy", "image": "spy:1"}])),
    ),
    "a command": (DEPLOYMENTS, json_patch(DEPLOYMENTS, ("add", f"{FIRST}/command", ["sh"]))),
    "a pod label": (DEPLOYMENTS, json_patch(DEPLOYMENTS, ("add", "/spec/template/metadata/labels/x", "y"))),
    "env in another order": (
        DEPLOYMENTS,
        replaced(DEPLOYMENTS, lambda o: o["spec"]["template"]["spec"]["containers"][0]["env"].reverse()),
    ),
    "a default changed": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("replace", "/spec/template/spec/terminationGracePeriodSeconds", 1)),
    ),
    "paused": (DEPLOYMENTS, kubectl("rollout", "pause", "deployment/web")),
    "podSelector": (
        NETWORK_POLICIES,
        json_patch(NETWORK_POLICIES, ("replace", "/spec/podSelector", {"matchLabels": {"app": "none"}})),
    ),
    "an ingress rule": (NETWORK_POLICIES, json_patch(NETWORK_POLICIES, ("add", "/spec/ingress/-", {}))),
    "no ingress rule": (NETWORK_POLICIES, json_patch(NETWORK_POLICIES, ("remove", "/spec/ingress/0", None))),
    "an empty label of the selector": (
        NETWORK_POLICIES,
        json_patch(NETWORK_POLICIES, ("remove", "/spec/podSelector/matchLabels/flag", None)),
    ),
    "egress as well": (
        NETWORK_POLICIES,
        json_patch(NETWORK_POLICIES, ("replace", "/spec/policyTypes", ["Ingress", "Egress"])),
    ),
    "a Service port less": (SERVICES, json_patch(SERVICES, ("remove", "/spec/ports/1", None))),
    "a Service port more": (SERVICES, json_patch(SERVICES, ("add", "/spec/ports/-", {"name": "c", "port": 9}))),
    "a Service's selector": (SERVICES, json_patch(SERVICES, ("replace", "/spec/selector/app", "other"))),
    "a Service's type": (SERVICES, json_patch(SERVICES, ("replace", "/spec/type", "NodePort"))),
    "a ConfigMap key changed": (CONFIGMAPS, json_patch(CONFIGMAPS, ("replace", "/data/a", "2"))),
    "a ConfigMap key more": (CONFIGMAPS, json_patch(CONFIGMAPS, ("add", "/data/c", "3"))),
    "a ConfigMap key less": (CONFIGMAPS, json_patch(CONFIGMAPS, ("remove", "/data/a", None))),
    "an empty ConfigMap key less": (CONFIGMAPS, json_patch(CONFIGMAPS, ("remove", "/data/empty", None))),
    "binary data in a ConfigMap": (CONFIGMAPS, json_patch(CONFIGMAPS, ("add", "/binaryData", {"x": "YQ=="}))),
    "no data at all": (CONFIGMAPS, json_patch(CONFIGMAPS, ("remove", "/data", None))),
    "a Secret key changed": (SECRETS, json_patch(SECRETS, ("replace", "/data/tls.key", encoded("mine")))),
    "an empty Secret key less": (SECRETS, json_patch(SECRETS, ("remove", "/data/empty", None))),
    "a quota raised": (RESOURCE_QUOTAS, json_patch(RESOURCE_QUOTAS, ("replace", "/spec/hard/pods", "1000"))),
    "a limit raised": (LIMIT_RANGES, json_patch(LIMIT_RANGES, ("replace", "/spec/limits/0/default/cpu", "64"))),
    "an Ingress host": (INGRESSES, json_patch(INGRESSES, ("replace", "/spec/rules/0/host", "mine.example.net"))),
    "an Ingress default": (
        INGRESSES,
        json_patch(INGRESSES, ("add", "/spec/defaultBackend", {"service": {"name": "mine", "port": {"number": 1}}})),
    ),
    "a Job's parallelism": (JOBS, json_patch(JOBS, ("replace", "/spec/parallelism", 5))),
    "a Job's backoff limit": (JOBS, json_patch(JOBS, ("replace", "/spec/backoffLimit", 100))),
    "a Job suspended": (JOBS, json_patch(JOBS, ("replace", "/spec/suspend", True))),
    "a Job's deadline": (JOBS, json_patch(JOBS, ("add", "/spec/activeDeadlineSeconds", 1000))),
    "a Job's removal": (JOBS, json_patch(JOBS, ("add", "/spec/ttlSecondsAfterFinished", 1000))),
    "a Gateway's class": ("Gateway", json_patch("Gateway", ("replace", "/spec/gatewayClassName", "other"))),
    "a listener's host name": (
        "ListenerSet",
        json_patch("ListenerSet", ("replace", "/spec/listeners/0/hostname", "b.example.net")),
    ),
    "a listener more": (
        "ListenerSet",
        json_patch("ListenerSet", ("add", "/spec/listeners/-", {"name": "x", "port": 80, "protocol": "HTTP"})),
    ),
    "a route's host name": ("HTTPRoute", json_patch("HTTPRoute", ("add", "/spec/hostnames/-", "b.example.net"))),
    "a route's backend": (
        "HTTPRoute",
        json_patch("HTTPRoute", ("replace", "/spec/rules/0/backendRefs/0/name", "other")),
    ),
    "a route's filter": (
        "HTTPRoute",
        json_patch(
            "HTTPRoute",
            ("add", "/spec/rules/0/filters", [MIRROR]),
        ),
    ),
    "a TLSRoute's backend": (
        "TLSRoute",
        json_patch("TLSRoute", ("replace", "/spec/rules/0/backendRefs/0/port", 1)),
    ),
    "no verification by name": (
        "BackendTLSPolicy",
        json_patch("BackendTLSPolicy", ("replace", "/spec/validation/hostname", "b.example.net")),
    ),
    "managed fields cleared, then a change": (
        CONFIGMAPS,
        replaced(CONFIGMAPS, lambda o: (o["metadata"].update(managedFields=[{}]), o["data"].update(a="2"))),
    ),
}


def guarded_part(obj: Obj) -> Obj:
    """All that decco must bring back, with what the server adds of its own left out."""
    meta = obj["metadata"]
    content = {part: value for part, value in obj.items() if part not in {"metadata", "status"}}
    kept = {part: meta.get(part) for part in ("labels", "ownerReferences", "finalizers")}
    annotations = meta.get("annotations", {})
    return {**content, **kept, "hash": annotations.get(ANNOTATION_HASH), "note": annotations.get("note")}


@LIVES
@pytest.mark.parametrize("name", CONTENT_VANDALISM)
async def test_altered_content_is_repaired_by_one_write(world: World, name: str, restarted: bool) -> None:
    kind, vandalize = CONTENT_VANDALISM[name]
    await repaired_by_one_write(world, kind, vandalize, restarted)


@LIVES
@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (CONFIGMAPS, {"data": {"a": "other"}}),
        (CONFIGMAPS, {"data": {"another": "key"}}),
        (NETWORK_POLICIES, {"spec": {"podSelector": {"matchLabels": {"app": "none"}}}}),
        (DEPLOYMENTS, {"spec": {"template": {"spec": {"hostNetwork": True}}}}),
        (DEPLOYMENTS, {"spec": {"template": {"spec": {"serviceAccountName": "other"}}}}),
    ],
)
async def test_a_forged_field_manager_does_not_hide_an_alteration(
    world: World, kind: Resource, patch: Obj, restarted: bool
) -> None:
    def vandalize(world: World) -> None:
        path = f"{world.path(kind, 'web')}?fieldManager=decco"
        headers = {"Content-Type": "application/merge-patch+json"}
        assert world.cp.request("PATCH", path, patch, headers=headers).status == 200

    await repaired_by_one_write(world, kind, vandalize, restarted)


METADATA_VANDALISM: dict[str, list[tuple[str, str, Any]]] = {
    "a label of ours": [("remove", "/metadata/labels/team", None)],
    "a label's value": [("replace", "/metadata/labels/team", "red")],
    "an annotation of ours": [("remove", "/metadata/annotations/note", None)],
    "an annotation's value": [("replace", "/metadata/annotations/note", "theirs")],
    "the owner reference": [("remove", "/metadata/ownerReferences", None)],
    "the owner no longer controls": [("replace", "/metadata/ownerReferences/0/controller", False)],
    "the hash": [("replace", "/metadata/annotations/decco.platform9.com~1hash", "0" * 24)],
    "no hash": [("remove", "/metadata/annotations/decco.platform9.com~1hash", None)],
}


@LIVES
@pytest.mark.parametrize("name", METADATA_VANDALISM)
@pytest.mark.parametrize("kind", [CONFIGMAPS, JOBS, NAMESPACES, "HTTPRoute"], ids=named)
async def test_altered_metadata_is_repaired_by_one_write(
    world: World, kind: Resource | str, name: str, restarted: bool
) -> None:
    # Of an object in a namespace that no Space or App controls, the cache has a stub.
    is_stub = name in ("the owner reference", "the owner no longer controls") and kind is not NAMESPACES
    reads = is_stub + (name == "the owner reference")  # before the reference is put back, the owner is read
    await repaired_by_one_write(world, kind, json_patch(kind, *METADATA_VANDALISM[name]), restarted, reads=reads)


async def repaired_by_one_write(
    world: World, kind: Resource | str, vandalize: Vandalism, restarted: bool, *, reads: int = 0
) -> None:
    """``reads``: the number of requests for the object and its owner before the write."""
    resource, desired = of_kind(world, kind)
    name = desired["metadata"]["name"]
    await world.ensure(resource, desired)
    before = world.live(resource, name)
    vandalize(world)
    assert guarded_part(world.live(resource, name)) != guarded_part(before)
    if restarted:
        await world.restart(resource)
    else:
        await world.relist(resource)
    world.requests()
    assert (await world.ensure(resource, desired)).result is Result.UPDATED
    for _ in range(2):
        assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
        await world.relist(resource)
    assert world.requests() == ["GET 200"] * reads + ["PUT 200"]
    assert guarded_part(world.live(resource, name)) == guarded_part(before)


# What the watch no longer shows ---------------------------------------------------------------------------------------


async def test_a_label_that_decco_watches_by_is_put_back(world: World) -> None:
    """The object leaves the cache as deleted, although it still exists; the repair brings it back."""
    spec = w.WatchSpec(CONFIGMAPS, namespace=world.namespace, labels=MANAGED_SELECTOR)
    store = world.stores[CONFIGMAPS]
    desired = desired_objects(world)[CONFIGMAPS]
    steps: list[tuple[bool, bool]] = []
    store.subscribe(lambda change: steps.append((change.new is not None, change.own)))
    informer = Informer(store, lambda: w.watch(world.client, spec, idle_seconds=90.0))
    following = asyncio.create_task(informer.run())
    await informer.synced.wait()
    made = await world.ensure(CONFIGMAPS, desired)
    assert made.entry is not None

    await asyncio.to_thread(world.kubectl, "label", "configmap", "web", f"{LABEL_MANAGED_BY}-")
    await world.eventually(lambda: len(store) == 0)
    world.requests()
    repaired = await world.ensure(CONFIGMAPS, desired)
    assert (repaired.result, world.requests()) == (Result.UPDATED, ["POST 409", "GET 200", "PUT 200"])
    assert repaired.entry is not None
    assert repaired.entry.uid == made.entry.uid
    assert store.get(key_of(desired)) is repaired.entry
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED

    # The watch catches up, and reports nothing new. A write of decco is reported once, by the answer or by the watch,
    # whichever is first; the annotation comes after both.
    await asyncio.to_thread(world.kubectl, "annotate", "configmap", "web", "x=y")
    await world.eventually(lambda: len(steps) >= 4)
    assert [present for present, _ in steps] == [True, False, True, True]
    assert (steps[1], steps[3]) == ((False, False), (True, False))
    assert world.requests() == []
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


@LIVES
async def test_label_and_owner_reference_both_removed(world: World, restarted: bool) -> None:
    """It has the digest of its owner's desired state, so it is not a foreign object."""
    desired = desired_objects(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    json_patch(CONFIGMAPS, ("remove", "/metadata/labels", None), ("remove", "/metadata/ownerReferences", None))(world)
    await (world.restart if restarted else world.relist)(CONFIGMAPS)
    world.requests()
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.UPDATED
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    assert world.requests() == ["POST 409", "GET 200", "GET 200", "PUT 200"], "the object, and its owner"


@pytest.mark.parametrize("kind", [CONFIGMAPS, SERVICES, LIMIT_RANGES, DEPLOYMENTS, "HTTPRoute"], ids=named)
async def test_a_deleted_object_is_made_again_by_a_creation_only(world: World, kind: Resource | str) -> None:
    """Of some kinds (Service, LimitRange) a PUT creates a missing object again, unless it contains the UID."""
    resource, desired = of_kind(world, kind)
    made = await world.ensure(resource, desired)
    world.delete(resource)
    if resource is DEPLOYMENTS:
        await world.eventually(lambda: world.cp.request("GET", world.path(resource, "web")).status == 404)
    world.requests()
    other = copy.deepcopy(desired)
    other["metadata"]["annotations"]["note"] = "changed"
    try:
        # The deletion is not in the cache yet.
        assert (await world.applier.ensure(resource, other)).result is Result.WAITING
    except Conflict:
        assert resource in (SERVICES, LIMIT_RANGES)
        world.conflicts += 1
    assert world.cp.request("GET", world.path(resource, "web")).status == 404
    await world.relist(resource)
    again = await world.ensure(resource, desired)
    assert again.result is Result.CREATED
    assert world.requests()[-1] == "POST 201"
    assert made.entry is not None
    assert again.entry is not None
    assert made.entry.uid != again.entry.uid


async def test_an_object_that_was_replaced_by_another_is_not_overwritten(world: World) -> None:
    """Deleted and made again by somebody, before either is in the cache: the PUT names the UID that it is for."""
    desired = desired_objects(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    world.delete(CONFIGMAPS)
    world.cp.create(world.path(CONFIGMAPS), {"metadata": {"name": "web"}, "data": {"theirs": "1"}})
    desired["data"]["a"] = "changed"
    world.requests()
    with pytest.raises(Foreign):
        await world.ensure(CONFIGMAPS, desired)
    assert world.requests() == ["POST 409", "GET 200"]
    assert world.live(CONFIGMAPS)["data"] == {"theirs": "1"}
