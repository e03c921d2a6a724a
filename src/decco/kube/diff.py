"""The pure half of apply: the content of a write, and whether another writer changed an object since decco wrote it.

The API server fills in defaults and normalizes values, so a difference alone proves nothing: a dry run decides about
it. See docs/design/2026-11-23-diff-before-write.md.
"""

from __future__ import annotations

from typing import Any

from decco.kube.entry import (
    Shape,
    content_of,
    digest,
    listed_keys,
    managed_content,
    unmanaged,
    with_listed,
    with_value,
    without,
)
from decco.kube.ownership import MISSING, Path, lookup
from decco.kube.server_values import equal, is_added, is_default
from decco.objects import ANNOTATION_HASH, Obj, annotations_of, controller_of

# Fields that the API server keeps although they are false or 0: their absence is an alteration. Any other False, 0, ""
# or empty list that the live object lacks was left out by the server, which stores no zero values.
_KEPT_WHEN_ZERO = frozenset(
    {
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "fsGroup",
        "hostUsers",
        "optional",
        "privileged",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "tolerationSeconds",
    }
)
# Maps with the user's own keys: the server keeps them as they are, also with empty values.
_MAPS_OF_TEXT = frozenset({"annotations", "binaryData", "data", "labels", "matchLabels", "nodeSelector"})


def must_be_replaced(live: Obj, desired: Obj, shape: Shape) -> bool:
    """Whether the desired value of an immutable field differs from the live one."""
    wanted = ((path, lookup(desired, path)) for path in shape.replace_if)
    if any(value is not MISSING and value != lookup(live, path) for path, value in wanted):
        return True
    left = (path for path, value in shape.replace_if_left if lookup(live, path) == value)
    return any(lookup(desired, path) is MISSING for path in left)


_OF_THE_LIVE = frozenset({"name", "uid", "resourceVersion", "finalizers"})
_LONGEST_PREFIX = 50
"""The server adds 5 characters to a generateName, and the names of some kinds have 63 at most."""


def hash_of(desired: Obj) -> str:
    """The digest that decco writes as an annotation: of the desired object and its owner (by UID)."""
    owner = controller_of(desired) or {}
    labels = desired["metadata"].get("labels")
    return digest([content_of(desired), labels, annotations_of(desired), owner.get("uid")]).hex()


def to_wire(desired: Obj) -> Obj:
    """The object as it is sent: no None among labels and annotations, the hash added."""
    meta = dict(desired["metadata"])
    meta["labels"] = _present(meta.get("labels"))
    meta["annotations"] = {**_present(meta.get("annotations")), ANNOTATION_HASH: hash_of(desired)}
    return {**desired, "metadata": meta}


def _present(values: Obj | None) -> Obj:
    return {name: value for name, value in (values or {}).items() if value is not None}


def rebuild(live: Obj, desired: Obj, shape: Shape) -> Obj:
    """The whole object to PUT: decco's content, and everything else as it is."""
    meta = live["metadata"]
    wire = to_wire(desired)["metadata"]
    withdrawn = (*shape.withdrawn, *(name for _, name in shape.managed_while))
    annotations = dict.fromkeys(withdrawn) | (desired["metadata"].get("annotations") or {})
    new_meta = {
        **{name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion", "finalizers") if name in meta},
        "labels": _overlay(meta.get("labels"), desired["metadata"].get("labels"), wire["labels"]),
        "annotations": _overlay(meta.get("annotations"), annotations, wire["annotations"]),
        "ownerReferences": _owners(meta.get("ownerReferences") or [], wire.get("ownerReferences") or []),
    }
    head = {"apiVersion": desired["apiVersion"], "kind": desired["kind"], "metadata": new_meta}
    if shape.mutable is not None:
        body = content_of(live)
        repairs = annotations_of(live).get(ANNOTATION_HASH) == hash_of(desired)
        ours, cleared = _listed_paths(live, shape), dict(shape.cleared)
        for path in shape.mutable:
            wanted = lookup(desired, path)
            if wanted is not MISSING or repairs or path in ours or path not in shape.admitted:
                body = with_value(body, path, cleared.get(path, wanted) if wanted is MISSING else wanted)
        return {**head, **body}
    body = content_of(desired)
    taken_back = _taken_back(live, desired, shape)
    formerly = _listed_paths(live, shape)
    for path in unmanaged(desired, shape):
        theirs = lookup(live, path)
        if path in taken_back or theirs is MISSING:
            continue
        if isinstance(theirs, dict):
            theirs = {key: value for key, value in theirs.items() if (*path, key) not in formerly}
        ours = lookup(desired, path)
        both = isinstance(theirs, dict) and isinstance(ours, dict)
        body = with_value(body, path, {**theirs, **ours} if both else theirs)
    return {**head, **body}


def _listed_paths(live: Obj, shape: Shape) -> set[Path]:
    """The fields of shared maps that decco wrote last, see ``Shape.listed``."""
    return {(*path, key) for path, annotation in shape.listed for key in listed_keys(live, annotation)}


def as_created(body: Obj, shape: Shape) -> Obj:
    """The object of a PUT as one to create, under a name of the server's choice and without unmanaged fields."""
    meta = {name: value for name, value in body["metadata"].items() if name not in _OF_THE_LIVE}
    meta["generateName"] = f"{body['metadata']['name'][:_LONGEST_PREFIX]}-"
    return {**with_listed(without(body, unmanaged(body, shape)), body, body, shape), "metadata": meta}


def _taken_back(live: Obj, desired: Obj, shape: Shape) -> set[Path]:
    """Unmanaged paths that decco writes this time: the desired value of their annotation differs from the last write.
    An annotation that is missing, or that others changed while its desired value is the same, has no effect.
    """
    before, now = annotations_of(live), annotations_of(desired)
    if before.get(ANNOTATION_HASH) == hash_of(desired):
        return set()
    return {path for path, name in shape.unmanaged_while if name in before and before[name] != now.get(name)}


def _overlay(live: Obj | None, desired: Obj | None, present: Obj) -> Obj:
    """``live`` with ``desired`` on top, and without the keys that must be absent."""
    gone = {name for name, value in (desired or {}).items() if value is None}
    return {**{name: value for name, value in (live or {}).items() if name not in gone}, **present}


def _owners(live: list[Obj], desired: list[Obj]) -> list[Obj]:
    ours = {owner["uid"] for owner in desired}
    return [*(owner for owner in live if owner["uid"] not in ours), *desired]


def same_meta(live: Obj, body: Obj) -> bool:
    """Whether labels, annotations (the hash among them) and owners are the same."""
    old, new = live["metadata"], body["metadata"]
    return (
        (old.get("labels") or {}) == (new.get("labels") or {})
        and (old.get("annotations") or {}) == (new.get("annotations") or {})
        and _owner_digests(old) == _owner_digests(new)
    )


def _owner_digests(meta: Obj) -> list[bytes]:
    return sorted(map(digest, meta.get("ownerReferences") or []))


def altered(live: Obj, desired: Obj, foreign: tuple[Path, ...], shape: Shape) -> bool:
    """Whether another writer seems to have changed the content since decco wrote it, judged by the live object alone.

    Values are compared whatever the managedFields state: a writer may use decco's name as its field manager. What the
    server makes of a value (``server_values.py``) is no difference.
    """
    ours, theirs = managed_content(desired, shape), managed_content(live, shape)
    if shape.mutable is not None:
        ours = {**{path[0]: {} for path in shape.mutable}, **ours}  # decco may have written none of these fields
    for path in foreign:
        value = lookup(theirs, path)
        if value is not MISSING and value != lookup(ours, path):
            return True
    return not _same(theirs, ours)


def _same(live: Any, written: Any, within: str = "", name: str = "") -> bool:
    """Whether the field ``name`` in the field ``within`` has what decco wrote and what the server adds, no more."""
    if isinstance(written, dict):
        if not isinstance(live, dict):
            return False
        for inner in live.keys() - written.keys():
            if name in _MAPS_OF_TEXT or not is_added(name, inner, live[inner], written):
                return False
        return all(
            _same(live[inner], value, name, inner) or is_default(name, inner, live[inner], value, written)
            if inner in live
            else _left_out_by_server(name, inner, value)
            for inner, value in written.items()
        )
    if isinstance(written, list):
        if not isinstance(live, list) or len(live) != len(written):
            return False
        return all(_same(*pair, within, name) for pair in zip(live, written, strict=True))
    return equal(within, name, live, written)


def _left_out_by_server(within: str, name: str, value: Any) -> bool:
    return not value and within not in _MAPS_OF_TEXT and not (value == 0 and name in _KEPT_WHEN_ZERO)
