"""Two clusters with a controller each, one zone: names are shared, withdrawn and released, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from decco.cli import main as cli
from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from tests.integration.by_hand import accept_listeners
from tests.integration.harness import APIS, eventually
from tests.integration.two_clusters import EAST, SECONDS, WEST, ZONE, World, two_clusters
from tests.sample import full

MISSING = Bind.missing()

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}")


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with two_clusters(control_plane, tmp_path_factory.mktemp("clusters")) as found:
        yield found


def test_each_cluster_adds_and_withdraws_its_own(world: World, name: str) -> None:
    world.east.apply(name)
    world.becomes(name, EAST)
    world.west.apply(name)
    world.becomes(name, EAST, WEST)
    for each in (world.east, world.west):
        eventually(lambda each=each: each.is_ready(name), SECONDS)
    world.east.decco.settle()
    mark, log = world.east.cluster.cp.audit_mark(), len(world.server.log)
    world.east.decco.settle(quiet=3.0)
    # The control plane is that of other tests too, whose objects may be on their way out.
    written = world.east.cluster.cp.audit("decco", since=mark, writes=True)
    assert [event for event in written if name in (event.namespace, event.name)] == []
    assert "updat" not in world.server.log[log:], "settled clusters change nothing"
    accept_listeners(world.west.cluster, name, "192.0.2.9")
    world.becomes(name, EAST, "192.0.2.9")
    world.west.cluster.delete(f"{APIS}/spaces/{name}")
    world.becomes(name, EAST)
    world.east.cluster.delete(f"{APIS}/spaces/{name}")
    world.becomes(name)


def test_a_cluster_that_is_not_of_the_federation_is_refused(world: World, name: str) -> None:
    world.east.apply(name)
    world.becomes(name, EAST)
    west = world.west
    west.stop()
    try:
        west.start(dns__federation__id="")
        west.apply(name)
        words = f"{name}.{ZONE} is shared by clusters of the federation world (east)"

        def refused() -> bool:
            condition = west.dns(west.cluster.space(name))
            return condition["reason"] == "RecordConflict" and words in condition["message"]

        eventually(refused, SECONDS)
        world.becomes(name, EAST)
    finally:
        west.stop()
        west.start()
    world.becomes(name, EAST, WEST)


@full
def test_a_cluster_that_is_gone_for_good_is_released(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in (world.east, world.west):
        each.apply(name)
    world.becomes(name, EAST, WEST)
    alone = f"alone-{name}"
    world.west.apply(alone)
    world.becomes(alone, WEST)
    world.west.stop()
    try:
        settings = {**world.east.settings, "cluster_id": "east", "dns__federation__id": "world"}
        for setting, value in settings.items():
            monkeypatch.setenv(f"DECCO_{setting.upper()}", value)
        monkeypatch.setenv("KUBECONFIG", str(world.east.cluster.cp.controller_kubeconfig))

        def release(*words: str) -> tuple[int, str, str]:
            status = cli.main(["dns", "release", *words])
            out, err = capsys.readouterr()
            return status, out, err

        status, _, err = release()
        assert (status, "release needs --cluster-id" in err) == (2, True)
        assert release("--cluster-id", "east")[:2] == (0, "")  # its own, and nothing of it was restored
        status, out, _ = release("--cluster-id", "west")
        assert status == 1
        [line] = [line for line in out.splitlines() if f" {name}.{ZONE} " in line]
        assert f"A {EAST} {WEST} (180 s) -> A {EAST} (180 s)" in line
        world.becomes(name, EAST, WEST)
        status, out, _ = release("--cluster-id", "west", "--yes")
        assert status == 0
        world.becomes(name, EAST)
        world.becomes(alone)
        assert release("--cluster-id", "west")[:2] == (0, "")
    finally:
        world.west.start()
    # It was not gone, and has a state of before: it adds what is its own.
    world.becomes(name, EAST, WEST)
    world.becomes(alone, WEST)
