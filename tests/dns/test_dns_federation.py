"""Names that several clusters share, against every service: each cluster has a provider and a service of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from decco.dns.errors import ProviderUnreachable
from decco.dns.records import DesiredRecord, Role
from decco.dns.service import Dns
from tests.dns.world import OTHER_UID, UID, Faults, World, conflict, ready, running, until
from tests.promises import PATIENCE

EAST, WEST = "192.0.2.1", "192.0.2.2"


@asynccontextmanager
async def cluster(world: World, name: str, federation: str = "world") -> AsyncIterator[Dns]:
    dns = world.service(name, [world.backend.provider(world.zone)], federation=federation)
    async with running(dns):
        yield dns


def wanted(
    world: World, address: str, *, standby: bool | None = False, role: Role = Role.ACTIVE
) -> list[DesiredRecord]:
    return [DesiredRecord(world.name(), frozenset({address}), standby=standby, role=role)]


async def becomes(world: World, addresses: set[str], *members: str) -> None:
    """Waits until the zone has these addresses at the name, and these values in its ownership record."""
    expected = {(world.ownership_name(), "TXT"): {f'"v2 world {each}"' for each in members}} if members else {}
    if addresses:
        expected[world.name(), "A"] = addresses
    held = await world.holds()
    for _ in range(int(PATIENCE / 0.1)):
        if held == expected:
            return
        await asyncio.sleep(0.1)
        held = await world.holds()
    assert held == expected


async def test_each_cluster_adds_and_withdraws_its_own(world: World) -> None:
    async with cluster(world, "east") as east, cluster(world, "west") as west:
        east.ensure(UID, wanted(world, EAST))
        await ready(east, UID)
        west.ensure(OTHER_UID, wanted(world, WEST))
        await ready(west, OTHER_UID)
        await becomes(world, {EAST, WEST}, f"east {UID} {EAST}", f"west {OTHER_UID} {WEST}")
        await world.answers(world.name(), "A", {EAST, WEST})
        east.ensure(UID, wanted(world, "192.0.2.9"))
        await becomes(world, {"192.0.2.9", WEST}, f"east {UID} 192.0.2.9", f"west {OTHER_UID} {WEST}")
        east.release(UID)
        await until(east, lambda: east.gone(UID))
        await becomes(world, {WEST}, f"west {OTHER_UID} {WEST}")
        west.release(OTHER_UID)
        await until(west, lambda: west.gone(OTHER_UID))
        assert await world.holds() == {}


async def test_all_begin_and_withdraw_at_the_same_moment(world: World) -> None:
    addresses = {f"c{number}": f"192.0.2.{number}" for number in range(1, 4)}
    async with AsyncExitStack() as stack:
        clusters = {name: await stack.enter_async_context(cluster(world, name)) for name in addresses}
        for name, dns in clusters.items():
            dns.ensure(f"u-{name}", wanted(world, addresses[name]))
        await asyncio.gather(*(ready(dns, f"u-{name}") for name, dns in clusters.items()))
        await becomes(world, {*addresses.values()}, *(f"{n} u-{n} {a}" for n, a in addresses.items()))
        for name, dns in clusters.items():
            dns.ensure(f"u-{name}", wanted(world, addresses[name], standby=True))
        await asyncio.gather(*(ready(dns, f"u-{name}") for name, dns in clusters.items()))
        await asyncio.sleep(1)
        assert len((await world.holds())[world.name(), "A"]) == 1, "the last addresses stay"
        for name, dns in clusters.items():
            dns.release(f"u-{name}")
        await asyncio.gather(*(until(d, lambda d=d, n=n: d.gone(f"u-{n}")) for n, d in clusters.items()))
        assert await world.holds() == {}


async def test_one_that_stands_by_takes_over_and_gives_back(world: World) -> None:
    async with cluster(world, "east") as east, cluster(world, "west") as west:
        east.ensure(UID, wanted(world, EAST))
        await ready(east, UID)
        west.ensure(OTHER_UID, wanted(world, WEST, standby=True))
        await becomes(world, {EAST}, f"east {UID} {EAST}", f"west {OTHER_UID} -")
        east.release(UID)
        await until(east, lambda: east.gone(UID))
        await becomes(world, {WEST}, f"west {OTHER_UID} {WEST}")
        east.ensure(UID, wanted(world, EAST))
        await becomes(world, {EAST}, f"east {UID} {EAST}", f"west {OTHER_UID} -")


async def test_a_standby_cluster_takes_over_and_gives_back(world: World) -> None:
    async with cluster(world, "east") as east, cluster(world, "west") as west:
        west.ensure(OTHER_UID, wanted(world, WEST, role=Role.STANDBY))
        east.ensure(UID, wanted(world, EAST))
        await ready(east, UID)
        await becomes(world, {EAST}, f"east {UID} {EAST}", f"west {OTHER_UID} -/standby")
        assert west.published(OTHER_UID) == {}
        east.ensure(UID, wanted(world, EAST, standby=True))
        await becomes(world, {WEST}, f"east {UID} -", f"west {OTHER_UID} {WEST}/standby")
        await until(west, lambda: world.name() in west.published(OTHER_UID))
        east.ensure(UID, wanted(world, EAST))
        await becomes(world, {EAST}, f"east {UID} {EAST}", f"west {OTHER_UID} -/standby")
        east.release(UID)
        await until(east, lambda: east.gone(UID))
        await becomes(world, {WEST}, f"west {OTHER_UID} {WEST}/standby")


async def test_a_cluster_that_leaves_waits_for_another_one(world: World) -> None:
    async with cluster(world, "east") as east, cluster(world, "west") as west:
        east.ensure(UID, wanted(world, EAST))
        await ready(east, UID)
        east.ensure(UID, wanted(world, EAST, role=Role.LEAVING))
        await becomes(world, {EAST}, f"east {UID} {EAST}/leaving")
        assert [each.reason for each in east.state(UID).problems] == ["WaitingForCluster"]
        assert not east.absent(UID)
        west.ensure(OTHER_UID, wanted(world, WEST, standby=None))
        await becomes(world, {EAST}, f"east {UID} {EAST}/leaving", f"west {OTHER_UID} -")
        west.ensure(OTHER_UID, wanted(world, WEST))
        await becomes(world, {WEST}, f"west {OTHER_UID} {WEST}")
        await until(east, lambda: east.absent(UID))
        assert east.state(UID).problems == ()


async def test_a_cluster_with_an_old_view_changes_nothing_of_others(world: World) -> None:
    """As one that was away for a day: its first change is refused, and it reads before the next."""
    faults = Faults(world.backend.provider(world.zone))
    old = world.service("east", [faults], federation="world")
    async with running(old), cluster(world, "west") as west:
        old.ensure(UID, wanted(world, EAST))
        await ready(old, UID)
        faults.before.append(ProviderUnreachable("away"))
        old.ensure(UID, wanted(world, "192.0.2.9"))
        west.ensure(OTHER_UID, wanted(world, WEST))
        await ready(west, OTHER_UID)
        await ready(old, UID)
        await becomes(world, {"192.0.2.9", WEST}, f"east {UID} 192.0.2.9", f"west {OTHER_UID} {WEST}")


async def test_a_lost_answer_adds_nothing_twice(world: World) -> None:
    faults = Faults(world.backend.provider(world.zone))
    east = world.service("east", [faults], federation="world")
    async with cluster(world, "west") as west, running(east):
        west.ensure(OTHER_UID, wanted(world, WEST))
        await ready(west, OTHER_UID)
        faults.after.append(ProviderUnreachable("lost", uncertain=True))
        east.ensure(UID, wanted(world, EAST))
        await ready(east, UID)
        await becomes(world, {EAST, WEST}, f"east {UID} {EAST}", f"west {OTHER_UID} {WEST}")


async def test_clusters_of_no_or_another_federation_are_refused(world: World) -> None:
    async with cluster(world, "east") as east:
        east.ensure(UID, wanted(world, EAST))
        await ready(east, UID)
        for federation in ("", "moon"):
            async with cluster(world, "west", federation) as west:
                west.ensure(OTHER_UID, wanted(world, WEST))
                assert "the federation world (east)" in await conflict(west, OTHER_UID)
        await becomes(world, {EAST}, f"east {UID} {EAST}")


async def test_a_name_becomes_shared_without_a_moment_of_absence(world: World) -> None:
    async with cluster(world, "east", "") as alone:
        alone.ensure(UID, wanted(world, EAST))
        await ready(alone, UID)
    async with cluster(world, "east") as east:
        east.ensure(UID, wanted(world, EAST))
        await becomes(world, {EAST}, f"east {UID} {EAST}")
        await ready(east, UID)  # the zone shows the change before its answer has arrived
        assert world.calls_of["east"]["apply"] == 2
