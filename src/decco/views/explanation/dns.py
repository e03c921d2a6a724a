"""Statements about the DNS record of a name: desired and published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from decco.hostnames import zone_of
from decco.views.explanation.statements import State, Statement, World
from decco.views.lookup import Answer
from decco.views.simulation import ReconcileResult


def record(
    world: World, hostname: str, reconciled: ReconcileResult | None, *, unowned: bool = False
) -> Iterator[Statement]:
    """Whether decco publishes the name, its targets, and the answer of DNS."""
    settings = world.snapshot.caches.settings
    zones = {zone for provider in settings.dns.providers for zone in provider.zones}
    addresses = reconciled.addresses if reconciled is not None else ()
    if reconciled is None:
        text = "none, since the name is not the Space's" if unowned else "none is asked for (createDnsRecord)"
        yield Statement(State.OK, "record", f"{hostname}: {text}")
    elif not zones:
        to = f" to {', '.join(addresses)}" if addresses else ""
        yield Statement(State.WARNING, "record", f"{hostname}: no DNS provider is set; publish the name{to} yourself")
    elif (zone := zone_of(hostname, zones)) is None:
        text = (
            f"{hostname}: no zone of dns.providers holds it ({', '.join(sorted(zones))}): "
            "add its zone, or choose a name below one of these"
        )
        yield Statement(State.FAILURE, "record", text)
    elif not addresses:
        text = f"{hostname}: the edge has no address to point it to: set edge.addresses, or see the Gateway's status"
        yield Statement(State.FAILURE, "record", text)
    else:
        yield Statement(State.OK, "record", f"{hostname}: wanted in zone {zone}, leading to {', '.join(addresses)}")
    yield from published(world, hostname, reconciled, addresses)


def published(
    world: World, hostname: str, reconciled: ReconcileResult | None, addresses: Sequence[str]
) -> Iterator[Statement]:
    """The answer of DNS for the name and its ownership record; nothing if DNS was not queried."""
    answer = world.answers.get(hostname)
    if answer is None:
        return
    if answer.trouble is not None:
        yield Statement(
            State.UNKNOWN, "DNS", f"{hostname}: no answer, ask another DNS server with --resolver: {answer.trouble}"
        )
        return
    if not answer.values:
        state = State.FAILURE if addresses else State.OK
        yield Statement(state, "DNS", f"{hostname}: nothing is published")
        return
    text = f"{hostname}: {', '.join(answer.values)}"
    state = State.OK
    if addresses and not _same(answer, addresses):
        state, text = State.WARNING, f"{text}, which is not {', '.join(addresses)}: caches may hold it for its TTL"
    owner, settings = answer.owner, world.snapshot.caches.settings
    store = (
        world.snapshot.caches.spaces
        if reconciled is not None and reconciled.kind == "Space"
        else world.snapshot.caches.apps
    )
    entry = store.get(reconciled.key) if reconciled is not None else None
    if owner is None:
        text += "; it has no ownership record of decco"
        state = State.WARNING if reconciled is not None else state
    elif owner.cluster != settings.cluster_id:
        text += f"; marked by cluster {owner.cluster}"
    elif entry is not None and owner.uid != entry.uid:
        state = State.FAILURE
        text += f"; marked for another object of this cluster, UID {owner.uid}: rename one of the two"
    else:
        text += "; marked as decco's"
    yield Statement(state, "DNS", text)


def _same(answer: Answer, addresses: Sequence[str]) -> bool:
    wanted = {address.lower().rstrip(".") for address in addresses}
    return set(answer.addresses) == wanted or answer.alias in wanted
