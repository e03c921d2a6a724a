"""Records of the configured providers, read from the providers themselves with the controller's credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from decco.dns.errors import DnsError
from decco.dns.factory import make_provider
from decco.dns.provider import Provider, Zone
from decco.dns.registry import Current, ownership_name
from decco.errors import ConfigError
from decco.hostnames import in_zone
from decco.objects import SPACES, uid_of
from decco.reconcilers.providers import read_provider_environment
from decco.verify.groups.setup import app_of, space
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

CALL_SECONDS = 10.0
SECONDS = 20.0


async def covering(world: World) -> list[tuple[Provider, Zone]]:
    """Those that have a zone for the run's domain. Raises NotTested if there is none."""
    return await world.once("dns", lambda: _made(world))


async def _made(world: World) -> list[tuple[Provider, Zone]]:
    configured = world.settings.dns.providers
    if not configured:
        raise NotTested("no DNS provider is set")
    readable = [each for each in configured if each.readable]
    if not readable:
        raise NotTested(f"records of {', '.join(each.type for each in configured)} cannot be read from here")
    try:
        environment = await read_provider_environment(world.settings, world.client)
    except ConfigError as error:
        raise NotTested(str(error)) from error
    found: list[tuple[Provider, Zone]] = []
    for settings in readable:
        try:
            provider = await asyncio.to_thread(make_provider, settings, environment)
        except ConfigError as error:
            raise NotTested(
                f"the credentials of provider {settings.label} cannot be used from here: {error}"
            ) from error
        try:
            zones = await asyncio.wait_for(provider.zones(), CALL_SECONDS)
        except (DnsError, TimeoutError) as error:
            raise Failed(f"provider {settings.label} does not answer: {str(error) or 'time limit'}") from error
        above = [zone for zone in zones if in_zone(world.names.domain, zone.name)]
        if above:
            found.append((provider, max(above, key=lambda zone: len(zone.name))))
    if not found:
        raise NotTested(f"no provider has a zone of {world.names.domain}; --domain names another")
    return found


async def current(provider: Provider, zone: Zone, name: str) -> Current:
    """The records of a name, and its ownership record. Raises Failed."""
    owner = ownership_name(name, zone.name)
    try:
        sets = await asyncio.wait_for(provider.records(zone, {name, owner}), CALL_SECONDS)
    except (DnsError, TimeoutError) as error:
        text = f"provider {provider.name} does not answer: {str(error) or 'time limit'}"
        raise Failed(text, "verify-dns-silent") from error
    at = {where: tuple(each for each in sets if each.values and each.name == where) for where in (name, owner)}
    return Current(name, at[name], at[owner])


async def _records(world: World, name: str) -> list[tuple[str, Current]]:
    """The same from each provider."""
    return [(provider.name, await current(provider, zone, name)) for provider, zone in await covering(world)]


async def _answers(world: World) -> None:
    """Records are read: the zones of some providers are in the settings, and nothing is asked for them."""
    await _records(world, world.names.fqdn("a"))


async def _every_provider(world: World) -> None:
    covered = {provider.name for provider, _ in await covering(world)}
    missing = [each.label for each in world.settings.dns.providers if each.label not in covered]
    if missing:
        raise NotTested(f"not tested: {', '.join(missing)}, of other zones; --domain names another")


def published(name: Callable[[World], str]) -> Check:
    """The name points to the edge, at every provider."""

    async def check(world: World) -> None:
        await eventually(lambda: _is_published(world, name(world)), SECONDS)

    return check


async def _is_published(world: World, name: str) -> None:
    owner = await world.get(SPACES, world.names.space(world.names.space_of(name)))
    expected = set(owner["status"].get("addresses") or ())
    for provider, now in await _records(world, name):
        values = {value.rstrip(".") for each in now.addresses for value in each.values}
        if values != expected:
            raise Failed(f"{name} points to {sorted(values) or 'nothing'} at {provider}, not to {sorted(expected)}")


async def _owned(world: World) -> None:
    uid = uid_of(await world.get(SPACES, world.names.space("a")))
    for provider, now in await _records(world, world.names.fqdn("a")):
        if now.uid_in(world.settings.cluster_id) != uid:
            raise Failed(f"the ownership record of {world.names.fqdn('a')} at {provider} does not name the Space")


async def _not_asked_for(world: World) -> None:
    name = world.names.host("a", "private")
    for provider, now in await _records(world, name):
        if now.sets or now.ownership:
            raise Failed(f"{name} has records at {provider} without createDnsRecord")


def withdrawn(name: Callable[[World], str]) -> Check:
    """The name has no records, at any provider."""

    async def check(world: World) -> None:
        async def gone() -> None:
            for provider, now in await _records(world, name(world)):
                if now.sets or now.ownership:
                    raise Failed(f"{name(world)} still has records at {provider}")

        await eventually(gone, SECONDS)

    return check


ANSWERS = "dns/answers"


def _probe(name: str, text: str, check: Check, *after: str) -> Probe:
    return Probe(f"dns/{name}", text, "verify-dns", check, after=(ANSWERS, *after))


PROBES = (
    Probe(ANSWERS, "the DNS providers answer", "verify-dns-silent", _answers),
    _probe("every-provider", "every provider is tested", _every_provider),
    _probe("fqdn", "the FQDN of a Space points to the edge", published(lambda w: w.names.fqdn("a")), space("a")),
    _probe("owner", "its ownership record names the Space", _owned, "dns/fqdn"),
    _probe(
        "endpoint",
        "an endpoint with createDnsRecord points to the edge",
        published(lambda w: w.names.host("a", "tcp")),
        app_of("a"),
    ),
    _probe(
        "endpoint-gone",
        "the endpoint of an App that will be deleted points to the edge",
        published(lambda w: w.names.host("c", "gone-tcp")),
        app_of("c", "gone"),
    ),
    _probe("further", "a name of httpHostnames points to the edge", published(lambda w: w.names.further), space("e")),
    _probe(
        "further-wildcard",
        "a wildcard of httpHostnames points to the edge",
        published(lambda w: w.names.wildcard),
        space("e"),
    ),
    _probe("not-asked-for", "an endpoint without createDnsRecord has no record", _not_asked_for, "dns/endpoint"),
    _probe(
        "endpoint-withdrawn",
        "the records of a deleted App are withdrawn",
        withdrawn(lambda w: w.names.host("c", "gone-tcp")),
        "deletion/app",
    ),
    _probe(
        "fqdn-withdrawn",
        "the records of a deleted Space are withdrawn",
        withdrawn(lambda w: w.names.fqdn("d")),
        "deletion/space",
    ),
)
