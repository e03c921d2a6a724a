"""A host name has one owner: who asks later does not get it, and gets it when the owner gives it up."""

from __future__ import annotations

from decco.api.conditions import condition_of
from decco.desired.reasons import HOSTNAME_CONFLICT
from decco.objects import SPACES, Key
from decco.verify import objects
from decco.verify.groups.setup import space
from decco.verify.names import CLAIMANT
from decco.verify.outcome import Failed, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

SECONDS = 20.0
HOLDER = "g"
"""A Space whose listeners no other probe waits for, since they change."""


def below(world: World) -> str:
    """A name below the FQDN of the holder, which nobody else ever gets."""
    return world.names.host(HOLDER, "taken")


async def _lost(world: World) -> tuple[str, str]:
    """The status and the text of what the claimant reports of its names."""
    found = condition_of(await world.get(SPACES, world.names.space(CLAIMANT)), "RoutesReady")
    if not found:
        raise Failed("the controller has not reported on the claimant", "verify-not-reconciled")
    return (str(found["message"]) if found.get("reason") == HOSTNAME_CONFLICT else ""), str(found.get("message"))


async def _later(world: World) -> None:
    made = objects.space(world.names, CLAIMANT)
    made["spec"]["hostnames"] = [world.names.claimed, below(world)]
    await world.client.create(SPACES, made)

    async def refused() -> None:
        lost, said = await _lost(world)
        for name in made["spec"]["hostnames"]:
            if f"{name}," not in lost:
                raise Failed(f"a second Space asks for {name} and reports no {HOSTNAME_CONFLICT}: {said}")

    await eventually(refused, SECONDS)


async def _kept(world: World) -> None:
    lost, said = await _lost(world)
    if f"{below(world)}," not in lost:
        raise Failed(f"{below(world)} is below the FQDN of another Space, and is not refused: {said}")
    owner = await world.get(SPACES, world.names.space(HOLDER))
    if any(each.get("reason") == HOSTNAME_CONFLICT for each in owner["status"]["conditions"]):
        raise Failed("the Space that had the name first has lost it")


async def _taken_over(world: World) -> None:
    await world.client.patch(SPACES, Key("", world.names.space(HOLDER)), {"spec": {"hostnames": []}})

    async def granted() -> None:
        lost, said = await _lost(world)
        if f"{world.names.claimed}," in lost:
            raise Failed(f"{world.names.claimed} was given up and is not granted to the Space that waits: {said}")

    await eventually(granted, SECONDS)


LATER = "claims/later"


def _probe(name: str, text: str, check: Check, *after: str) -> Probe:
    return Probe(f"claims/{name}", text, "verify-claim", check, after)


PROBES = (
    _probe(
        "later", "a host name that a Space has is not granted to a later one, which reports it", _later, space(HOLDER)
    ),
    _probe("kept", "the Space that had the name first keeps it, and all names below its FQDN", _kept, LATER),
    _probe("taken-over", "a name that is given up goes to the Space that waits for it", _taken_over, "claims/kept"),
)
