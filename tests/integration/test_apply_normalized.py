"""Normalization by the API server is not an alteration; a tenant's change of one object does not affect others."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from decco.kube import watch as w
from decco.kube.apply import Result
from decco.kube.informer import Informer
from decco.kube.store import Store
from decco.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    JOBS,
    LABEL_MANAGED_BY,
    MANAGED_SELECTOR,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SERVICES,
    Key,
    Obj,
    Resource,
    key_of,
)
from decco.reconcilers.kinds import children
from tests.integration.applier_world import World, deployment, desired_objects, job
from tests.promises import PATIENCE

# What the server makes of a PodSpec -----------------------------------------------------------------------------------


def container(**fields: Any) -> Obj:
    return {"containers": [{"name": "main", "image": "registry.example/app:1", **fields}]}


LIMIT = {"containerName": "main", "resource": "limits.cpu", "divisor": 0}


def volumes(*sources: Obj) -> Obj:
    listed = [{"name": f"v{number}", **source} for number, source in enumerate(sources)]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in listed]
    return {**container(volumeMounts=mounts), "volumes": listed}


NORMALIZED: dict[str, Obj] = {
    "quantities": container(
        resources={
            "requests": {"cpu": 0.5, "memory": "1024Mi", "ephemeral-storage": 1000000},
            "limits": {"cpu": "1000m", "memory": "2048Mi", "ephemeral-storage": "1000k"},
        }
    ),
    "ports as numbers and names": container(
        ports=[{"containerPort": 80, "name": "web"}, {"containerPort": 80, "protocol": "UDP", "hostPort": 0}],
        readinessProbe={"httpGet": {"port": "web"}},
        livenessProbe={"tcpSocket": {"port": 80}, "initialDelaySeconds": 0},
        startupProbe={"httpGet": {"port": 80, "path": "", "host": "", "scheme": ""}, "periodSeconds": 0},
    ),
    "false everywhere": {
        **container(
            stdin=False,
            stdinOnce=False,
            tty=False,
            securityContext={
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": False,
                "runAsNonRoot": False,
            },
            envFrom=[{"configMapRef": {"name": "x", "optional": False}}],
        ),
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "setHostnameAsFQDN": False,
    },
    "zero everywhere": {
        **container(securityContext={"runAsUser": 0, "runAsGroup": 0}),
        "securityContext": {"fsGroup": 0, "runAsUser": 0},
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
    },
    "empty texts": {
        **container(
            env=[{"name": "A", "value": ""}, {"name": "B"}, {"name": "C", "value": None}],
            workingDir="",
            terminationMessagePath="",
            imagePullPolicy="",
        ),
        "hostname": "",
        "subdomain": "",
        "nodeName": "",
        "schedulerName": "",
        "priorityClassName": "",
        "serviceAccountName": "",
        "dnsPolicy": "",
        "restartPolicy": "",
    },
    "empty lists and maps": {
        **container(
            env=[],
            envFrom=[],
            args=[],
            command=[],
            ports=[],
            volumeMounts=[],
            resources={},
            securityContext={},
            lifecycle={},
        ),
        "initContainers": [],
        "volumes": [],
        "tolerations": [],
        "nodeSelector": {},
        "imagePullSecrets": [],
        "hostAliases": [],
        "topologySpreadConstraints": [],
        "readinessGates": [],
        "affinity": {},
        "securityContext": {},
        "dnsConfig": {},
    },
    "maps of nothing": {
        **container(resources={"limits": {}, "requests": {}}, securityContext={"capabilities": {"drop": []}}),
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "dnsConfig": {"options": [], "nameservers": []},
        "securityContext": {"sysctls": [], "seLinuxOptions": {"level": ""}},
    },
    "null": {**container(env=None, command=None, resources=None), "volumes": None, "nodeSelector": None},
    "volumes": volumes(
        {"emptyDir": {}},
        {"emptyDir": {"medium": "", "sizeLimit": "1024Mi"}},
        {"configMap": {"name": "x", "items": [], "optional": False}},
        {"secret": {"secretName": "x", "defaultMode": 0o400}},
        {"hostPath": {"path": "/srv", "type": ""}},
        {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "x", "items": []}}]}},
        {"downwardAPI": {"items": [{"path": "p", "resourceFieldRef": LIMIT}]}},
        {"persistentVolumeClaim": {"claimName": "x", "readOnly": False}},
    ),
    "environment from elsewhere": container(
        env=[
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": ""}}},
            {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1024Ki"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y", "optional": False}}},
        ]
    ),
    "a variable twice": container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
    "scheduling": {
        **container(),
        "nodeSelector": {"node-role.kubernetes.io/edge": ""},
        "tolerations": [{"key": "", "operator": "Exists", "value": ""}],
        "serviceAccount": "legacy",
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "web"}, "matchExpressions": []},
            }
        ],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {}}}}
                ]
            }
        },
    },
    "a native sidecar": {
        **container(),
        "initContainers": [
            {
                "name": "tls",
                "image": "stunnel:1",
                "restartPolicy": "Always",
                "startupProbe": {"exec": {"command": ["true"]}, "failureThreshold": 60},
                "securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {}},
            }
        ],
    },
}
NORMALIZED["a native sidecar"]["initContainers"][0]["securityContext"]["seccompProfile"] = {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", NORMALIZED)
@pytest.mark.parametrize("kind", ["Deployment", "Job"])
async def test_what_the_server_normalizes_is_no_alteration(world: World, name: str, kind: str) -> None:
    """Neither within one life of the process nor after a restart, which has nothing but the object to go by."""
    pod = copy.deepcopy(NORMALIZED[name])
    resource, desired = (DEPLOYMENTS, deployment(world, pod)) if kind == "Deployment" else (JOBS, job(world, pod=pod))
    desired["spec"]["template"].setdefault("metadata", {})["creationTimestamp"] = None
    await world.ensure(resource, desired)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    await world.restart(resource)
    for _ in range(2):
        assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == ["POST 201"]


EMPTY_OBJECTS: dict[str, Callable[[World], tuple[Resource, Obj]]] = {
    "ConfigMap without data": lambda world: (CONFIGMAPS, world.desired(CONFIGMAPS)),
    "ConfigMap with empty data": lambda world: (CONFIGMAPS, world.desired(CONFIGMAPS, data={}, immutable=False)),
    "NetworkPolicy that closes": lambda world: (
        NETWORK_POLICIES,
        world.desired(NETWORK_POLICIES, spec={"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}),
    ),
    "NetworkPolicy with empty peers": lambda world: (
        NETWORK_POLICIES,
        world.desired(
            NETWORK_POLICIES,
            spec={
                "podSelector": {"matchLabels": {}, "matchExpressions": []},
                "ingress": [{"from": [], "ports": []}, {"from": [{"namespaceSelector": {}, "podSelector": {}}]}],
            },
        ),
    ),
    "Service with everything explicit": lambda world: (
        SERVICES,
        world.desired(
            SERVICES,
            spec={
                "type": "ClusterIP",
                "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP", "nodePort": 0}],
                "selector": {},
                "publishNotReadyAddresses": False,
                "externalIPs": [],
                "loadBalancerIP": "",
            },
        ),
    ),
    "quota of quantities": lambda world: (
        RESOURCE_QUOTAS,
        world.desired(RESOURCE_QUOTAS, spec={"hard": {"requests.cpu": 1.5, "limits.memory": "3072Mi"}, "scopes": []}),
    ),
}


@pytest.mark.parametrize("name", EMPTY_OBJECTS)
async def test_what_the_server_leaves_out_is_no_alteration(world: World, name: str) -> None:
    resource, desired = EMPTY_OBJECTS[name](world)
    await world.ensure(resource, desired)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    await world.restart(resource)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == ["POST 201"]


# Objects made to do harm ----------------------------------------------------------------------------------------------

HARMFUL = {
    "managed fields 1,200 levels deep": ('{"f:data":' + '{"f:a":' * 1200 + "{}" + "}" * 1201, "1"),
    "a key with a list in the managed fields": ('{"f:data":{"k:{\\"name\\":[\\"x\\"]}":{"f:z":{}}}}', "1"),
    "a key with a map in the managed fields": ('{"f:data":{"k:{\\"name\\":{\\"y\\":1}}":{"f:z":{}}}}', "1"),
    "100,000 managed fields": ("{" + ",".join(f'"f:{number}":{{}}' for number in range(100_000)) + "}", "1"),
    "half a megabyte in 100 levels of brackets, as text": ("{}", '[{\\"' * 125_000),
}


@pytest.mark.parametrize("name", HARMFUL)
async def test_an_object_made_to_do_harm_hides_no_other(world: World, name: str) -> None:
    """Any tenant may write this into an object with the label that decco watches by; the API server keeps it."""
    fields, text = HARMFUL[name]
    entry = f'{{"manager":"evil","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{fields}}}'
    meta = f'"name":"harmful","labels":{{"{LABEL_MANAGED_BY}":"decco"}},"managedFields":[{entry}]'
    path = world.path(CONFIGMAPS)
    send = world.client._transport.call
    made = await send("POST", "x", path, b'{"metadata":{"name":"harmful"}}')
    assert b"harmful" in made
    await send("PUT", "x", f"{path}/harmful", f'{{"metadata":{{{meta}}},"data":{{"a":"{text}"}}}}'.encode())
    desired = desired_objects(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)

    spec = w.WatchSpec(CONFIGMAPS, namespace=world.namespace, labels=MANAGED_SELECTOR)
    store = Store(CONFIGMAPS, children({})[CONFIGMAPS])
    informer = Informer(store, lambda: w.watch(world.client, spec, idle_seconds=90.0))
    following = asyncio.create_task(informer.run())
    async with asyncio.timeout(PATIENCE):
        await informer.synced.wait()
    harmful = Key(world.namespace, "harmful")
    assert {entry.key for entry in store} == {key_of(desired), harmful}
    before = store.get(harmful)
    assert before is not None

    # The same by the watch: the change arrives, and so does what comes after it.
    await asyncio.to_thread(world.kubectl, "annotate", "configmap", "harmful", "x=y")
    await asyncio.to_thread(world.kubectl, "annotate", "configmap", "web", "x=y")
    await world.eventually(lambda: "x" in store.get(key_of(desired)).obj()["metadata"]["annotations"])  # type: ignore[union-attr]
    after = store.get(harmful)
    assert after is not None
    assert after.version > before.version
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
