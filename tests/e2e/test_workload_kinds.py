"""A StatefulSet with volumes, and an App that is suspended and comes back, on real pods."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from testbed.cluster import Backend
from tests.e2e.conftest import BACKEND
from tests.e2e.world import Obj, World, eventually

PODS = 2


def volume(name: str, folder: Path, storage: str = "1Mi", of: str = "by-hand") -> Obj:
    """A volume on the node, made by hand: the testbed has no provisioner, and Kubernetes' own controller binds it.

    ``of`` is the storage class.
    """
    spec = {
        "capacity": {"storage": storage},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": of,
        "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def test_each_pod_of_a_stateful_set_has_its_volume(world: World, tmp_path: Path) -> None:
    """It keeps it when it starts again, and the claims outlive the App, as the fields say."""
    if world.cluster.node is None:
        pytest.skip("volumes of the node's own folders can be had with the testbed's own node only")
    tenant = world.tenant("stateful")
    volumes = [f"stateful-{number}" for number in range(PODS)]
    world.apply(*(volume(name, tmp_path / name) for name in volumes))
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "by-hand",
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    mounted = {"container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}}
    stateful = {"volumeClaimTemplates": [claim], "podManagementPolicy": "Parallel"}
    try:
        tenant.run(tenant.app("db", httpUrlPath="/db", initialReplicas=PODS, statefulSet=stateful, pod=mounted))
        tenant.settled("/db")
        pods = {pod["metadata"]["name"]: pod for pod in tenant.pods("db")}
        assert set(pods) == {f"db-{number}" for number in range(PODS)}
        claims = {each["metadata"]["name"]: each for each in world.list("persistentvolumeclaims", tenant.name)}
        assert set(claims) == {f"data-db-{number}" for number in range(PODS)}
        assert {each["status"]["phase"] for each in claims.values()} == {"Bound"}
        assert {each["spec"]["volumeName"] for each in claims.values()} == set(volumes)
        uid = pods["db-0"]["metadata"]["uid"]
        world.kubectl("delete", "pod", "db-0", "-n", tenant.name, "--wait=false")

        def again() -> bool:
            found = {pod["metadata"]["name"]: pod for pod in tenant.pods("db")}
            return "db-0" in found and found["db-0"]["metadata"]["uid"] != uid and len(found) == PODS

        eventually(again, what="db-0 starts again under its name")
        tenant.wait_app("db")
        bound = world.get("persistentvolumeclaim", "data-db-0", tenant.name)
        assert bound["spec"]["volumeName"] == claims["data-db-0"]["spec"]["volumeName"], "with the same volume"
        world.kubectl("delete", "apps.decco.platform9.com", "db", "-n", tenant.name)
        eventually(lambda: not tenant.pods("db"), what="its pods end")
        assert len(world.list("persistentvolumeclaims", tenant.name)) == PODS, "data is kept (Retain)"
    finally:
        world.kubectl("delete", "space", "stateful", "--wait=false", "--ignore-not-found")
        world.kubectl("delete", "persistentvolume", *volumes, "--wait=false", "--ignore-not-found")
        shutil.rmtree(tmp_path, ignore_errors=True)


def test_a_suspended_app_answers_503_and_comes_back(world: World) -> None:
    tenant = world.tenant("pause")
    app = tenant.app("web", httpUrlPath="/web", initialReplicas=1)
    tenant.run(app)
    tenant.settled("/web")

    def suspend(value: bool) -> None:
        patch = json.dumps({"spec": {"suspend": value}})
        world.kubectl("patch", "apps.decco.platform9.com", "web", "-n", tenant.name, "--type=merge", "-p", patch)
        tenant.wait_app("web")

    suspend(True)
    assert tenant.pods("web") == [], "Ready of a suspended App means that no pods are left"
    answer = eventually(lambda: (got := tenant.https("/web")).status == 503 and got, what="503 from the edge")
    assert not isinstance(answer, bool)
    if BACKEND is not Backend.INGRESS:
        eventually(lambda: tenant.https("/web").headers.get("retry-after") == "60", what="Retry-After")
    suspend(False)
    tenant.settled("/web")
    assert tenant.https("/web").json()["name"] == "pause/web"
    assert len(tenant.pods("web")) == 1
