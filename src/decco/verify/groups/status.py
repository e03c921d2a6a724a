"""What decco says of an App: URLs in its status, an Event when a condition changes, and a Space's quota in force."""

from __future__ import annotations

from decco.objects import APPS, EVENTS, LIMIT_RANGES, RESOURCE_QUOTAS, Obj, uid_of
from decco.settings import RoutingBackend
from decco.verify import objects
from decco.verify.groups.setup import app_of, space
from decco.verify.objects import HTTP_PATH
from decco.verify.outcome import Failed, eventually
from decco.verify.probe import Probe
from decco.verify.world import World

SECONDS = 20.0
OWN_NAME = "decco"
"""Of the quota and of the limit range."""


async def _endpoints(world: World) -> None:
    """Of App web of Space a, which has one of each kind."""
    found = {each.get("name"): each for each in (await world.get(APPS, "web", "a"))["status"].get("endpoints") or ()}
    names, routed = world.names, world.settings.routing.backend is not RoutingBackend.NONE
    wanted: dict[str, dict[str, str | None]] = {
        "web": {"hostname": names.fqdn("a"), "url": f"https://{names.fqdn('a')}{HTTP_PATH}" if routed else None},
        "tcp": {"hostname": names.host("a", "tcp")},
        "extra": {"hostname": names.extra, "url": f"tls://{names.extra}:443" if routed else None},
    }
    for name, fields in wanted.items():
        said = found.get(name) or {}
        if wrong := {field: said.get(field) for field, value in fields.items() if said.get(field) != value}:
            raise Failed(f"status.endpoints has {wrong} for {name}, not {fields}")


async def _events(world: World) -> None:
    uid = uid_of(await world.get(APPS, "web", "a"))

    async def written() -> None:
        events = await world.listed(EVENTS, world.names.space("a"))
        if not any((event.get("regarding") or {}).get("uid") == uid for event in events):
            raise Failed("App web of Space a became Ready, and no Event is about it")

    await eventually(written, SECONDS)


async def _quota(world: World) -> None:
    async def enforced() -> None:
        quota = await world.get(RESOURCE_QUOTAS, OWN_NAME, "g")
        if not _has(quota["spec"].get("hard"), objects.QUOTA["hard"]):
            raise Failed(f"ResourceQuota {OWN_NAME} has {quota['spec'].get('hard')}, not {objects.QUOTA['hard']}")
        if not _has((quota.get("status") or {}).get("hard"), objects.QUOTA["hard"]):
            raise Failed(f"ResourceQuota {OWN_NAME} is not counted: the cluster's quota controller does not work")
        limits = await world.get(LIMIT_RANGES, OWN_NAME, "g")
        if not all(any(_has(each, wanted) for each in limits["spec"]["limits"]) for wanted in objects.RANGE["limits"]):
            raise Failed(f"LimitRange {OWN_NAME} has {limits['spec']['limits']}, not {objects.RANGE['limits']}")

    await eventually(enforced, SECONDS)


def _has(found: Obj | None, wanted: Obj) -> bool:
    return wanted.items() <= (found or {}).items()


PROBES = (
    Probe(
        "status/endpoints",
        "the status of an App has the host names and URLs of its endpoints",
        "verify-status",
        _endpoints,
        after=(app_of("a"),),
    ),
    Probe("status/events", "an Event is written when an App becomes Ready", "verify-status", _events, (app_of("a"),)),
    Probe("status/quota", "the quota and limit range of a Space are in force", "verify-quota", _quota, (space("g"),)),
)
