"""Where the requests to an App go: to itself and its canaries, or, while it is suspended, nowhere."""

from __future__ import annotations

from decco.api.parse import parse_app
from decco.desired import reasons
from decco.desired.canary import together
from decco.desired.model import SpaceFacts
from decco.desired.routing import sharing
from decco.desired.shares import WHOLE, Primary, Share, Sharing, split
from decco.desired.suspension import RETRY_AFTER
from decco.errors import DeccoError
from decco.objects import Key
from decco.reconcilers.canaries import primary_at
from decco.settings import RoutingBackend
from decco.views.explanation.parts import World
from decco.views.findings import Finding, Findings


def shares(world: World, space: SpaceFacts, app: Key) -> Findings:
    """The shares of all canaries of this App, or, if it is one itself, its own."""
    caches = world.snapshot.caches
    facts, how = caches.index.facts.get(app), sharing(caches.settings.routing)
    if facts is None or how is Sharing.NONE:
        return  # a canary has the condition
    key = app if facts.canary_of is None else Key(app.namespace, facts.canary_of)
    primary = primary_at(caches, key, space, simulated=False)
    for endpoint in primary.endpoints if primary is not None else ():
        assert primary is not None
        among = together(primary.endpoints, endpoint, how)
        for share in split(endpoint.path, endpoint.protocol, primary.canaries, among):
            if facts.canary_of is None:
                yield _share(share, primary, endpoint.path, f"canary {share.canary.name}", "")
            elif share.canary.name == app.name:
                yield _share(share, primary, endpoint.path, "canary", f" of App {primary.name}")


def _share(share: Share, primary: Primary, path: str, about: str, whose: str) -> Finding:
    """``whose``: the App that the path belongs to, if another one is explained."""
    what = f"{share.weight} of {WHOLE} requests to {path}{whose}"
    if share.refusal:
        return Finding(about, f"none of the requests to {path}{whose}: {share.refusal}", reasons.CANARY_REFUSED)
    if not share.weight:
        return Finding(about, f"{what}: paused by weight 0")
    if not share.canary.serving:
        text = f"none of the requests to {path}{whose} before a pod of it is ready, then {share.weight} of {WHOLE}"
        return Finding(about, text, reasons.CANARY_WAITING)
    if share.endpoint.name not in primary.carried:
        return Finding(about, f"{what}, as soon as the route has it", reasons.CANARY_WAITING)
    return Finding(about, what)


def is_canary(world: World, app: Key) -> bool:
    facts = world.snapshot.caches.index.facts.get(app)
    return facts is not None and facts.canary_of is not None


def suspended(world: World, app: Key) -> bool:
    entry = world.snapshot.caches.apps.get(app)
    if entry is None:
        return False
    try:
        return parse_app(entry.obj()).suspend
    except DeccoError:
        return False  # reported as invalid elsewhere


def answer_of_suspended(world: World, url: str | None) -> str:
    """What clients get of an endpoint without pods."""
    if url is None or not url.startswith("https://"):
        return "connections are closed"
    if world.snapshot.caches.settings.routing.backend is RoutingBackend.GATEWAY:
        return f"the edge answers 503 with Retry-After: {RETRY_AFTER}"
    return "the edge answers 503"
