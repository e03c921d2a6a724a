"""Route 53's documented limits and refusals, on the strict model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from decco.dns.errors import ProviderRefused, ProviderThrottled, ZoneNotFound
from decco.dns.factory import ProviderEnvironment, make_provider
from decco.dns.provider import Change, Zone
from decco.dns.providers.route53.client import Keys, Route53Provider
from decco.dns.providers.route53.settings import Settings as Route53Settings
from decco.dns.records import address_sets
from decco.dns.registry import Owner, ownership_set
from decco.dns.wrappers.base import RateLimiter
from testbed.dns.route53_model import MAX_CHARACTERS, MAX_RECORDS, Route53Model
from tests.dns.world import UID

ZONE = "z.test"


def claim(name: str, *targets: str) -> Change:
    ownership = ownership_set(name, ZONE, Owner("default", UID), 60)
    return Change(name, ownership.name, (), (*address_sets(name, targets, 60), ownership))


@pytest.fixture
def model() -> Iterator[Route53Model]:
    with Route53Model() as model:
        yield model


@pytest.fixture
async def provider(model: Route53Model) -> AsyncIterator[Route53Provider]:
    made = Route53Provider(Route53Settings(zones=(ZONE,), endpoint_url=model.url, timeout_seconds=5), Keys("a", "b"))
    yield made
    await made.close()


async def test_batches_stay_within_the_limits_and_nearly_fill_them(
    model: Route53Model, provider: Route53Provider
) -> None:
    model.create_zone(ZONE)
    (zone,) = await provider.zones()
    many = [claim(f"n{i}.{ZONE}", "192.0.2.1") for i in range(1200)]
    long = [
        claim(f"m{i}.{ZONE}", *(f"2001:db8:1111:2222:3333:4444:5555:{j:x}" for j in range(1, 9))) for i in range(200)
    ]
    for changes in (many, long, [Change(c.name, c.ownership_name, c.after, ()) for c in many]):
        left = changes
        while left:
            size = provider.fit(zone, left)
            assert await provider.apply(zone, left[:size]) == [None] * size
            left = left[size:]
    records, characters = model.largest
    assert records <= MAX_RECORDS
    assert characters <= MAX_CHARACTERS
    assert records > 0.9 * MAX_RECORDS
    assert characters > 0.9 * MAX_CHARACTERS


async def test_a_zone_of_many_pages_is_read_whole(model: Route53Model, provider: Route53Provider) -> None:
    zone = Zone(ZONE, model.create_zone(ZONE))
    for i in range(1000):
        model.zones[zone.id].records[f"n{i}.{ZONE}", "A"] = (60, ("192.0.2.1",))
    assert len(await provider.records(zone)) == 1002
    assert [s.name for s in await provider.records(zone, [f"n77.{ZONE}", f"none.{ZONE}"])] == [f"n77.{ZONE}"]


async def test_private_and_public_zones_are_distinguished(model: Route53Model, provider: Route53Provider) -> None:
    public, private = model.create_zone(ZONE), model.create_zone(ZONE, private=True)
    assert await provider.zones() == (Zone(ZONE, public),)
    other = Route53Provider(
        Route53Settings(zones=(ZONE,), visibility="private", endpoint_url=model.url), Keys("a", "b")
    )
    try:
        assert await other.zones() == (Zone(ZONE, private),)
    finally:
        await other.close()


async def test_a_request_too_early_is_throttled_and_says_so(model: Route53Model, provider: Route53Provider) -> None:
    zone = Zone(ZONE, model.create_zone(ZONE))
    model.pending.add(zone.id)
    with pytest.raises(ProviderThrottled, match="PriorRequestNotComplete"):
        await provider.apply(zone, [claim(f"x.{ZONE}", "192.0.2.1")])


async def test_paced_calls_are_never_throttled(model: Route53Model, provider: Route53Provider) -> None:
    zone = Zone(ZONE, model.create_zone(ZONE))
    await provider.zones()
    await asyncio.sleep(1)  # the model's own bucket fills in real time
    model.limit_rate = True
    paced = RateLimiter(provider, per_second=4.0, burst=4)
    for i in range(10):
        await paced.apply(zone, [claim(f"x{i}.{ZONE}", "192.0.2.1")])
    unpaced = (provider.apply(zone, [claim(f"y{i}.{ZONE}", "192.0.2.1")]) for i in range(10))
    outcomes = await asyncio.gather(*unpaced, return_exceptions=True)
    assert any(isinstance(outcome, ProviderThrottled) for outcome in outcomes)


async def test_a_deleted_zone_is_not_found(model: Route53Model, provider: Route53Provider) -> None:
    zone = Zone(ZONE, model.create_zone(ZONE))
    del model.zones[zone.id]
    for call in (provider.records(zone), provider.apply(zone, [claim(f"x.{ZONE}", "192.0.2.1")])):
        with pytest.raises(ZoneNotFound):
            await call


async def test_keys_read_from_a_file_have_a_line_break_at_their_end(model: Route53Model) -> None:
    """Sent as they are, they break the request's headers: the service would be called unreachable for ever."""
    model.create_zone(ZONE)
    settings = Route53Settings(zones=(ZONE,), endpoint_url=model.url, secret_name="aws")
    content = {"accessKeyId": b"AKIAEXAMPLE\n", "secretAccessKey": b"s/ecret\r\n", "sessionToken": b"token\n"}
    made = make_provider(settings, ProviderEnvironment({"aws": content}))
    try:
        assert [zone.name for zone in await made.zones()] == [ZONE]
    finally:
        await made.close()


async def test_a_profile_that_does_not_exist_is_refused_and_not_a_defect(
    model: Route53Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "none")
    made = make_provider(Route53Settings(zones=(ZONE,), endpoint_url=model.url), ProviderEnvironment())
    try:
        with pytest.raises(ProviderRefused, match=r"correct the variables AWS_\*.*none"):
            await made.zones()
    finally:
        await made.close()
