"""Objects as a user sees them: YAML, manifests as decco sends them, and differences with masked Secrets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from decco.objects import ANNOTATION_HASH, ANNOTATION_HOSTNAMES, SECRETS, Obj, annotations_of
from decco.views.dry_run_client import Write
from decco.views.simulation import ReconcileResult
from decco.views.snapshot import has_placeholder
from decco.yamlform import to_yaml

_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_FIRST = ("name", "namespace", "labels", "annotations", "ownerReferences")
CONTEXT_LINES = 3


def rendered(reconciled: ReconcileResult) -> list[Obj]:
    """The objects of one Space or App in the order of writing, as decco sends them.

    If the UID of the owner is not known yet, what depends on it is omitted: the digest, and the host names with the
    times at which they are granted.
    """
    return [_sent(write.after) for write in reconciled.writes if write.after is not None]


def _sent(obj: Obj) -> Obj:
    if has_placeholder(obj, in_controller=True):
        obj = _without(obj, ANNOTATION_HASH, ANNOTATION_HOSTNAMES)
    meta = _without_server_fields(obj["metadata"])
    return {**obj, "metadata": {**{name: meta[name] for name in _FIRST if name in meta}, **meta}}


def change(write: Write) -> tuple[Obj | None, Obj | None]:
    """Before and after, without the server's bookkeeping fields and the content of Secrets."""
    before, after = _plain(write, write.before), _plain(write, write.after)
    if write.resource == SECRETS:
        old, new = ((obj or {}).get("data") or {} for obj in (write.before, write.after))
        same = {name for name, value in old.items() if new.get(name) == value}
        before, after = _masked(before, same, "before"), _masked(after, same, "after")
    return before, after


def shown(write: Write) -> tuple[Obj | None, Obj | None]:
    """As ``change``, without decco's digest annotation unless it is the only difference."""
    before, after = change(write)
    bare = (before and _without(before, ANNOTATION_HASH), after and _without(after, ANNOTATION_HASH))
    return bare if bare[0] != bare[1] else (before, after)


def is_change(write: Write) -> bool:
    """Whether the write would change more than the server's bookkeeping fields."""
    before, after = change(write)
    return before != after


def unified(write: Write) -> Iterator[str]:
    """Lines of a unified diff, without line ends."""
    before, after = shown(write)
    name = f"{write.resource.kind} {write.key}"
    yield from difflib.unified_diff(
        to_yaml(before, sort=True).splitlines() if before is not None else [],
        to_yaml(after, sort=True).splitlines() if after is not None else [],
        f"live {name}" if before is not None else "nothing",
        f"decco {name}" if after is not None else "nothing",
        n=CONTEXT_LINES,
        lineterm="",
    )


def _plain(write: Write, obj: Obj | None) -> Obj | None:
    if obj is None:
        return None
    rest = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata", "status")}
    head = {"apiVersion": write.resource.api_version, "kind": write.resource.kind}
    return {**head, "metadata": _without_server_fields(obj["metadata"]), **rest}


def _without_server_fields(meta: Obj) -> Obj:
    return {name: value for name, value in meta.items() if name not in _SERVER_FIELDS}


def _without(obj: Obj, *names: str) -> Obj:
    annotations = {name: value for name, value in annotations_of(obj).items() if name not in names}
    if len(annotations) == len(annotations_of(obj)):
        return obj
    meta = {name: value for name, value in obj["metadata"].items() if name != "annotations"}
    return {**obj, "metadata": {**meta, **({"annotations": annotations} if annotations else {})}}


def _masked(obj: Obj | None, same: set[str], when: str) -> Obj | None:
    if obj is None or not obj.get("data"):
        return obj
    return {**obj, "data": {name: "***" if name in same else f"*** ({when})" for name in obj["data"]}}
