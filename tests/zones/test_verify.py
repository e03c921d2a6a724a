"""``decco verify --only zones`` where there are zones, and where a scheduler without the rule fills one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.kwok import APISERVER_FLAGS, MANAGER_FLAGS, FakeNodes
from tests.integration.harness import Cluster, Decco, own_control_plane
from tests.integration.test_verify import SETTINGS, Command, outcomes
from tests.zones.conftest import ZONES
from tests.zones.world import cordon


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """No routes are asked for: nothing answers behind these nodes."""
    folder = tmp_path_factory.mktemp("verify")
    with (
        own_control_plane(restart_manager=True, apiserver_flags=APISERVER_FLAGS, manager_flags=MANAGER_FLAGS) as cp,
        FakeNodes(cp, ZONES),
        Decco(cp, folder, **SETTINGS),
    ):
        yield Command(cp, folder)


def test_pods_are_in_two_zones(command: Command) -> None:
    """Beside what needs no answer of a pod."""
    status, report, progress = command.run("--only", "zones", "--only", "status")
    for group in ("zones", "status"):
        assert set(outcomes(report, group).values()) == {"passed"}, progress
    assert (status, command.left()) == (0, [])


def test_with_one_zone_it_is_not_tried(command: Command) -> None:
    cluster = Cluster(command.cp)
    others = [node for node in _nodes(cluster) if not node.startswith("a-")]
    for node in others:
        cordon(cluster, node, closed=True)
    try:
        status, report, progress = command.run("--only", "zones")
    finally:
        for node in others:
            cordon(cluster, node, closed=False)
    found = {each["name"]: each for each in report["probes"]}
    assert found["zones/spread"]["outcome"] == "skipped", progress
    assert found["zones/spread"]["text"] == "fewer than 2 zones have nodes that take pods"
    assert found["zones/constraint"]["outcome"] == "passed", progress
    assert (status, command.left()) == (0, [])


def _nodes(cluster: Cluster) -> list[str]:
    return [node["metadata"]["name"] for node in cluster.items("/api/v1/nodes")]
