"""What a pause does not keep: names that the Space has lost, and ports that are open to a former project.

A pause keeps what decco made as it is. It must not keep more than the owner may have: otherwise an author could pause
an object to keep a port open to clients of a project that the Space has left, or a name published that is another's. So
of a paused object decco closes these things, and opens, adds and repairs nothing. Everything here follows from the live
objects, because an edit of the spec is to have no effect before the pause ends.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from decco.desired import names
from decco.desired.claims import GrantIndex
from decco.desired.grants import Claim, covers
from decco.desired.model import Child, SpaceFacts
from decco.desired.network import peers_of
from decco.hostnames import canonical
from decco.objects import (
    ANNOTATION_HOSTNAMES,
    HTTP_ROUTES,
    INGRESSES,
    LABEL_MONITORING,
    LABEL_PROJECT,
    NAMESPACES,
    NETWORK_POLICIES,
    Obj,
    Resource,
    labels_of,
)
from decco.settings import EdgeSettings

_IDENTITY = frozenset({"name", "namespace", "labels", "ownerReferences"})
"""Of the metadata, what decco writes on every child; the annotations of a route stay as they are."""


def lost_claims(index: GrantIndex, space: SpaceFacts) -> frozenset[Claim]:
    """The claims whose names may not be served now. What was removed from the spec of a paused Space is its own."""
    lost = frozenset(index.claims_of(space.name).lost)
    return lost if space.paused else lost | index.leaving(space.name)


def lost_names(index: GrantIndex, space: SpaceFacts, published: Iterable[str]) -> frozenset[str]:
    """Those of an object's names that its Space does not have."""
    claims, lost = index.claims_of(space.name), lost_claims(index, space)
    own = (claims.granted | claims.pending | index.grants(space.name).keys()) - lost
    return frozenset(name for name in map(canonical, published) if not any(covers(claim, name) for claim in own))


_NO_NAME_OF_AN_OBJECT = "".join(
    f"(?<!{quote}{field}{quote}:{quote})" for field in ("name", "sectionName") for quote in ('"', r'\\"')
)
"""The name of a listener ends with a host name, and together with it reads like a name below a wildcard:
https-www.example.com. So what follows these keys does not count, nor in JSON within JSON, as kubectl leaves it."""


def serves(text: bytes, claims: Iterable[Claim], kept: Collection[Claim] = ()) -> bool:
    """Whether a listener or route, as JSON, contains a name of one of these claims that is in none of those that are
    ``kept``.
    """
    return any(
        not any(covers(other, found.decode()) for other in kept)
        for claim in claims
        for found in _pattern(claim).findall(text)
    )


@lru_cache(maxsize=4096)
def _pattern(claim: Claim) -> re.Pattern[bytes]:
    below = {".": r"(?:[a-z0-9_*-]+\.)*", "*": r"(?:[a-z0-9_-]+|\*)\."}.get(claim[0], "")
    root = re.escape(claim.removeprefix("*.").removeprefix("."))
    return re.compile(rf"{_NO_NAME_OF_AN_OBJECT}(?<![a-z0-9_.*-]){below}{root}(?![a-z0-9_.-])".encode())


def closed_policy(live: Obj, space: SpaceFacts, app: str, uid: str, edge: EdgeSettings) -> Child | None:
    """The policy of a paused App with the clients that its Space's project allows now; None if it allows no others.

    Its ports stay. Without a project all clients are allowed; then nothing is to be closed.
    """
    peers = peers_of(space, edge)
    spec = live.get("spec") or {}
    rules = [
        rule if peers is None or _is_of_monitoring(rule) else {**rule, "from": peers}
        for rule in spec.get("ingress") or ()
    ]
    if rules == (spec.get("ingress") or []):
        return None
    meta = names.child_meta(names.app_policy(app), uid=uid, space=space.name, app=app)
    return names.child(NETWORK_POLICIES, meta, spec={**spec, "ingress": rules})


def _is_of_monitoring(rule: Obj) -> bool:
    return bool(rule.get("from") == [{"namespaceSelector": {"matchLabels": {LABEL_MONITORING: "true"}}}])


def closed_listeners(
    kind: Resource, live: Obj, space: SpaceFacts, claims: Collection[Claim], kept: Collection[Claim] = ()
) -> Child | None:
    """The listeners of a paused Space without those for lost names; None if no listener would be left."""
    spec = live.get("spec") or {}
    left = [
        each for each in spec.get("listeners") or () if not serves(str(each.get("hostname")).encode(), claims, kept)
    ]
    return names.child(kind, names.space_meta(space), spec={**spec, "listeners": left}) if left else None


def closed_route(kind: Resource, live: Obj, claims: Collection[Claim], kept: Collection[Claim]) -> Child | None:
    """A route of a paused object without lost names; None if it is not one of several names, or none would be left."""
    spec, at = live.get("spec") or {}, "hostnames" if kind == HTTP_ROUTES else "rules" if kind == INGRESSES else ""

    def is_left(part: object) -> bool:
        return not serves(str(part).encode(), claims, kept)

    if not any(map(is_left, spec.get(at) or ())):
        return None
    reduced = {**spec, at: [each for each in spec[at] if is_left(each)]}
    if "tls" in spec:
        reduced["tls"] = [each for each in spec["tls"] if is_left(each)]
    meta = {name: value for name, value in live["metadata"].items() if name in _IDENTITY}
    return names.child(kind, meta, spec=reduced)


def closed_namespace(live: Obj, space: SpaceFacts, record: str) -> Child | None:
    """The namespace of a paused Space with its project and the record of its grants; None if both are right.

    Policies of other Spaces select namespaces by the project: a Space that has left one must not be let in any more.
    """
    annotations = live["metadata"].get("annotations") or {}
    if labels_of(live).get(LABEL_PROJECT) == space.spec.project and annotations.get(ANNOTATION_HOSTNAMES, "") == record:
        return None
    meta = names.child_meta(
        space.name,
        uid=space.uid,
        space=space.name,
        namespaced=False,
        labels={LABEL_PROJECT: space.spec.project},
        annotations={ANNOTATION_HOSTNAMES: record or None},
    )
    return names.child(NAMESPACES, meta)
