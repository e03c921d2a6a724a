"""``decco move`` between two control planes with a controller each and one zone of BIND."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from decco.cli import main as cli
from decco.moving.side import MoveError
from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from tests.integration.harness import APIS, own_control_plane
from tests.integration.moving import ZONE, Calls, History, Killed, Site, World, command, two_clusters
from tests.sample import full

EAST, WEST = "192.0.2.1", "192.0.2.2"
OFFER, EMPTY = "patch spaces: to west", "delete spaces"
CALLS = (
    "create secrets",
    "create spaces",
    "create apps",
    OFFER,
    "patch spaces: from east since",
    EMPTY,
    "patch spaces: nothing",
)
"""What a move changes, in this order."""
BACK_CALLS = (
    "patch spaces: from west",
    "patch spaces: to east",
    "patch spaces: from west since",
    "delete spaces",
    "patch spaces: nothing",
)
"""What it changes on its way back, after the hand-over."""
MISSING = Bind.missing()

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}")


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        own_control_plane() as other,
        two_clusters(control_plane, other, tmp_path_factory.mktemp("move"), EAST, WEST) as world,
    ):
        yield world


def run(source: Site, target: Site, name: str, **options: object) -> None:
    asyncio.run(command(source, target, name, **options))  # type: ignore[arg-type]


def test_a_space_moves(world: World, name: str) -> None:
    world.make(name, world.east)
    calls = Calls()
    with History(world, name) as history:
        run(world.east, world.west, name, calls=calls, drain=1.0)
    world.ends_at(name, world.west)
    assert calls.made == list(CALLS)
    assert history.wrong == []
    assert all(clusters == ["east", "west"] for clusters in history.clusters.values()), history.clusters
    secret = world.west.cluster.get(f"/api/v1/namespaces/decco/secrets/tls-{name}")
    assert secret is not None
    assert secret["metadata"]["annotations"]["decco.platform9.com/share-with"] == f"{name}.{ZONE}"
    world.remove(name)


def test_a_move_that_has_not_ended_goes_back(world: World, name: str) -> None:
    """The names are handed over already; only the deletion of the source is missing."""
    world.make(name, world.east)
    before = (world.east.cluster.space(name) or {})["metadata"]["uid"]
    calls = Calls()
    with History(world, name) as history:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(_until_handed_over(world, name, calls))
        assert world.west.move(name) is not None
        run(world.east, world.west, name, back=True, drain=1.0)
    world.ends_at(name, world.east)
    assert (world.east.cluster.space(name) or {})["metadata"]["uid"] == before
    assert history.wrong == []
    assert all(clusters == ["east", "west", "east"] for clusters in history.clusters.values()), history.clusters
    world.remove(name)


async def _until_handed_over(world: World, name: str, calls: Calls) -> None:
    task = asyncio.create_task(command(world.east, world.west, name, calls=calls, drain=3600.0))
    while "since" not in (await asyncio.to_thread(world.west.move, name) or ""):
        if task.done():
            await task
        await asyncio.sleep(0.2)
    task.cancel()
    await task


def test_what_is_in_the_way_is_named_and_nothing_changes(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    world.make(name, world.east)
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    claim["spec"] |= {"resources": {"requests": {"storage": "1Mi"}}}  # type: ignore[operator]
    world.east.cluster.cp.create(f"/api/v1/namespaces/{name}/persistentvolumeclaims", claim)
    world.west.cluster.create(_other_secret(world, name))
    for setting, value in world.east.settings.items():
        monkeypatch.setenv(f"DECCO_{setting.upper()}", value)
    paths = [str(site.cluster.cp.controller_kubeconfig) for site in (world.east, world.west)]
    both = tmp_path / "kubeconfig"
    both.write_text(_joined(*paths))
    status = cli.main(["move", "space", name, "--kubeconfig", str(both), "--from", "one", "--to", "two", "--dry-run"])
    out = capsys.readouterr().out
    assert status == 1
    for text in (
        "both clusters have the clusterId east",  # the variables of this test are for both
        f"Secret decco/tls-{name} exists in two (cluster east) with another content",
        f"PersistentVolumeClaim {name}/data does not move, nor does its data",
        f"create App {name}/web in two",
    ):
        assert text in " ".join(out.split()), out
    assert world.west.cluster.space(name) is None
    assert world.east.move(name) is None
    world.remove(name)


def _other_secret(world: World, name: str) -> dict[str, object]:
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"tls-{name}", "namespace": "decco"}}
    return {**made, "data": {"a": "Yg=="}}


def _joined(*paths: str) -> str:
    import yaml

    joined: dict[str, object] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for label, path in zip(("one", "two"), paths, strict=True):
        found = yaml.safe_load(Path(path).read_text())
        for kind in ("clusters", "users"):
            joined[kind].append({**found[kind][0], "name": label})  # type: ignore[attr-defined]
        joined["contexts"].append({"name": label, "context": {"cluster": label, "user": label}})  # type: ignore[attr-defined]
    return str(yaml.safe_dump(joined))


@full
def test_volumes_are_not_deleted_unasked(world: World, name: str) -> None:
    world.make(name, world.east)
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    claim["spec"] |= {"resources": {"requests": {"storage": "1Mi"}}}  # type: ignore[operator]
    path = f"/api/v1/namespaces/{name}/persistentvolumeclaims"
    world.east.cluster.cp.create(path, claim)
    with pytest.raises(Exception, match="has volumes, whose data does not move") as refused:
        run(world.east, world.west, name, drain=0.0)
    assert "--delete-data" in str(refused.value)
    assert world.east.cluster.get(f"{path}/data") is not None
    assert world.east.cluster.get(f"{APIS}/spaces/{name}") is not None
    run(world.east, world.west, name, delete_data=True, drain=0.0)
    world.ends_at(name, world.west)
    world.remove(name)


@dataclass(frozen=True)
class Kill:
    """The command ends at this of its ``CALLS``, before or after it; then it goes on, or back."""

    number: int
    after: bool
    back: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'}-call-{self.number}-{'back' if self.back else 'on'}"


def kills() -> Iterator[Any]:
    """All of them; a sample that ``make test`` runs is that of the call that offers the names."""
    for number, after, back in product(range(len(CALLS)), (False, True), (False, True)):
        sampled = CALLS[number] == OFFER and after
        yield pytest.param(Kill(number, after, back), id=str(Kill(number, after, back)), marks=() if sampled else full)


@pytest.mark.parametrize("killed", [*kills()])
def test_killed_at_a_call_it_goes_on_or_back(world: World, name: str, killed: Kill) -> None:
    world.make(name, world.east)
    with History(world, name) as history:
        with pytest.raises(Killed):
            run(world.east, world.west, name, calls=Calls(killed.number, killed.after), drain=0.0)
        emptied = (killed.number, killed.after) >= (CALLS.index(EMPTY), True)
        left = world.east.cluster.space(name)
        assert (left is None or "deletionTimestamp" in left["metadata"]) == emptied
        if killed.back and emptied:
            with pytest.raises(MoveError, match=r"is being emptied already|is not in east \(cluster east\) any more"):
                run(world.east, world.west, name, back=True, drain=0.0)
            run(world.east, world.west, name, drain=0.0)
            world.ends_at(name, world.west)
        else:
            run(world.east, world.west, name, back=killed.back, drain=0.0)
            world.ends_at(name, world.east if killed.back else world.west)
    assert history.wrong == []
    world.remove(name)


@full
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(len(BACK_CALLS)))
def test_going_back_that_is_killed_at_a_call_goes_back(world: World, name: str, number: int, after: bool) -> None:
    """All names are handed over, and come back."""
    world.make(name, world.east)
    with History(world, name) as history:
        with pytest.raises(Killed):
            run(world.east, world.west, name, calls=Calls(CALLS.index(EMPTY)), drain=0.0)
        calls = Calls(number, after)
        with pytest.raises(Killed):
            run(world.east, world.west, name, back=True, calls=calls, drain=0.0)
        assert calls.made == list(BACK_CALLS[: number + 1])
        run(world.east, world.west, name, back=True, drain=0.0)
        world.ends_at(name, world.east)
    assert history.wrong == []
    assert all(clusters == ["east", "west", "east"] for clusters in history.clusters.values()), history.clusters
    world.remove(name)
