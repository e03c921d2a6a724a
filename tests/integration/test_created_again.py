"""Objects that decco creates again: those that somebody deletes again and again, and those that cannot be changed."""

from __future__ import annotations

from typing import Any

import pytest

from decco.kube.apply import Result
from decco.kube.errors import Invalid
from decco.kube.repair_backoff import FREE_REPAIRS, DriftConflict
from decco.objects import CONFIGMAPS, DEPLOYMENTS, NETWORK_POLICIES, RESOURCE_QUOTAS, SECRETS, SERVICES, Key, Resource
from testbed.controlplane import ControlPlane
from tests.integration.applier_world import LIVES, World, desired_objects, encoded, named
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, tls_secret

Obj = dict[str, Any]


# -- what cannot be changed in place -----------------------------------------------------------------------------------


@LIVES
@pytest.mark.parametrize("scopes", [["NotTerminating"], [], ["BestEffort", "NotTerminating"]], ids=str)
async def test_a_quota_with_other_scopes_is_created_again(world: World, scopes: list[str], restarted: bool) -> None:
    spec: Obj = {"hard": {"pods": "10"}, "scopes": ["NotBestEffort"]}
    await world.ensure(RESOURCE_QUOTAS, world.desired(RESOURCE_QUOTAS, spec=spec))
    wanted = {"hard": {"pods": "10"}, **({"scopes": scopes} if scopes else {})}
    await (world.restart if restarted else world.relist)(RESOURCE_QUOTAS)
    desired = world.desired(RESOURCE_QUOTAS, spec=wanted)
    world.requests()
    assert (await world.ensure(RESOURCE_QUOTAS, desired)).result is Result.UPDATED
    assert world.live(RESOURCE_QUOTAS)["spec"].get("scopes", []) == scopes
    await world.relist(RESOURCE_QUOTAS)
    assert (await world.ensure(RESOURCE_QUOTAS, desired)).result is Result.UNCHANGED
    assert world.requests() == ["PUT 422", "DELETE 200", "POST 201"]
    assert world.previews == ["POST 409"]


@LIVES
@pytest.mark.parametrize("resource", [SECRETS, CONFIGMAPS], ids=named)
@pytest.mark.parametrize("renewed", [False, True])
async def test_what_somebody_made_immutable_is_created_again(
    world: World, resource: Resource, renewed: bool, restarted: bool
) -> None:
    desired = desired_objects(world)[resource]
    await world.ensure(resource, desired)
    world.patch(resource, {"immutable": True})
    await (world.restart if restarted else world.relist)(resource)
    if renewed:
        key = "tls.key" if resource is SECRETS else "a"
        desired["data"][key] = encoded("another") if resource is SECRETS else "another"
    assert (await world.ensure(resource, desired)).result is Result.UPDATED
    live = world.live(resource)
    assert (live.get("immutable"), live["data"]) == (None, desired["data"])
    world.requests()
    await world.relist(resource)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == []


async def test_a_secret_of_another_type_under_decco_s_name_is_created_again(world: World) -> None:
    """Somebody deleted the copy and created it again with all its metadata, but as another type."""
    desired = desired_objects(world)[SECRETS]
    await world.ensure(SECRETS, desired)
    live = world.live(SECRETS)
    world.delete(SECRETS)
    meta = {part: live["metadata"][part] for part in ("name", "labels", "annotations", "ownerReferences")}
    world.cp.create(world.path(SECRETS), {"metadata": meta, "type": "Opaque", "data": live["data"]})
    await world.restart(SECRETS)
    desired["data"]["tls.key"] = encoded("another")
    assert (await world.ensure(SECRETS, desired)).result is Result.UPDATED
    assert world.live(SECRETS)["type"] == "kubernetes.io/tls"


async def test_a_deployment_is_never_deleted_because_it_cannot_be_changed(world: World) -> None:
    desired = desired_objects(world)[DEPLOYMENTS]
    made = await world.ensure(DEPLOYMENTS, desired)
    other = {"app": "web", "more": "1"}
    desired["spec"]["selector"]["matchLabels"] = other
    desired["spec"]["template"]["metadata"]["labels"] = other
    with pytest.raises(Invalid) as caught:
        await world.ensure(DEPLOYMENTS, desired)
    assert caught.value.immutable
    assert made.entry is not None
    assert world.live(DEPLOYMENTS)["metadata"]["uid"] == made.entry.uid


def test_a_renewed_certificate_reaches_a_copy_that_was_made_immutable(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str
) -> None:
    cluster.create(tls_secret(f"{name}-http", f"{name}.example.net"))
    cluster.make_space(name, httpCertSecretName=f"{name}-http")
    copy = f"/api/v1/namespaces/{name}/secrets/{name}-http"
    eventually(lambda: cluster.get(copy), 30)
    answer = control_plane.request(
        "PATCH", copy, {"immutable": True}, headers={"Content-Type": "application/merge-patch+json"}
    )
    assert answer.status == 200
    renewed = tls_secret(f"{name}-http", f"{name}.example.net")
    cluster.patch(f"/api/v1/namespaces/decco/secrets/{name}-http", {"data": renewed["data"]})
    eventually(lambda: (cluster.get(copy) or {}).get("data") == renewed["data"], 60)
    eventually(lambda: (cluster.space_condition(name, "CertificatesReady") or {}).get("status") == "True", 60)


def test_a_space_follows_its_quota_s_scopes(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name, resourceQuota={"hard": {"pods": "10"}, "scopes": ["NotBestEffort"]})
    quota = f"/api/v1/namespaces/{name}/resourcequotas/decco"
    for scopes in (["NotTerminating"], None):
        cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"resourceQuota": {"scopes": scopes}}})
        eventually(lambda: (cluster.get(quota) or {}).get("spec", {}).get("scopes") == scopes, 30)  # noqa: B023
    eventually(lambda: (cluster.space_condition(name, "NamespaceReady") or {}).get("status") == "True", 30)


# -- deleted again and again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", [SERVICES, CONFIGMAPS, DEPLOYMENTS, NETWORK_POLICIES], ids=named)
async def test_an_object_that_is_deleted_again_and_again_is_created_with_pauses(
    world: World, resource: Resource
) -> None:
    desired = desired_objects(world)[resource]
    await world.ensure(resource, desired)
    for _ in range(FREE_REPAIRS):
        await deleted(world, resource)
        assert (await world.ensure(resource, desired)).result is Result.CREATED
    await deleted(world, resource)
    world.requests()
    for _ in range(3):
        with pytest.raises(DriftConflict) as caught:
            await world.ensure(resource, desired)
    assert caught.value.deletes
    assert world.requests() == ["GET 404"]


async def deleted(world: World, resource: Resource) -> None:
    world.delete(resource)
    await world.eventually(lambda: world.cp.request("GET", world.path(resource, "web")).status == 404)
    await world.relist(resource)


def test_who_deletes_a_child_again_and_again_is_reported(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    cluster.create(app(name, "web"))
    path = f"/api/v1/namespaces/{name}/services/web"
    eventually(lambda: cluster.get(path), 30)
    decco.settle()
    uids: set[str] = set()
    before = decco.metric('decco_child_repairs_total{resource="services"')

    def reported() -> bool:
        live = cluster.get(path)
        if live is not None:
            uids.add(live["metadata"]["uid"])
            cluster.delete(path)
        conditions = ((cluster.app(name, "web") or {}).get("status") or {}).get("conditions") or []
        found = [each for each in conditions if each["reason"] == "Contested"]
        return any("deleted again and again" in each["message"] for each in found)

    eventually(reported, 200)
    assert len(uids) <= FREE_REPAIRS + 4
    assert decco.metric('decco_child_repairs_total{resource="services"') - before >= FREE_REPAIRS
    events = f"/apis/events.k8s.io/v1/namespaces/{name}/events"
    eventually(lambda: any(each["reason"] == "Contested" for each in cluster.items(events)), 30)
    eventually(lambda: cluster.get(path), 60, "the pause ends by itself")


async def test_the_desired_object_of_another_owner_does_not_wait(world: World) -> None:
    desired = desired_objects(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    for _ in range(FREE_REPAIRS):
        await deleted(world, CONFIGMAPS)
        await world.ensure(CONFIGMAPS, desired)
    await deleted(world, CONFIGMAPS)
    desired["data"]["a"] = "of another generation"
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.CREATED
    assert world.stores[CONFIGMAPS].get(Key(world.namespace, "web")) is not None
