"""Names that clusters of a federation share: this cluster changes its own part, and keeps that of another one.

The other cluster is pretended: its part is written into the zone as its decco would write it, with an address that
belongs to nobody. ``decco dns release --cluster-id decco-verify`` removes what a killed run leaves of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from decco.dns import federation
from decco.dns.errors import DnsError
from decco.dns.federation import Member
from decco.dns.provider import Change, Provider, Zone
from decco.dns.records import RecordSet
from decco.dns.registry import ownership_name, shared_set
from decco.objects import APPS, SPACES, Key
from decco.verify import objects, pods
from decco.verify.groups.dns import ANSWERS, CALL_SECONDS, SECONDS, covering, current
from decco.verify.groups.setup import space
from decco.verify.objects import WEB
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

APP = "shared"
CLUSTER, ADDRESS = "decco-verify", "192.0.2.253"
"""The pretended cluster; its address is of a block for documentation (RFC 5737)."""
TTL = 60


def _name(world: World) -> str:
    return world.names.host("c", APP)


def _part(world: World) -> Member:
    return Member(str(world.settings.dns.federation.id), CLUSTER, world.names.run, (ADDRESS,))


async def _own(world: World) -> frozenset[str]:
    found = await world.get(SPACES, world.names.space("c"))
    return frozenset(found["status"].get("addresses") or ())


async def _is(world: World, expected: Iterable[str], members: Iterable[str]) -> None:
    """At every provider the name has these addresses, of these clusters."""
    for provider, zone in await covering(world):
        now = await current(provider, zone, _name(world))
        values = {value for each in now.addresses for value in each.values}
        clusters = {member.cluster for member in now.members}
        if values != {*expected} or clusters != {*members}:
            raise Failed(
                f"{_name(world)} has at {provider.name} the addresses {sorted(values)} of the clusters "
                f"{sorted(clusters)}, not {sorted(expected)} of {sorted(members)}"
            )


async def _published(world: World) -> None:
    if not world.settings.dns.federation.id:
        raise NotTested("the setting dns.federation.id names no federation")
    if any(not provider.shared for provider, _ in await covering(world)):
        raise NotTested("a provider of the domain shares no names with other clusters")
    pod = pods.server(world.image, APP, [WEB], world.user)
    listed = [{"name": APP, "port": WEB, "createDnsRecord": True}]
    # Without pods nothing has to answer before the name is published.
    await world.client.create(APPS, objects.app(world.names, "c", APP, pod, endpoints=listed, initialReplicas=0))
    own = await _own(world)
    await eventually(lambda: _is(world, own, [world.settings.cluster_id]), SECONDS)


async def _change(world: World, provider: Provider, zone: Zone, *, joined: bool) -> None:
    """Adds or removes the part of the other cluster, unless it is so. Raises Failed if it is refused."""
    name, part = _name(world), _part(world)
    now = await current(provider, zone, name)
    members = [each for each in now.members if each.cluster != CLUSTER] + ([part] if joined else [])
    before = (*now.addresses, *now.ownership)
    after: tuple[RecordSet, ...] = ()
    if members:
        ttl = now.ownership[0].ttl if now.ownership else TTL
        after = (*federation.addresses(name, members, ttl), shared_set(name, zone.name, members, ttl))
    if {*before} == {*after}:
        return
    change = Change(name, ownership_name(name, zone.name), before, after)
    try:
        [refused] = await asyncio.wait_for(provider.apply(zone, [change]), CALL_SECONDS)
    except (DnsError, TimeoutError) as error:
        raise Failed(f"provider {provider.name}: {str(error) or 'time limit'}", "verify-dns-silent") from error
    if refused is not None:
        raise Failed(f"the change at {provider.name} was refused: {refused}")


async def _changes(world: World, *, joined: bool) -> None:
    for provider, zone in await covering(world):
        await _change(world, provider, zone, joined=joined)


@asynccontextmanager
async def _other_cluster(world: World) -> AsyncIterator[None]:
    """Has joined the name at every provider; leaves it again, however the probe ends."""
    try:
        await eventually(lambda: _changes(world, joined=True), SECONDS)
        yield
    finally:
        await eventually(lambda: _changes(world, joined=False), SECONDS)


async def _kept(world: World) -> None:
    """A change of this cluster's own, and then its withdrawal."""
    own, mine = await _own(world), world.settings.cluster_id
    app = Key(world.names.space("c"), APP)
    async with _other_cluster(world):
        await eventually(lambda: _is(world, {*own, ADDRESS}, [mine, CLUSTER]), SECONDS)
        await world.client.patch(APPS, app, {"spec": {"endpoints": []}})
        await eventually(lambda: _is(world, [ADDRESS], [CLUSTER]), SECONDS)
        listed = [{"name": APP, "port": WEB, "createDnsRecord": True}]
        await world.client.patch(APPS, app, {"spec": {"endpoints": listed}})
        await eventually(lambda: _is(world, {*own, ADDRESS}, [mine, CLUSTER]), SECONDS)
    await eventually(lambda: _is(world, own, [mine]), SECONDS)


def _probe(name: str, text: str, check: Check, *after: str, seconds: float = 60.0) -> Probe:
    return Probe(f"federation/{name}", text, "verify-shared", check, after=(ANSWERS, *after), seconds=seconds)


PROBES = (
    _probe("published", "a shared name has the addresses of this cluster, under its id", _published, space("c")),
    _probe(
        "others-kept",
        "beside another cluster's addresses this one adds and withdraws its own, and keeps the others",
        _kept,
        "federation/published",
        seconds=4 * SECONDS + 60,
    ),
)
