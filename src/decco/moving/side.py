"""One of the two clusters of a move: its client, its settings, and what the move reads and writes there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from decco.desired.move import NO_MOVE, Move, parse_move
from decco.dns.registry import Owner
from decco.dns.service import Dns
from decco.errors import DeccoError
from decco.frozen import frozen
from decco.kube.client import Client
from decco.kube.errors import NotFound, NotServed
from decco.objects import ANNOTATION_MOVE, APPS, GROUP, NAMESPACES, SPACES, Key, Obj, Resource, annotations_of
from decco.settings import Settings

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DNS_READY = "DNSReady"
_READY = "Ready"


class MoveError(DeccoError):
    """The move cannot go on. Everything is served as before, and the same command goes on later."""


@frozen
class Side:
    """``dns`` only reads: it is not started, and cannot send changes."""

    context: str
    client: Client
    settings: Settings
    dns: Dns | None

    @property
    def id(self) -> str:
        return self.settings.cluster_id

    def __str__(self) -> str:
        return f"{self.context} (cluster {self.id})"

    async def find(self, resource: Resource, key: Key) -> Obj | None:
        """The object; None if there is none, or the kind is not served."""
        try:
            return await self.client.get(resource, key)
        except (NotFound, NotServed):
            return None

    async def space(self, name: str) -> Obj | None:
        return await self.find(SPACES, Key("", name))

    async def apps(self, name: str) -> list[Obj]:
        """By name."""
        found = [obj async for obj in self.list(APPS, name)]
        return sorted(found, key=lambda obj: str(obj["metadata"]["name"]))

    async def list(self, resource: Resource, namespace: str) -> AsyncIterator[Obj]:
        """All objects of a kind in a namespace; none if the kind is not served."""
        try:
            async for page in self.client.list_pages(resource, namespace=namespace):
                for obj in page.items:
                    yield obj
        except (NotFound, NotServed):
            return

    async def set_move(self, space: Obj, move: Move) -> Obj:
        """Writes the annotation of exactly this object; nothing if it is there already."""
        if move_of(space) == move:
            return space
        meta = {"uid": space["metadata"]["uid"], "annotations": {ANNOTATION_MOVE: move.text() or None}}
        return await self.client.patch(SPACES, Key("", space["metadata"]["name"]), {"metadata": meta})

    async def is_gone(self, name: str) -> bool:
        """Whether neither the Space nor its namespace exists."""
        return await self.space(name) is None and await self.find(NAMESPACES, Key("", name)) is None

    async def owners(self) -> Mapping[str, Owner]:
        """Name -> its owner, of all names in all zones that have an ownership record of one cluster."""
        assert self.dns is not None
        current = await self.dns.current()
        return {name: now.owner for name, now in current.items() if now.owner is not None}


def move_of(space: Obj | None) -> Move:
    return parse_move(annotations_of(space).get(ANNOTATION_MOVE) or "") if space is not None else NO_MOVE


def is_handed_over(target: Obj | None, source: Side) -> bool:
    """Whether the target has all names, so that only the source is to be emptied."""
    return move_of(target).source == source.id and move_of(target).since != ""


def created_again(obj: Obj, **annotations: str) -> Obj:
    """The object as its author wrote it, to be created in another cluster."""
    meta = obj["metadata"]
    kept = {key: value for key, value in (meta.get("annotations") or {}).items() if _is_authors(key)}
    made: Obj = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    made["metadata"] = {
        "name": meta["name"],
        **({"namespace": meta["namespace"]} if "namespace" in meta else {}),
        **({"labels": meta["labels"]} if meta.get("labels") else {}),
        **({"annotations": kept | annotations} if kept or annotations else {}),
    }
    return made


def _is_authors(annotation: str) -> bool:
    return annotation != LAST_APPLIED and annotation not in {f"{GROUP}/{key}" for key in ("move", "transfer", "paused")}


def not_ready(obj: Obj, *, dns: bool) -> str:
    """Why a Space or App does not serve yet, "" if it does; without ``dns`` apart from its records."""
    what = f"{obj['kind']} {obj['metadata']['name']}"
    status: dict[str, Any] = obj.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    if status.get("observedGeneration") != obj["metadata"].get("generation") or _READY not in conditions:
        return f"{what} has no status yet"
    left_out = {_READY} if dns else {_READY, _DNS_READY}
    for kind, condition in conditions.items():
        if kind not in left_out and condition["status"] != "True":
            return f"{what}: {kind} is {condition['status']}, {condition['reason']}: {condition['message']}"
    return ""
