"""Requests as they come over HTTP: what a path addresses, and which objects a query selects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

from tests.simulation.model.etcd import Address
from tests.simulation.model.kinds import BY_PLURAL, Kind, Obj


@dataclass(frozen=True, slots=True)
class Request:
    """``user`` is who sent it; ``sent`` when, in virtual seconds."""

    user: str
    method: str
    path: str
    query: dict[str, str]
    body: bytes
    sent: float = 0.0

    @classmethod
    def of(cls, user: str, method: str, url: str, body: bytes = b"", sent: float = 0.0) -> Request:
        path, query = _parsed(url)
        return cls(user, method, path, query, body, sent)

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in ("1", "true")

    def verb(self, target: Target) -> str:
        """As RBAC names it."""
        if self.method == "GET":
            return "watch" if self.is_watch else "get" if target.name else "list"
        return {"POST": "create", "PUT": "update"}.get(self.method, self.method.lower())

    @property
    def changes(self) -> bool:
        return self.method != "GET" and "dryRun" not in self.query and "selfsubject" not in self.path


@lru_cache(maxsize=4096)
def _parsed(url: str) -> tuple[str, dict[str, str]]:
    """Path and query; nobody changes the query."""
    path, _, text = url.partition("?")
    query = {}
    for pair in text.split("&") if text else ():
        name, _, value = pair.partition("=")
        query[name] = unquote_plus(value)
    return unquote(path), query


@dataclass(frozen=True, slots=True)
class Target:
    """What the path of a request addresses; ``name`` is "" for a collection."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    @property
    def address(self) -> Address:
        return Address(self.kind, self.namespace, self.name)


@lru_cache(maxsize=4096)
def addressed(path: str) -> Target | None:
    """None for paths of discovery, and of kinds that the model does not know."""
    steps = path.strip("/").split("/")
    if steps[:2] == ["api", "v1"]:
        group, version, rest = "", "v1", steps[2:]
    elif steps[0] == "apis" and len(steps) > 3:
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return None
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if not rest:
        return None
    kind = BY_PLURAL.get((group, rest[0]))
    return Target(kind, namespace, *[*rest[1:3], "", ""][:2]) if kind is not None and kind.version == version else None


def selector(query: dict[str, str]) -> Callable[[Obj], bool]:
    """A predicate for labelSelector (equality and existence) and fieldSelector (metadata.name)."""
    labels = [each for each in query.get("labelSelector", "").split(",") if each]
    fields = [each for each in query.get("fieldSelector", "").split(",") if each]

    def matches(obj: Obj) -> bool:
        present = obj["metadata"].get("labels") or {}
        for each in labels:
            name, equals, value = each.partition("=")
            if name not in present or (equals and present[name] != value.removeprefix("=")):
                return False
        for each in fields:
            name, _, value = each.partition("=")
            if name == "metadata.name" and obj["metadata"]["name"] != value:
                return False
        return True

    return matches
