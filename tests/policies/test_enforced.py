"""The picture that decco is explained with, by real connections: an enforcer that is not decco's stops or lets pass.

Each pod of the picture is a network namespace with the pod's address; its policies, labels and addresses are those on
the API server. A blocked connection is visible twice: the client gets no answer, and the enforcer reports the block.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import enforcer
from testbed.controlplane import ControlPlane
from testbed.enforcer import Enforcer, Verdict
from testbed.prerequisites import POLICIES, reason
from tests.integration.harness import APIS, Cluster, Decco, eventually
from tests.policies import picture
from tests.policies.picture import Connection
from tests.policies.rig import PODS, Attempt, Rig
from tests.policies.world import OUTSIDE, World, read
from tests.sample import full

LONG_TIMEOUT = 20.0
"""For connections that must come about: as long as a busy machine may need."""
CURT = 1.5
"""For those that must not; a packet that is dropped is never answered, and each is looked up in the enforcer's log."""

NOT_ENFORCED = reason(*POLICIES) if os.geteuid() == 0 else ""
NOT_ENFORCED = NOT_ENFORCED or f"NetworkPolicies are not enforced: {enforcer.missing()}"
pytestmark = pytest.mark.skipif(enforcer.missing() is not None, reason=NOT_ENFORCED)


@pytest.fixture(scope="module")
def addressed(cluster: Cluster, talk: World) -> World:
    """The picture, its pods Running and with the addresses that they have in the rig, as a kubelet would report."""
    both = dict.fromkeys(name for asked in picture.CONNECTIONS for name in (asked.source, asked.to))
    names = [name for name in both if name not in OUTSIDE]
    for name in names:
        meta = talk.pods[name]["metadata"]
        ip = talk.peers[name].ip
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}
        cluster.patch(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status", {"status": status})
    return read(cluster, names)


@pytest.fixture(scope="module")
def rig(addressed: World) -> Iterator[Rig]:
    names = dict.fromkeys(name for asked in picture.CONNECTIONS for name in (asked.source, asked.to))
    ports: dict[str, set[int]] = {}
    for asked in picture.CONNECTIONS:
        ports.setdefault(asked.to, set()).add(attempt(addressed, asked).port)
    addresses = {name: OUTSIDE.get(name) or addressed.peers[name].ip for name in names}
    with Rig(Path(tempfile.mkdtemp(prefix="decco-rig-")), addresses, ports) as rig:
        yield rig


def attempt(world: World, asked: Connection) -> Attempt:
    port = world.port(asked.to, asked.port)
    assert port is not None, asked
    return Attempt(asked.source, world.peers[asked.to].ip, port, LONG_TIMEOUT if asked.allowed else CURT)


def wrong(world: World, rig: Rig, asked: list[Connection]) -> list[str]:
    """Tries all of them; a line for each that is not as it should be."""
    answers = rig.connect(attempt(world, each) for each in asked)
    found = []
    for each, answer in zip(asked, answers, strict=True):
        assert answer in (None, each.to), f"{each.source} asked {each.to} and got an answer of {answer}"
        if (answer is not None) != each.allowed:
            found.append(picture.describe(each, world.port, answer is not None))
    return found


@full
def test_without_an_enforcer_everybody_reaches_everything(addressed: World, rig: Rig) -> None:
    """So that what is stopped below is stopped by policies and not by a mistake of the rig's."""
    asked = [each._replace(allowed=True) for each in picture.CONNECTIONS]
    assert not wrong(addressed, rig, asked)


def test_who_reaches_whom(control_plane: ControlPlane, addressed: World, rig: Rig) -> None:
    with Enforcer(rig.processes, control_plane.kubeconfig, [str(PODS)], netns=rig.node) as running:
        found = wrong(addressed, rig, picture.CONNECTIONS)
        assert not found, f"{len(found)} of {len(picture.CONNECTIONS)} connections differ:\n" + "\n".join(found)
        verdicts = {(each.source, each.to, each.port): each for each in running.verdicts()}
    for each in picture.CONNECTIONS:
        who = (OUTSIDE.get(each.source) or addressed.peers[each.source].ip, addressed.peers[each.to].ip)
        port = attempt(addressed, each).port
        assert verdicts[*who, port] == Verdict(*who, port, "TCP", each.allowed), each


def test_a_change_is_in_force_at_once(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, addressed: World, rig: Rig
) -> None:
    """An endpoint that goes closes its port, and one that comes back opens it, under a pod that goes on running."""
    target = "foo/keystone"
    asked = attempt(addressed, Connection("foo-east/nova", target, "keystone", False))
    path = f"{APIS}/namespaces/foo/apps/keystone"
    endpoints = picture.APPS["foo"]["keystone"]["endpoints"]
    with Enforcer(rig.processes, control_plane.kubeconfig, [str(PODS)], netns=rig.node):
        assert rig.connect([asked]) == [target]
        cluster.patch(path, {"spec": {"endpoints": []}})
        eventually(lambda: rig.connect([asked]) == [None], 20, "the port of a removed endpoint closed")
        cluster.patch(path, {"spec": {"endpoints": endpoints}})
        eventually(lambda: rig.connect([asked]) == [target], 20, "the port of an added endpoint open")
    uid = addressed.pods[target]["metadata"]["uid"]
    assert read(cluster, [target]).pods[target]["metadata"]["uid"] == uid, "it was another pod that answered"
    decco.settle()
