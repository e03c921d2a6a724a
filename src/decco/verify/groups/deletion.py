"""Deletion is complete: of an App, and of a Space with everything in it."""

from __future__ import annotations

from decco.objects import (
    APPS,
    CONFIGMAPS,
    DEPLOYMENTS,
    LABEL_APP,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    SERVICES,
    SPACES,
    Key,
    uid_of,
)
from decco.verify.edge import Refused, Request
from decco.verify.groups.routing import ANSWER_SECONDS
from decco.verify.groups.setup import app_of
from decco.verify.outcome import Failed, eventually
from decco.verify.probe import Probe
from decco.verify.routes import route_kinds
from decco.verify.world import World

APP_SECONDS = 40.0
SPACE_SECONDS = 90.0


async def _app(world: World) -> None:
    app = await world.get(APPS, "gone", "c")
    await world.client.delete(APPS, Key(world.names.space("c"), "gone"), uid=uid_of(app))
    kinds = (SERVICES, DEPLOYMENTS, CONFIGMAPS, NETWORK_POLICIES, PODS, *route_kinds(world))

    async def gone() -> None:
        left = []
        for kind in kinds:
            found = await world.listed(kind, world.names.space("c"), f"{LABEL_APP}=gone")
            left += [f"{kind.kind} {each['metadata']['name']}" for each in found]
        if await world.find(APPS, Key(world.names.space("c"), "gone")) is not None:
            left.append("App gone")
        if left:
            raise Failed(f"left after {APP_SECONDS:.0f} s: {', '.join(left)}")

    await eventually(gone, APP_SECONDS)


async def _app_at_edge(world: World) -> None:
    async def gone() -> None:
        for request in (
            Request(world.names.fqdn("c"), "/gone/who"),
            Request(world.names.host("c", "gone-tcp"), "/who"),
        ):
            try:
                answer = await world.request(request)
            except Refused:
                continue
            if answer.status == 200:
                raise Failed(f"https://{request.server}{request.path} is still answered")

    await eventually(gone, 15)


async def _space(world: World) -> None:
    key = Key("", world.names.space("d"))
    found = await world.client.get(SPACES, key)
    await world.client.delete(SPACES, key, uid=uid_of(found))

    async def gone() -> None:
        for resource in (SPACES, NAMESPACES):
            if await world.find(resource, key) is not None:
                raise Failed(f"{resource.kind} {key} is left after {SPACE_SECONDS:.0f} s")

    await eventually(gone, SPACE_SECONDS)


async def _space_at_edge(world: World) -> None:
    async def gone() -> None:
        try:
            found = await world.certificate(world.names.fqdn("d"))
        except Refused:
            return
        if found == world.material.web["d"].digest:
            raise Failed(f"{world.names.fqdn('d')} is still shown the certificate of the deleted Space")

    await eventually(gone, 15)


async def _neighbours(world: World) -> None:
    async def answers() -> None:
        try:
            answer = await world.request(Request(world.names.fqdn("a"), "/verify/who"))
        except Refused as error:
            raise Failed(f"Space a does not answer after the deletion of Space d: {error}") from error
        if answer.status != 200:
            raise Failed(f"Space a answers {answer.status} after the deletion of Space d")

    await eventually(answers, ANSWER_SECONDS)


APP, SPACE = "deletion/app", "deletion/space"
PROBES = (
    Probe(
        APP,
        "a deleted App leaves no object",
        "verify-deletion",
        _app,
        after=(app_of("c", "gone"),),
        behind=("routing/http-second-app", "repair/replicas", "dns/endpoint-gone"),
        seconds=APP_SECONDS + 10,
    ),
    Probe(
        "deletion/app-at-edge",
        "a deleted App is not reached any more",
        "verify-deletion",
        _app_at_edge,
        after=(APP, "routing/http-second-app"),
    ),
    Probe(
        SPACE,
        "a deleted Space leaves no namespace",
        "verify-deletion",
        _space,
        after=(app_of("d"),),
        behind=("routing/http-project", "secrets/https-returns", "isolation/clients", "egress/no-client"),
        seconds=SPACE_SECONDS + 10,
    ),
    Probe(
        "deletion/space-at-edge",
        "the name of a deleted Space is not served any more",
        "verify-deletion",
        _space_at_edge,
        after=(SPACE, "routing/http-project"),
    ),
    Probe(
        "deletion/neighbours",
        "other Spaces answer as before",
        "verify-deletion",
        _neighbours,
        after=(SPACE, "routing/http"),
    ),
)
