"""Who may talk to whom, read from the very NetworkPolicies that decco writes, and who wants to, from the egresses.

Nothing here knows the rules of ``desired/network.py``: the policies of a rehearsal are evaluated as a network plugin
would, with the labels that the namespaces of the same rehearsal carry. So the picture cannot say another thing than
the policies do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from decco.api.parse import parse_app
from decco.desired.model import SpaceFacts
from decco.desired.network import HBONE_PORT, LABEL_NAMESPACE_NAME
from decco.errors import DeccoError
from decco.objects import (
    DEPLOYMENTS,
    JOBS,
    LABEL_MONITORING,
    NAMESPACES,
    NETWORK_POLICIES,
    SERVICES,
    Key,
    Obj,
    Resource,
    labels_of,
)
from decco.views.rehearsal import Play, Turn
from decco.views.snapshot import Snapshot

ANYBODY = "anybody"
MONITORING = "monitoring"
EDGE = "edge"


@dataclass(frozen=True, slots=True)
class Door:
    """An endpoint of an App, as the policy opens it."""

    app: str
    endpoint: str
    port: int
    """Of the Service."""
    pod_port: int
    url: str | None = None


@dataclass(slots=True)
class Place:
    """A Space with its doors, and who may come to each: names of other Spaces, ANYBODY, MONITORING, "edge ..."."""

    name: str
    fqdn: str
    project: str | None
    doors: list[Door] = field(default_factory=list)
    admits: dict[str, list[Door]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """An egress: who wants to talk to whom. ``space`` is None for a host outside; then nobody decides (None)."""

    caller: Key
    space: str | None
    target: str
    """Name of the endpoint, or host:port."""
    allowed: bool | None
    why: str = ""


@dataclass(slots=True)
class Reach:
    """The whole picture."""

    places: list[Place]
    calls: list[Call]

    def only(self, spaces: set[str]) -> Reach:
        """These Spaces, and those that they call or that call them."""
        calls = [call for call in self.calls if call.caller.namespace in spaces or call.space in spaces]
        near = spaces | {call.caller.namespace for call in calls} | {call.space for call in calls if call.space}
        return Reach([place for place in self.places if place.name in near], calls)


def reach(snapshot: Snapshot, play: Play) -> Reach:
    """From a rehearsal that wrote everything anew (``Snapshot.forget_children``)."""
    labels = {
        turn.key.name: {**labels_of(obj), LABEL_NAMESPACE_NAME: turn.key.name}
        for turn in play.turns
        for obj in _objects(turn, NAMESPACES)
    }
    places: dict[str, Place] = {}
    for entry in snapshot.caches.spaces:
        if isinstance(entry.facts, SpaceFacts):
            facts = entry.facts
            places[facts.name] = Place(facts.name, facts.fqdn, facts.spec.project)
    # By name: the caches' order is that in which objects were seen.
    for turn in sorted(play.turns, key=lambda turn: turn.key):
        place = places.get(turn.key.namespace)
        if turn.kind == "App" and place is not None:
            _open(place, turn, labels)
    ordered = sorted(places.values(), key=lambda place: (place.project is None, place.project or "", place.name))
    return Reach(
        ordered, sorted(_calls(snapshot, places), key=lambda call: (call.caller, call.space or "", call.target))
    )


def _open(place: Place, turn: Turn, labels: Mapping[str, Mapping[str, str]]) -> None:
    doors = sorted(_doors(turn), key=lambda door: door.endpoint)
    place.doors += doors
    for policy in _objects(turn, NETWORK_POLICIES):
        for rule in policy["spec"].get("ingress") or ():
            ports = {port["port"] for port in rule.get("ports") or ()} - {HBONE_PORT}
            opened = [door for door in doors if door.pod_port in ports]
            for who in _sources(rule, labels):
                if who != place.name and opened:
                    known = place.admits.setdefault(who, [])
                    known += [door for door in opened if door not in known]


def _sources(rule: Obj, labels: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Who a rule lets in. Without ``from`` it is anybody (networking.k8s.io/v1, NetworkPolicyIngressRule)."""
    if not rule.get("from"):
        yield ANYBODY
        return
    for peer in rule["from"]:
        if "ipBlock" in peer:
            yield f"{EDGE} at {peer['ipBlock']['cidr']}"
            continue
        wanted: dict[str, str] = (peer.get("namespaceSelector") or {}).get("matchLabels") or {}
        if LABEL_NAMESPACE_NAME in wanted:
            yield f"{EDGE} in namespace {wanted[LABEL_NAMESPACE_NAME]}"
        elif LABEL_MONITORING in wanted:
            yield MONITORING
        else:
            yield from (name for name, has in sorted(labels.items()) if wanted.items() <= has.items())


def _doors(turn: Turn) -> Iterator[Door]:
    """The App's Services, each with the port of the pod that it leads to."""
    numbers = _port_numbers(turn)
    urls = {entry["name"]: entry.get("url") for entry in (turn.status or {}).get("endpoints") or ()}
    for service in _objects(turn, SERVICES):
        name = service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            target = port["targetPort"]
            number = target if isinstance(target, int) else numbers.get(target)
            if number is not None and name in urls:
                yield Door(turn.key.name, name, port["port"], number, urls[name])


def _port_numbers(turn: Turn) -> dict[str, int]:
    """The pod's named ports."""
    found: dict[str, int] = {}
    for workload in _objects(turn, DEPLOYMENTS, JOBS):
        spec: dict[str, Any] = workload["spec"]["template"]["spec"]
        for kind in ("containers", "initContainers"):
            for container in spec.get(kind) or ():
                ports = container.get("ports") or ()
                found |= {port["name"]: port["containerPort"] for port in ports if "name" in port}
    return found


def _calls(snapshot: Snapshot, places: Mapping[str, Place]) -> Iterator[Call]:
    for entry in snapshot.caches.apps:
        try:
            spec = parse_app(entry.obj())
        except DeccoError:
            continue  # told as invalid by whoever shows the App
        for egress in spec.tls_egresses:
            if egress.endpoint is None:
                yield Call(entry.key, None, f"{egress.fqdn}:{egress.target_port}", None)
                continue
            space = egress.space_name or entry.key.namespace
            yield _call(entry.key, space, egress.endpoint, places)


def _call(caller: Key, space: str, endpoint: str, places: Mapping[str, Place]) -> Call:
    place = places.get(space)
    door = next((door for door in place.doors if door.endpoint == endpoint), None) if place is not None else None
    if place is None or door is None:
        return Call(caller, space, endpoint, allowed=False, why="no such endpoint")
    if space == caller.namespace:
        return Call(caller, space, endpoint, allowed=True)
    for who in (caller.namespace, ANYBODY):
        if door in place.admits.get(who, ()):
            return Call(caller, space, endpoint, allowed=True)
    return Call(caller, space, endpoint, allowed=False, why="the Space lets only its project in")


def _objects(turn: Turn, *resources: Resource) -> Iterator[Obj]:
    for write in turn.writes:
        if write.resource in resources and write.after is not None:
            yield write.after


def as_data(picture: Reach) -> Obj:
    """For programs."""

    def door(each: Door) -> Obj:
        found: Obj = {"app": each.app, "endpoint": each.endpoint, "port": each.port}
        return {**found, "url": each.url} if each.url is not None else found

    return {
        "spaces": [
            {
                "name": place.name,
                "fqdn": place.fqdn,
                **({"project": place.project} if place.project is not None else {}),
                "endpoints": [door(each) for each in place.doors],
                "admits": [
                    {"from": who, "endpoints": [each.endpoint for each in doors]}
                    for who, doors in sorted(place.admits.items())
                ],
            }
            for place in picture.places
        ],
        "calls": [
            {
                "from": str(call.caller),
                **({"space": call.space} if call.space is not None else {}),
                "to": call.target,
                **({"allowed": call.allowed} if call.allowed is not None else {}),
                **({"why": call.why} if call.why else {}),
            }
            for call in picture.calls
        ],
    }
