"""Differences between live objects and what decco would write: YAML diffs with masked Secrets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from decco.objects import ANNOTATION_HASH, SECRETS, Obj, Resource, annotations_of
from decco.views.dry_run_client import Write
from decco.views.yamlform import to_yaml

_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
CONTEXT_LINES = 3


def change(write: Write) -> tuple[Obj | None, Obj | None]:
    """Before and after, without the server's bookkeeping fields and the content of Secrets."""
    before = _plain(write.resource, write.before)
    after = _plain(write.resource, write.after)
    if write.resource == SECRETS:
        same = {
            name
            for name, value in ((write.before or {}).get("data") or {}).items()
            if ((write.after or {}).get("data") or {}).get(name) == value
        }
        before, after = (_masked(obj, same, when) for obj, when in ((before, "before"), (after, "after")))
    return before, after


def shown(write: Write) -> tuple[Obj | None, Obj | None]:
    """As ``change``, without decco's digest annotation unless it is the only difference."""
    before, after = change(write)
    bare = _without_hash(before), _without_hash(after)
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


def _plain(resource: Resource, obj: Obj | None) -> Obj | None:
    if obj is None:
        return None
    meta = {name: value for name, value in obj["metadata"].items() if name not in _SERVER_FIELDS}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": meta,
        **{name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata", "status")},
    }


def _without_hash(obj: Obj | None) -> Obj | None:
    if obj is None or ANNOTATION_HASH not in annotations_of(obj):
        return obj
    annotations = {name: value for name, value in annotations_of(obj).items() if name != ANNOTATION_HASH}
    meta = {name: value for name, value in obj["metadata"].items() if name != "annotations"}
    return {**obj, "metadata": {**meta, **({"annotations": annotations} if annotations else {})}}


def _masked(obj: Obj | None, same: set[str], when: str) -> Obj | None:
    if obj is None or not obj.get("data"):
        return obj
    return {**obj, "data": {name: "***" if name in same else f"*** ({when})" for name in obj["data"]}}
