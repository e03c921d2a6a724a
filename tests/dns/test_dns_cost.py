"""What decco's work costs BIND, counted in messages and octets by a proxy between the two.

`make bench NAME=dns` measures the same at full size, and the time as well.
"""

from __future__ import annotations

import pytest

from decco.dns.providers.rfc2136.client import Rfc2136Provider
from decco.dns.registry import Owner, ownership_set
from testbed.dns.bind import Bind
from testbed.dns.proxy import QUERY, UPDATE, DnsProxy
from testbed.dns.server import HOST
from tests.dns.backends.rfc2136 import BindBackend
from tests.dns.world import ADDRESS, OTHER_UID, UID, World, ready, until, wanted_record

pytestmark = pytest.mark.parametrize("backend", [BindBackend], indirect=True, ids=["bind"])


def uids(count: int) -> list[str]:
    return [f"{UID[:-5]}{number:05d}" for number in range(count)]


async def test_a_thousand_names_are_one_reading_and_two_updates_and_rest_is_free(world: World) -> None:
    server: Bind = world.backend.server  # type: ignore[attr-defined]
    async with DnsProxy(server.port) as proxy:
        provider = Rfc2136Provider("p", (world.zone,), HOST, proxy.port, server.key)
        async with world.running(providers=[provider]) as dns:
            for _ in range(3):
                for number, uid in enumerate(uids(1000)):
                    dns.ensure(uid, [wanted_record(world.name(f"orders.acme-{number:03d}"))])
                await ready(dns, *uids(1000))
            assert dict(proxy.messages) == {QUERY: 1, UPDATE: 2}


async def test_a_change_costs_the_same_in_a_zone_of_any_size(world: World) -> None:
    server: Bind = world.backend.server  # type: ignore[attr-defined]
    found = []
    for zone, size in ((f"s-{world.zone}", 10), (f"l-{world.zone}", 2000)):
        lines = [
            f'n{number}.{zone}. 180 IN A {ADDRESS}\n{ownership.name}. 180 IN TXT "{ownership.values[0]}"\n'
            for number, uid in enumerate(uids(size))
            for ownership in [ownership_set(f"n{number}.{zone}", zone, Owner("here", uid), 180)]
        ]
        server.create_zone(zone, "".join(lines))
        async with DnsProxy(server.port) as proxy:
            provider = Rfc2136Provider("p", (zone,), HOST, proxy.port, server.key)
            async with world.running(providers=[provider]) as dns:
                for number, uid in enumerate(uids(size)):
                    dns.ensure(uid, [wanted_record(f"n{number}.{zone}")])
                await ready(dns, *uids(size))
                assert dict(proxy.messages) == {QUERY: 1}
                before = proxy.octets[UPDATE], proxy.messages.total()
                for address in (ADDRESS, "192.0.2.2"):
                    dns.ensure(OTHER_UID, [wanted_record(f"new.{zone}", address)])
                    await ready(dns, OTHER_UID)
                dns.release(OTHER_UID)
                await until(dns, lambda dns=dns: dns.gone(OTHER_UID))
                found.append((proxy.octets[UPDATE] - before[0], proxy.messages.total() - before[1]))
        server.remove_zone(zone)
    assert found[0] == found[1]
    assert found[0][1] == len(("create", "update", "delete"))
