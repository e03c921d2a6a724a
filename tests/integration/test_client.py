"""The client against a real API server: its requests have the intended effect, and it parses the answers."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from decco.kube import errors, events
from decco.kube.client import PAGE_BYTES, Client
from decco.kube.config import connect
from decco.kube.discovery import served, server_version
from decco.kube.errors import KubeError, Unreachable
from decco.kube.events import Recorder
from decco.objects import (
    APPS,
    CONFIGMAPS,
    GATEWAY_GROUP,
    GROUP,
    NAMESPACES,
    RESOURCE_QUOTAS,
    SPACES,
    Key,
    Obj,
    Resource,
    key_of,
    uid_of,
)
from testbed.controlplane import ControlPlane
from testbed.faults import CutReply, Drop, LoseReply, html, refuse
from testbed.proxy import FaultProxy
from tests.capture import capture_logs
from tests.promises import PATIENCE

MIB = 2**20


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with Client(await connect(str(control_plane.controller_kubeconfig)), user_agent="decco-test") as client:
        yield client


@pytest.fixture
async def faulty(proxy: FaultProxy) -> AsyncIterator[Client]:
    """A client that goes through the fault proxy."""
    async with Client(await connect(str(proxy.kubeconfig)), user_agent="decco-test") as client:
        yield client


@pytest.fixture
async def namespace(client: Client, name: str) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    made = await client.create(NAMESPACES, {"metadata": {"name": f"client-{name}"}})
    yield made["metadata"]["name"]
    await client.delete(NAMESPACES, key_of(made), uid=uid_of(made))


def configmap(namespace: str, name: str = "cm", **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": data}


async def test_an_object_through_its_whole_life(client: Client, namespace: str) -> None:
    made = await client.create(CONFIGMAPS, configmap(namespace, a="1"), strict=True)
    assert uid_of(made)
    key = key_of(made)
    assert (await client.get(CONFIGMAPS, key))["data"] == {"a": "1"}

    replaced = await client.replace(CONFIGMAPS, {**made, "data": {"b": "2"}})
    assert replaced["data"] == {"b": "2"}
    patched = await client.patch(CONFIGMAPS, key, {"data": {"b": None, "c": "3"}})
    assert patched["data"] == {"c": "3"}
    assert {m["manager"] for m in patched["metadata"]["managedFields"]} == {"decco"}

    await client.delete(CONFIGMAPS, key, uid=uid_of(made), resource_version=patched["metadata"]["resourceVersion"])
    with pytest.raises(errors.NotFound):
        await client.get(CONFIGMAPS, key)


async def test_a_status_is_written_apart(client: Client, namespace: str) -> None:
    app: Obj = {
        "apiVersion": APPS.api_version,
        "kind": APPS.kind,
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {"pod": {"containers": [{"name": "c", "image": "i"}]}},
    }
    made = await client.create(APPS, app)
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "AsExpected",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    changed = {**made, "spec": {"pod": {"containers": []}}, "status": {"conditions": [condition]}}
    replaced = await client.replace_status(APPS, changed)
    assert replaced["status"]["conditions"][0]["reason"] == "AsExpected"
    assert replaced["spec"] == made["spec"]
    with pytest.raises(errors.Conflict):
        await client.replace_status(APPS, changed)


# Refusals


async def refused(awaitable: Any) -> KubeError:
    with pytest.raises(KubeError) as caught:
        await awaitable
    return caught.value


async def test_refusals_as_the_server_words_them(client: Client, namespace: str) -> None:
    made = await client.create(CONFIGMAPS, configmap(namespace))
    app_without_pod = {**made, "apiVersion": APPS.api_version, "kind": "App", "metadata": {**made["metadata"]}}
    app_without_pod["metadata"].pop("resourceVersion")
    unknown = Resource("", "v1", "nonesuch", "Nonesuch")
    table: list[tuple[Any, type[KubeError]]] = [
        (client.get(CONFIGMAPS, Key(namespace, "none")), errors.NotFound),
        (client.get(unknown, Key(namespace, "x")), errors.NotServed),
        (client.create(CONFIGMAPS, configmap("no-such-namespace")), errors.NotFound),
        (client.create(CONFIGMAPS, configmap(namespace)), errors.AlreadyExists),
        (client.create(CONFIGMAPS, configmap(namespace, "Not A Name")), errors.Invalid),
        (client.create(CONFIGMAPS, {**configmap(namespace, "x"), "data": {"a": 1}}), errors.BadRequest),
        (client.create(CONFIGMAPS, {**configmap(namespace, "x"), "dada": {}}, strict=True), errors.BadRequest),
        (client.create(APPS, app_without_pod), errors.Invalid),
        (client.create(CONFIGMAPS, {**configmap(namespace, "x"), "kind": "Secret"}), errors.BadRequest),
        (client.raw("/apis/authentication.k8s.io/v1/tokenreviews"), errors.MethodNotAllowed),
        (client.create(CONFIGMAPS, configmap(namespace, "x", a="y" * 2 * MIB)), errors.KubeError),
        (client.raw("/no/such/path"), errors.NotServed),
    ]  # fmt: skip
    for awaitable, expected in table:
        error = await refused(awaitable)
        assert isinstance(error, expected), (error, expected)
        assert not isinstance(error, errors.Garbled), error
        assert str(error)
    newer = await client.patch(CONFIGMAPS, key_of(made), {"data": {"a": "b"}})
    assert isinstance(await refused(client.replace(CONFIGMAPS, made)), errors.Conflict)
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    assert isinstance(await refused(client.patch(CONFIGMAPS, key_of(made), stale)), errors.Conflict)
    assert (await client.get(CONFIGMAPS, key_of(made)))["metadata"] == newer["metadata"]


async def test_what_rbac_refuses_says_who_and_what(control_plane: ControlPlane) -> None:
    connection = await connect(str(control_plane.kubeconfig_for("nobody-special")))
    async with Client(connection, user_agent="decco-test") as stranger:
        error = await refused(stranger.get(SPACES, Key("", "x")))
        assert isinstance(error, errors.Forbidden)
        assert 'User "nobody-special" cannot get resource "spaces"' in str(error)
        assert not error.namespace_terminating
        assert not error.quota_exceeded


async def test_a_quota_and_a_terminating_namespace_are_recognized(client: Client, namespace: str) -> None:
    quota = {"metadata": {"name": "q", "namespace": namespace}, "spec": {"hard": {"configmaps": "1"}}}
    made = await client.create(RESOURCE_QUOTAS, quota)
    version = made["metadata"]["resourceVersion"]
    async with asyncio.timeout(PATIENCE):  # the quota counts once the controller-manager has processed it
        async for line in client.watch_lines(
            RESOURCE_QUOTAS,
            namespace=namespace,
            fields="metadata.name=q",
            resource_version=version,
            timeout_seconds=60,
            idle_seconds=20,
        ):
            if b'"used"' in line:
                break
    error = await refused(create_many(client, namespace, 3))
    assert isinstance(error, errors.Forbidden)
    assert error.quota_exceeded, error

    held = await client.create(NAMESPACES, {"metadata": {"name": f"{namespace}-held"}})
    pin = configmap(f"{namespace}-held", "pin")
    pin["metadata"]["finalizers"] = ["decco.test/hold"]
    pin = await client.create(CONFIGMAPS, pin)
    await client.delete(NAMESPACES, key_of(held), uid=uid_of(held))
    error = await refused(create_many(client, f"{namespace}-held", 1))
    assert isinstance(error, errors.Forbidden)
    assert error.namespace_terminating, error
    await client.delete(NAMESPACES, key_of(held), uid=uid_of(held))  # it is going already: nothing left to do
    await client.patch(CONFIGMAPS, key_of(pin), {"metadata": {"finalizers": None}})


async def create_many(client: Client, namespace: str, count: int) -> None:
    for i in range(count):
        await client.create(CONFIGMAPS, configmap(namespace, f"many-{i}"))


async def test_a_delete_hits_this_very_object_or_nothing(client: Client, namespace: str) -> None:
    first = await client.create(CONFIGMAPS, configmap(namespace))
    key = key_of(first)
    await client.delete(CONFIGMAPS, key, uid=uid_of(first))
    await client.delete(CONFIGMAPS, key, uid=uid_of(first))  # gone
    second = await client.create(CONFIGMAPS, configmap(namespace))
    await client.delete(CONFIGMAPS, key, uid=uid_of(first))  # another of the same name
    assert uid_of(await client.get(CONFIGMAPS, key)) == uid_of(second)
    await client.patch(CONFIGMAPS, key, {"data": {"a": "b"}})
    version = second["metadata"]["resourceVersion"]
    error = await refused(client.delete(CONFIGMAPS, key, uid=uid_of(second), resource_version=version))
    assert isinstance(error, errors.Conflict)
    assert uid_of(await client.get(CONFIGMAPS, key)) == uid_of(second)


# Lists


async def test_a_list_in_pages_is_whole_and_each_page_is_small(
    client: Client, faulty: Client, proxy: FaultProxy, namespace: str
) -> None:
    """64 small ones, then 6 of 1 MiB, then small ones again."""
    sizes = [200] * 64 + [MIB - 1000] * 6 + [200] * 230
    await asyncio.gather(
        *(client.create(CONFIGMAPS, configmap(namespace, f"c{i:03}", x="x" * size)) for i, size in enumerate(sizes))
    )
    pages = [
        p async for p in faulty.list_pages(CONFIGMAPS, namespace=namespace, fields="metadata.name!=kube-root-ca.crt")
    ]
    items = [o for p in pages for o in p.items]
    assert [(o["metadata"]["name"], len(o["data"]["x"])) for o in items] == [
        (f"c{i:03}", s) for i, s in enumerate(sizes)
    ]
    assert {(o["apiVersion"], o["kind"]) for o in items} == {("v1", "ConfigMap")}
    assert len({p.resource_version for p in pages}) == 1
    assert [p.remaining for p in pages] == [True] * (len(pages) - 1) + [False]
    asked = [int(seen.call.query["limit"]) for seen in proxy.seen]
    assert asked[:2] == [64, 128]
    assert asked[2] <= 128 * PAGE_BYTES // (6 * MIB - 6000)  # after the large ones fewer are asked for
    assert asked[3] == 2 * asked[2]  # and more again


async def test_a_list_whose_token_expires_says_so(
    faulty: Client, proxy: FaultProxy, namespace: str, client: Client
) -> None:
    await create_many(client, namespace, 70)
    pages = faulty.list_pages(CONFIGMAPS, namespace=namespace)
    assert len((await anext(pages)).items) == 64
    proxy.add(refuse(410, "The provided continue parameter is too old", reason="Expired"), times=1)
    assert isinstance(await refused(anext(pages)), errors.Gone)


# Through a bad network


@pytest.mark.parametrize("fault", [Drop(), LoseReply(), CutReply()])
async def test_a_write_is_sent_once_whatever_happens(
    client: Client, faulty: Client, proxy: FaultProxy, namespace: str, fault: Any
) -> None:
    proxy.add(fault, method="POST")
    error = await refused(faulty.create(CONFIGMAPS, configmap(namespace)))
    assert isinstance(error, Unreachable)
    assert proxy.count("POST") == 1
    if isinstance(fault, Drop):
        assert isinstance(await refused(client.get(CONFIGMAPS, Key(namespace, "cm"))), errors.NotFound)
    else:
        await client.get(CONFIGMAPS, Key(namespace, "cm"))
    assert error.sent is (True if isinstance(fault, CutReply) else None)


@pytest.mark.parametrize("fault", [Drop(), LoseReply(), CutReply()])
async def test_a_read_is_sent_again(faulty: Client, proxy: FaultProxy, fault: Any) -> None:
    proxy.add(fault, times=2)
    assert key_of(await faulty.get(NAMESPACES, Key("", "default"))) == Key("", "default")
    assert [p.resource_version async for p in faulty.list_pages(SPACES)]


async def test_a_server_under_load_is_obeyed(client: Client, faulty: Client, proxy: FaultProxy, namespace: str) -> None:
    proxy.add(refuse(429, retry_after=1), times=1)
    started = time.monotonic()
    made = await faulty.create(CONFIGMAPS, configmap(namespace))
    assert time.monotonic() - started >= 1.0
    assert uid_of(await client.get(CONFIGMAPS, key_of(made))) == uid_of(made)
    assert proxy.count("POST") == 2


@pytest.mark.parametrize("status", [200, 403])
async def test_a_login_page_is_no_answer(faulty: Client, proxy: FaultProxy, status: int) -> None:
    proxy.add(html(status))
    error = await refused(faulty.get(NAMESPACES, Key("", "default")))
    assert isinstance(error, errors.Garbled)
    assert "<!DOCTYPE html>" in str(error)


async def test_a_server_that_is_not_there(faulty: Client, proxy: FaultProxy) -> None:
    await proxy.stop_listening()
    error = await refused(faulty.create(CONFIGMAPS, configmap("default")))
    assert isinstance(error, Unreachable)
    assert error.sent is False
    assert str(error).startswith(f"cannot connect to {proxy.url}: ")


# Who we are


def kubeconfig(cp: ControlPlane, path: Path, user: dict[str, Any]) -> str:
    ca = base64.b64encode(cp.ca_file.read_bytes()).decode()
    document = {
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": cp.url, "certificate-authority-data": ca}}],
        "users": [{"name": "x", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.mark.parametrize("kind", ["token", "token file", "certificate files", "inline certificate"])
async def test_the_server_knows_us(control_plane: ControlPlane, tmp_path: Path, kind: str) -> None:
    cp = control_plane
    (tmp_path / "token").write_text(cp.admin_token + "\n")
    user = {
        "token": {"token": cp.admin_token},
        "token file": {"tokenFile": "token"},
        "certificate files": {"client-certificate": str(cp.client_cert), "client-key": str(cp.client_key)},
        "inline certificate": {
            "client-certificate-data": base64.b64encode(cp.client_cert.read_bytes()).decode(),
            "client-key-data": base64.b64encode(cp.client_key.read_bytes()).decode(),
        },
    }[kind]
    async with Client(await connect(kubeconfig(cp, tmp_path / "config", user)), user_agent="decco-test") as client:
        assert key_of(await client.get(NAMESPACES, Key("", "default"))).name == "default"


async def test_a_token_that_is_replaced_is_read_after_a_401(control_plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("no longer good")
    connection = await connect(kubeconfig(control_plane, tmp_path / "config", {"tokenFile": "token"}))
    async with Client(connection, user_agent="decco-test") as client:
        (tmp_path / "token").write_text(control_plane.admin_token)
        await client.get(NAMESPACES, Key("", "default"))


async def test_a_wrong_token_is_said(control_plane: ControlPlane, tmp_path: Path) -> None:
    connection = await connect(kubeconfig(control_plane, tmp_path / "config", {"token": "wrong"}))
    async with Client(connection, user_agent="decco-test") as client:
        assert isinstance(await refused(client.get(NAMESPACES, Key("", "default"))), errors.Unauthorized)


async def test_a_dry_run_changes_nothing(control_plane: ControlPlane, client: Client, namespace: str) -> None:
    made = await client.create(CONFIGMAPS, configmap(namespace, a="1"))
    mark = control_plane.audit_mark()
    connection = await connect(str(control_plane.controller_kubeconfig))
    async with Client(connection, user_agent="decco-test", dry_run=True) as dry:
        with capture_logs() as logs:
            await dry.create(CONFIGMAPS, configmap(namespace, "other"))
            await dry.replace(CONFIGMAPS, {**made, "data": {}})
            await dry.patch(CONFIGMAPS, key_of(made), {"data": None})
            await dry.delete(CONFIGMAPS, key_of(made), uid=uid_of(made))
    assert len(logs) == 4
    assert await asyncio.to_thread(control_plane.audit, "decco", since=mark, writes=True) == []
    assert (await client.get(CONFIGMAPS, key_of(made)))["data"] == {"a": "1"}


# Discovery


async def test_kinds_at_their_versions(client: Client, control_plane: ControlPlane) -> None:
    ours = await served(client, GROUP)
    assert ours == {"App": APPS, "Space": SPACES}
    gateway = await served(client, GATEWAY_GROUP)
    assert gateway["HTTPRoute"] == Resource(GATEWAY_GROUP, "v1", "httproutes", "HTTPRoute")
    assert gateway["GatewayClass"].namespaced is False
    for resource in gateway.values():
        assert [p async for p in client.list_pages(resource)], resource  # each is really served there
    assert await served(client, "no.such.group") == {}
    major, minor, _ = control_plane.version.split(".")
    assert await server_version(client) == (int(major), int(minor))


# Events


async def test_events_are_accepted_and_counted(client: Client, control_plane: ControlPlane, namespace: str) -> None:
    dropped: list[int] = []
    recorder = Recorder(client, controller="decco.platform9.com/controller", on_drop=lambda: dropped.append(1))
    task = asyncio.create_task(recorder.run())
    about = await client.create(CONFIGMAPS, configmap(namespace))
    space = {"apiVersion": SPACES.api_version, "kind": "Space", "metadata": {"name": namespace, "uid": "no-such-uid"}}
    for _ in range(3):
        recorder.event(about, "Warning", "SecretMissing", "the Secret «tls» is missing\n" + "x" * 2000, "Reconcile")
    recorder.event(space, "Normal", "Ready", "it is up", "Reconcile")
    recorder.event(
        {**about, "metadata": {**about["metadata"], "namespace": "no-such-namespace"}}, "Normal", "A", "b", "C"
    )
    await recorder.drain(20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    found = [o async for p in client.list_pages(events.EVENTS, namespace=namespace) for o in p.items]
    ours = [e for e in found if e.get("reportingController") == "decco.platform9.com/controller"]
    assert [(e["reason"], e["series"]["count"], e["regarding"]["name"]) for e in ours] == [("SecretMissing", 2, "cm")]
    text = await asyncio.to_thread(control_plane.kubectl, "describe", "configmap", "cm", "-n", namespace)
    assert "the Secret «tls» is missing" in str(text)
    default = [o async for p in client.list_pages(events.EVENTS, namespace="default") for o in p.items]
    assert Counter(e["regarding"].get("name") for e in default)[namespace] == 1
    assert len(dropped) == 1
