"""Writes that fail in every way, and a controller that is ended or killed in the middle of its work.

However it went, in the end every App has exactly the children that an App has to which nothing happened, each written
as it should be, and nothing is left of Apps that are gone. On a control plane of its own, since some hundreds of Apps
would be in everybody else's way.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from testbed.faults import Action, Call, CutReply, Delay, Drop, Hold, LoseReply, html, refuse
from testbed.proxy import FaultProxy
from tests.integration.harness import (
    APIS,
    Cluster,
    Decco,
    Obj,
    app,
    eventually,
    own_control_plane,
    pod,
    soon,
    tls_secret,
)
from tests.integration.logs import assert_no_secrets, assert_sound, repetitions
from tests.promises import promised, timed
from tests.sample import full

Children = dict[str, set[tuple[str, str]]]

APPS = 30
FAULTS_OF_A_KIND = 10
"""How often each fault strikes; there are nine kinds, and some 200 writes to strike."""
HELD = 2
"""Writes that are never answered: the client gives each up after 30 s."""
TERMINATED_APPS = 100
KILLED_APPS = 50
KILLS = int(os.environ.get("KILLS", "10"))
"""How often the controller is killed; each costs a start."""
END_SECONDS = 5.0
"""From SIGTERM to the end, whatever is under way."""
SEED = int(os.environ.get("SEED", "1"))
CHILD_KINDS = {
    "configmaps": "/api/v1",
    "services": "/api/v1",
    "secrets": "/api/v1",
    "resourcequotas": "/api/v1",
    "limitranges": "/api/v1",
    "deployments": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "ingresses": "/apis/networking.k8s.io/v1",
    "gateways": "/apis/gateway.networking.k8s.io/v1",
    "httproutes": "/apis/gateway.networking.k8s.io/v1",
    "tlsroutes": "/apis/gateway.networking.k8s.io/v1",
}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    with own_control_plane() as cp:
        yield cp


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


def full_app(namespace: str, name: str) -> Obj:
    """An App with a child of every kind that an App can have at once."""
    endpoints = [
        {"name": f"{name}-http", "port": 8080, "httpPath": f"/{name}"},
        {"name": f"{name}-tls", "port": 5432},
    ]
    return app(namespace, name, pod=pod(8080, 5432), endpoints=endpoints)


class Town:
    """One Space with many equal Apps."""

    def __init__(self, cluster: Cluster, name: str, count: int) -> None:
        self.cluster = cluster
        self.name = name
        self.apps = [f"a{number:03d}" for number in range(count)]
        self.apps_path = f"{APIS}/namespaces/{name}/apps"

    def found(self) -> None:
        """The Space, while nothing is wrong yet."""
        self.cluster.create(tls_secret(self.name))
        self.cluster.make_space(self.name, tcpCertAndCaSecretName=self.name, httpCertSecretName=self.name)

    def populate(self) -> None:
        for each in self.apps:
            self.cluster.create(full_app(self.name, each))

    def children(self) -> Children:
        """UID of the owner -> (kind, name) of what decco made in this namespace."""
        found: Children = {}
        for plural, root in CHILD_KINDS.items():
            path = f"{root}/namespaces/{self.name}/{plural}?labelSelector=app.kubernetes.io/managed-by%3Ddecco"
            for item in self.cluster.items(path):
                for owner in item["metadata"]["ownerReferences"]:
                    if not owner.get("controller"):
                        continue
                    found.setdefault(owner["uid"], set()).add((plural, item["metadata"]["name"]))
        return found

    def finished(self, decco: Decco) -> None:
        """Waits until decco is at rest and all is complete, and then checks that nothing was done twice."""
        decco.settle()
        eventually(self.complete, 60)
        decco.settle()
        assert self.complete()
        # The controller-manager makes the ReplicaSets, in its own time.
        eventually(self.written_once, 30)

    def complete(self) -> bool:
        """Whether each App has its children, and no other object has any. Raises AssertionError with differences."""
        children = self.children()
        space = (self.cluster.space(self.name) or {})["metadata"]["uid"]
        apps = {item["metadata"]["uid"]: item for item in self.cluster.items(self.apps_path)}
        assert children.keys() <= {space, *apps}, "children without owner"
        assert len(apps) == len(self.apps)
        for uid, item in apps.items():
            name = item["metadata"]["name"]
            has, wants = children.get(uid, set()), wanted(name)
            assert has == wants, (name, "lacks", wants - has, "has too much", has - wants)
            conditions = (item.get("status") or {}).get("conditions") or []
            assert [each["type"] for each in conditions] == [
                "Ready",
                "WorkloadReady",
                "CertificatesReady",
                "RoutesReady",
            ]
            assert (item["status"]["observedGeneration"], conditions[1]["reason"]) == (1, "Progressing"), conditions
        return True

    def written_once(self) -> bool:
        """No Deployment was changed after it was made, so each has one ReplicaSet."""
        root = f"/apis/apps/v1/namespaces/{self.name}"
        generations = {
            item["metadata"]["name"]: item["metadata"]["generation"]
            for item in self.cluster.items(f"{root}/deployments")
        }
        assert generations == dict.fromkeys(self.apps, 1)
        owners = [item["metadata"]["ownerReferences"][0]["name"] for item in self.cluster.items(f"{root}/replicasets")]
        assert sorted(owners) == self.apps
        return True


def wanted(name: str) -> set[tuple[str, str]]:
    """The children of a ``full_app``."""
    return {
        ("networkpolicies", f"app-{name}"),
        ("configmaps", f"{name}-stunnel"),
        ("services", f"{name}-http"),
        ("services", f"{name}-tls"),
        ("deployments", name),
        ("httproutes", f"{name}-http"),
        ("tlsroutes", f"{name}-tls"),
    }


def sometimes(chance: float, dice: random.Random) -> Callable[[Call], bool]:
    return lambda call: call.method in WRITES and dice.random() < chance


@full
async def test_writes_that_fail_in_every_way(
    proxy: FaultProxy, control_plane: ControlPlane, cluster: Cluster, tmp_path: Path, name: str
) -> None:
    """30 Apps through refusals, errors, lost and cut answers, resets and silence; five are deleted meanwhile."""
    dice = random.Random(SEED)
    town = Town(cluster, name, APPS)
    decco = Decco(control_plane, tmp_path, kubeconfig=proxy.kubeconfig)
    await asyncio.to_thread(decco.start)
    try:
        await asyncio.to_thread(town.found)
        hold = Hold()
        held = proxy.add(hold, method="POST", path="/deployments$", times=HELD)
        faults: list[Action] = [
            refuse(429, retry_after=1),
            refuse(429),
            refuse(500),
            refuse(503),
            refuse(504),
            html(502),
            Drop(),
            LoseReply(),
            CutReply(),
        ]
        rules = [proxy.add(fault, when=sometimes(0.12, dice), times=FAULTS_OF_A_KIND) for fault in faults]
        began = time.monotonic()
        await asyncio.to_thread(town.populate)
        for each in town.apps[-5:]:
            await asyncio.to_thread(cluster.delete, f"{town.apps_path}/{each}")
        town.apps = town.apps[:-5]
        await held.hit(HELD)
        # The two that wait for an answer do not block others.
        deployments = f"/apis/apps/v1/namespaces/{name}/deployments"
        await soon(lambda: len(cluster.items(deployments)) >= len(town.apps) - HELD, 30 - (time.monotonic() - began))
        await soon(lambda: len(cluster.items(deployments)) == len(town.apps), 60, "the blocked ones too")
        await asyncio.to_thread(town.finished, decco)
        assert [rule.hits > 0 for rule in rules] == [True] * len(rules), [rule.hits for rule in rules]
        hold.release()
    finally:
        assert await asyncio.to_thread(decco.stop) == 0
    assert_sound(decco)
    assert_no_secrets(decco, cluster)
    assert max(repetitions(decco).values(), default=0) <= 3, repetitions(decco).most_common(3)


@pytest.mark.parametrize(
    "answering", [pytest.param(True, id="slow answers"), pytest.param(False, id="no answers", marks=full)]
)
@timed
async def test_sigterm_in_the_middle_of_work(
    proxy: FaultProxy, control_plane: ControlPlane, cluster: Cluster, tmp_path: Path, name: str, answering: bool
) -> None:
    """While 100 Apps are made by an API server that is slow, or does not answer any more: exit 0 within 5 s, and the
    next start finishes what was begun.
    """
    town = Town(cluster, name, TERMINATED_APPS)
    first = Decco(control_plane, tmp_path, kubeconfig=proxy.kubeconfig)
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(town.found)
    slow = proxy.add(
        Delay(0.3) if answering else Hold(), method="POST", path=f"/{name}/(services|deployments|tlsroutes)$"
    )
    await asyncio.to_thread(town.populate)
    await slow.hit(30)  # all workers of Apps but two are in the middle of one
    began = time.monotonic()
    assert await asyncio.to_thread(first.stop) == 0, first.tail()
    promised("the end after SIGTERM", time.monotonic() - began, END_SECONDS)
    assert_sound(first)
    begun = await asyncio.to_thread(town.children)
    assert 0 < sum(map(len, begun.values())) < TERMINATED_APPS * len(wanted("")), "neither nothing nor everything"
    proxy.clear()
    second = await asyncio.to_thread(Decco(control_plane, tmp_path).start)
    try:
        await asyncio.to_thread(town.finished, second)
    finally:
        assert await asyncio.to_thread(second.stop) == 0
    assert_sound(second)


@full
def test_killed_again_and_again(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path, name: str) -> None:
    """SIGKILL at ten random moments while 50 Apps are made: the last start finishes all of them."""
    dice = random.Random(SEED)
    town = Town(cluster, name, KILLED_APPS)
    decco = Decco(control_plane, tmp_path).start()
    town.found()
    town.populate()
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.0, 0.15))
        decco.kill()
        decco.start()  # returns as soon as its caches are full: there, the work begins
    try:
        town.finished(decco)
    finally:
        assert decco.stop() == 0
    assert_sound(decco)
    assert_no_secrets(decco, cluster)


async def test_a_lost_answer_about_a_copy_leaves_no_false_belief(
    proxy: FaultProxy, control_plane: ControlPlane, cluster: Cluster, tmp_path: Path, name: str
) -> None:
    """Copies of Secrets are not watched. All answers to a deletion are lost, and then the copy is wanted again; all
    answers to a creation are lost, and then it is not wanted any more.
    """
    secrets = f"/api/v1/namespaces/{name}/secrets"
    copy = f"{secrets}/{name}"
    decco = Decco(control_plane, tmp_path, kubeconfig=proxy.kubeconfig)
    await asyncio.to_thread(decco.start)

    async def edit(secret: str | None) -> None:
        path = f"/apis/decco.platform9.com/v1beta2/spaces/{name}"
        await asyncio.to_thread(cluster.patch, path, {"spec": {"httpCertSecretName": secret}})

    try:
        await asyncio.to_thread(cluster.create, tls_secret(name))
        await asyncio.to_thread(partial(cluster.make_space, name, httpCertSecretName=name))
        await soon(lambda: cluster.get(copy), 20)
        deletion = proxy.add(LoseReply(), method="DELETE", path=f"{copy}$")
        await edit(None)
        await deletion.hit(1)
        await soon(lambda: cluster.get(copy) is None, 20)
        await edit(name)
        await soon(lambda: cluster.get(copy), 20)
        proxy.clear()
        await edit(None)
        await soon(lambda: cluster.get(copy) is None, 20)
        await asyncio.to_thread(decco.settle)

        creation = proxy.add(LoseReply(), method="POST", path=f"{secrets}$")
        await edit(name)
        await creation.hit(1)
        await soon(lambda: cluster.get(copy), 20)
        await edit(None)
        await soon(lambda: cluster.get(copy) is None, 20)
    finally:
        assert await asyncio.to_thread(decco.stop) == 0
    assert_sound(decco)
