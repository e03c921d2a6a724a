"""One object in a store: how it is read, and which digests are computed from it.

An object is kept as compressed JSON without ``managedFields`` and decoded for each reader, so no reader can change what
another sees, and 10,000 Deployments cost tens of megabytes instead of hundreds. What each reconcile reads (owner,
generation, digests) is computed once.

Anybody who may write in some namespace can give an object the label that decco watches by, and fill it. So only a stub
is kept of what is not decco's (``Shape.kept``) and of what is larger than its kind needs (``Shape.most_bytes``).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from sys import intern
from typing import Any, Final

import orjson

from decco.errors import TerminalError
from decco.kube.depth import shallow
from decco.kube.ownership import MISSING, Path, foreign_paths, is_manager, lookup
from decco.objects import ANNOTATION_HASH, GROUP, LABEL_MANAGED_BY, Key, Obj, key_of


@dataclass(frozen=True, slots=True)
class Shape:
    """How a kind is read into its store, and how it may be written (see ``apply.py``).

    ``unmanaged``: paths that belong to others once the object exists, such as a Deployment's replicas: left out of the
    content digest and carried over from the live object at a write. ``unmanaged_while`` names, for some of them, the
    annotation whose change makes decco write the path again. An unmanaged map keeps the others' keys and gets decco's.
    ``listed`` names, for maps that decco shares with others, the annotation that lists decco's keys in it: these are
    repaired, and removed when they are no longer desired.
    """

    unmanaged: tuple[Path, ...] = ()
    unmanaged_while: tuple[tuple[Path, str], ...] = ()
    managed_while: tuple[tuple[Path, str], ...] = ()
    """Unmanaged paths that are decco's while the object has the annotation; decco removes it when it ends."""
    listed: tuple[tuple[Path, str], ...] = ()
    withdrawn: tuple[str, ...] = ()
    """Annotations that decco removes when it no longer desires them; others it leaves, whoever wrote them."""
    mutable: tuple[Path, ...] | None = None
    """If set, a write changes only these paths of the content; the rest of the live object stays as it is, whoever
    changed it (Job)."""
    admitted: tuple[Path, ...] = ()
    """Mutable paths that admission may have set: a write keeps them where no value is desired, except for a write that
    repairs an alteration."""
    cleared: tuple[tuple[Path, Any], ...] = ()
    """What a write puts in the place of a mutable field that is no longer desired, where the server would not take its
    absence for the default of a new object."""
    replace_if: tuple[Path, ...] = ()
    """A difference here cannot be written in place: the object is deleted and created again."""
    replace_if_left: tuple[tuple[Path, Any], ...] = ()
    """The same for a live value of which nothing is desired any more."""
    recreate: bool = False
    """Whether an object that cannot be changed as desired is deleted and created again: nothing is lost by that."""
    foreground: bool = False
    """Whether decco deletes it in the foreground: it stays until its dependents (pods) are gone."""
    facts: Callable[[Obj], Any] | None = None
    """Computes what other reconciles often need of this object; an exception that it raises becomes the facts."""
    labelled_owner: Callable[[Obj], Any] | None = None
    """Finds the owner that the labels and annotations of an object without controller name; None: no owner."""
    marked: Callable[[Obj], bool] | None = None
    """If set, an owner reference counts only on an object for which this is true."""
    kept_while_deleting: bool = True
    """Whether the object is kept as desired while it is being deleted and a finalizer keeps it."""
    digests: bool = True
    """Whether decco writes the kind, so that alterations must be detected."""
    watched: bool = True
    """Whether an informer follows the kind. If not, the store has what requests returned, without the confidential
    content once it is no longer needed."""
    short_repair_backoff: bool = False
    """Whether it keeps clients out: while another writer alters it again and again, its repairs pause for seconds
    only."""
    most_bytes: int = 0
    """Of a larger object, as JSON without its status, only a stub is kept; 0: no limit."""
    kept: Callable[[Obj], bool] | None = None
    """If set, only a stub is kept of an object for which this is false: of one that is not decco's."""


UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a store. ``raw`` is its compressed JSON without managedFields; the digests are of decoded parts."""

    key: Key
    uid: str
    version: int
    generation: int
    owner_uid: str
    raw: bytes = field(repr=False)
    written: str
    """The hash annotation: digest of the desired object that decco wrote last, "" if none."""
    content: bytes
    """Digest of the part that decco repairs, see ``managed_content``."""
    meta: bytes
    """Digest of labels, annotations, owner references and finalizers."""
    foreign: tuple[Path, ...]
    """Content paths that other field managers own."""
    deleting: bool
    ready: str
    """Status of the condition Ready; UNKNOWN if there is none."""
    facts: Any
    labelled_owner: Any = None
    """See ``Shape.labelled_owner``; None if the object has a controller."""
    proven: bool = False
    """Of an object with a labelled owner: whether it also has the hash annotation and decco among its field managers,
    so it is not a user's copy of one of decco's objects."""
    partial: bool = False
    """Whether ``raw`` is not the whole object: a stub, or a Secret whose ``data`` was dropped after it was compared."""

    def obj(self) -> Obj:
        """The object, decoded for this caller alone."""
        decoded: Obj = orjson.loads(self.json())
        return decoded

    def json(self) -> bytes:
        """The object as compact JSON, without managedFields."""
        return zlib.decompress(self.raw)


def without_data(entry: Entry) -> Entry:
    """The entry of a Secret without its content; facts and digests stay."""
    obj = entry.obj()
    obj.pop("data", None)
    return replace(entry, raw=zlib.compress(orjson.dumps(obj), 1), partial=True)


def has_json(entry: Entry, obj: Obj) -> bool:
    """Whether ``obj`` has the JSON of the entry; False for one of which only a part is kept."""
    meta = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    try:
        return orjson.dumps({**obj, "metadata": meta}) == entry.json()
    except TypeError:  # too deep, see ``read_entry``
        return False


def is_same(one: Entry, other: Entry, *, in_another_form: bool = False) -> bool:
    """Whether two entries are of the same state of the same object. UID and version alone do not prove it: a restore of
    etcd gives a version to another change. ``in_another_form``: they are of two versions of the kind.
    """
    if (one.uid, one.version, one.deleting) != (other.uid, other.version, other.deleting):
        return False
    if in_another_form or one.raw == other.raw:
        return True
    # Of a Secret whose content was dropped there is only the digest.
    return one.partial != other.partial and bool(one.content) and (one.content, one.meta) == (other.content, other.meta)


def digest(value: object) -> bytes:
    """A digest that is equal for equal JSON values, whatever the order of their keys."""
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=12).digest()


def without(content: Obj, paths: tuple[Path, ...]) -> Obj:
    """``content`` less the given paths; copies only the maps on the way."""
    for path in paths:
        content = with_value(content, path, MISSING)
    return content


def with_value(node: Any, path: Path, value: Any) -> Any:
    """``node`` with ``value`` at ``path``, or without the field if it is MISSING; copies only the maps on the way."""
    head, rest = path[0], path[1:]
    if value is MISSING and (not isinstance(node, dict) or head not in node):
        return node
    changed = dict(node) if isinstance(node, dict) else {}
    if rest:
        changed[head] = with_value(changed.get(head), rest, value)
    elif value is MISSING:
        del changed[head]
    else:
        changed[head] = value
    return changed


_NOT_CONTENT = frozenset({"apiVersion", "kind", "metadata", "status"})


def content_of(obj: Obj) -> Obj:
    """The body of the object: spec, data, rules, without metadata and status."""
    return {name: value for name, value in obj.items() if name not in _NOT_CONTENT}


def managed_content(obj: Obj, shape: Shape) -> Obj:
    """The part of the content that decco repairs when others change it: without unmanaged and immutable fields, but
    with its own keys of unmanaged maps.
    """
    whole = content = content_of(obj)
    if shape.mutable is not None:
        content = {}
        for path in shape.mutable:
            content = with_value(content, path, lookup(whole, path))
    return with_listed(without(content, unmanaged(obj, shape)), whole, obj, shape)


def unmanaged(obj: Obj, shape: Shape) -> tuple[Path, ...]:
    """The paths of this object that belong to others."""
    if not shape.managed_while:
        return shape.unmanaged
    own = {path for path, name in shape.managed_while if name in (obj["metadata"].get("annotations") or {})}
    return tuple(path for path in shape.unmanaged if path not in own)


def with_listed(content: Obj, whole: Obj, obj: Obj, shape: Shape) -> Obj:
    """``content`` with decco's keys of unmanaged maps, as they are in ``whole``; ``obj`` lists them."""
    for path, annotation in shape.listed:
        for key in listed_keys(obj, annotation) if path in shape.unmanaged else ():
            content = with_value(content, (*path, key), lookup(whole, (*path, key)))
    return content


_MOST_LISTED: Final = 64


def listed_keys(obj: Obj, annotation: str) -> list[str]:
    """The keys that an annotation lists, see ``Shape.listed``; anybody may have written it."""
    found = (obj["metadata"].get("annotations") or {}).get(annotation) or ""
    return found.split(",", _MOST_LISTED)[:_MOST_LISTED] if found else []


def _ready(obj: Obj) -> str:
    try:
        conditions = (obj.get("status") or {}).get("conditions") or ()
        return next((str(c.get("status", UNKNOWN)) for c in conditions if c.get("type") == "Ready"), UNKNOWN)
    except (AttributeError, TypeError):  # a status of a custom resource can be anything that its schema allows
        return UNKNOWN


class TooLargeError(TerminalError, ValueError):
    """The facts of an object that is larger than its kind allows."""

    def __init__(self, obj: Obj, size: int, most: int) -> None:
        super().__init__(
            f"this {obj.get('kind')} has {-(-size // 1024)} KiB as JSON, and decco reads at most {most // 1024} KiB of "
            "one: make it smaller, for example by a ConfigMap that its pods mount"
        )


MOST_OF_A_STUB: Final = 16 * 1024
"""Bytes of each part of a stub."""
_OF_A_STUB: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
)


def _stub(obj: Obj) -> Obj:
    """The part of an object that decco reads also of those that it does not keep: identity, its own labels and
    annotations, the controller, finalizers, and the status if it is small.
    """
    meta = obj["metadata"]
    reduced: Obj = {name: meta[name] for name in _OF_A_STUB if name in meta}
    for name in ("labels", "annotations"):
        mine = {key: value for key, value in (meta.get(name) or {}).items() if GROUP in key or key == LABEL_MANAGED_BY}
        if mine and len(orjson.dumps(mine)) <= MOST_OF_A_STUB:
            reduced[name] = mine
    controllers = [owner for owner in meta.get("ownerReferences") or () if owner.get("controller")]
    parts = {"ownerReferences": controllers, "finalizers": meta.get("finalizers")}
    reduced |= {name: part for name, part in parts.items() if part and len(orjson.dumps(part)) <= MOST_OF_A_STUB}
    kept: Obj = {name: obj[name] for name in ("apiVersion", "kind") if name in obj}
    status = obj.get("status")
    if status and len(orjson.dumps(status)) <= 4 * MOST_OF_A_STUB:
        kept["status"] = status
    return {**kept, "metadata": reduced}


def read_entry(obj: Obj, shape: Shape) -> Entry:
    """Takes over ``obj`` (drops its managedFields) and computes its entry."""
    managed = obj["metadata"].pop("managedFields", None)
    try:
        text = orjson.dumps(obj)
    except TypeError:  # too deep to be written, and so too deep for any reader
        obj = shallow(obj)
        text = orjson.dumps(obj)
    size = len(text)
    if shape.most_bytes and size > shape.most_bytes and obj.get("status"):
        size -= len(orjson.dumps(obj["status"]))
    large = bool(shape.most_bytes) and size > shape.most_bytes
    stub = large or (shape.kept is not None and not shape.kept(obj))
    if stub:
        text = orjson.dumps(_stub(obj))
    # Compressed, a child takes 0.6 KB instead of 1.6 (30 µs on the way in, 8 to read). Not kept as it is in any case:
    # orjson's answer holds on to the buffer that it was written into, 12 KB for 1.7 KB of text (orjson 3.13).
    raw = zlib.compress(text, 1)
    meta = obj["metadata"]
    annotations = meta.get("annotations") or {}
    owners = meta.get("ownerReferences") or ()
    # The children of one owner, and the objects of one namespace, share these texts.
    owner_uid = intern(next((owner["uid"] for owner in owners if owner.get("controller")), ""))
    if shape.marked is not None and owner_uid and not shape.marked(obj):
        owner_uid = ""
    labelled_owner = shape.labelled_owner(obj) if shape.labelled_owner is not None and not owner_uid else None
    content = meta_digest = b""
    foreign: tuple[Path, ...] = ()
    if shape.digests and (owner_uid or labelled_owner is not None or not stub):
        content = digest(managed_content(obj, shape))
        meta_digest = digest([meta.get("labels"), annotations, owners, meta.get("finalizers")])
        foreign = foreign_paths(managed or [])
    facts: Any = None
    if large:
        facts = TooLargeError(obj, size, shape.most_bytes)
    elif shape.facts is not None:
        try:
            facts = shape.facts(obj)
        except Exception as error:  # noqa: BLE001 - one undecodable object stops no other; its reconciler reports it
            facts = error
    return Entry(
        key=key_of(obj),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=meta.get("generation", 0),
        owner_uid=owner_uid,
        raw=raw,
        written=annotations.get(ANNOTATION_HASH, ""),
        content=content,
        meta=meta_digest,
        foreign=foreign,
        deleting="deletionTimestamp" in meta,
        ready=_ready(obj),
        facts=facts,
        labelled_owner=labelled_owner,
        proven=labelled_owner is not None and ANNOTATION_HASH in annotations and is_manager(managed or []),
        partial=stub,
    )
