"""Reads ``metadata.managedFields``: which manager wrote which field.

decco writes with one field manager. A path of an object's content that another manager owns was therefore written by
another writer: by hand, or by a controller whose writes conflict with decco's. Removals leave no trace there;
``apply.py`` finds those.

Format: https://github.com/kubernetes-sigs/structured-merge-diff, FieldsV1: a trie with keys ``f:<field>``,
``k:<JSON of the key fields of a list item>``, ``v:<JSON value of a set's item>`` and ``.`` (the item itself).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from decco.objects import FIELD_MANAGER, Obj
from decco.text import printable

Path = tuple[Any, ...]
"""Steps from an object's root: str for a field, frozenset of (key, value) pairs for an item of a keyed list."""

_OTHERS = frozenset({"f:metadata", "f:status", "f:apiVersion", "f:kind"})
_MOST_PATHS = 512
_LONGEST_PATH = 32
_MOST_NAMES = 5
_LONGEST_NAME = 64
EVERYTHING: tuple[Path, ...] = ((),)
"""The path of the whole content: the writers of its parts are not known."""
MISSING: Any = object()


def foreign_paths(managed_fields: list[Obj]) -> tuple[Path, ...]:
    """Leaf paths of the content (neither metadata nor status) that a manager other than decco owns.

    A client that may write an object may write its managedFields too, as long as it is a trie, so neither their size
    nor the form of their keys is trusted. EVERYTHING is the answer if decco is not among the managers, which happens
    when a client cleared the list: the API server then no longer records writers.
    """
    if not is_manager(managed_fields):
        return EVERYTHING
    paths: list[Path] = []
    for entry in managed_fields:
        if entry.get("manager") == FIELD_MANAGER or entry.get("subresource") == "status":
            continue
        fields = entry.get("fieldsV1") or {}
        for name, inner in fields.items():
            if name not in _OTHERS:
                paths.extend(islice(_leaves(name, inner, ()), _MOST_PATHS))
        if len(paths) >= _MOST_PATHS:
            return EVERYTHING
    return tuple(paths)


def is_manager(managed_fields: list[Obj]) -> bool:
    return any(entry.get("manager") == FIELD_MANAGER for entry in managed_fields)


def other_managers(live: Obj) -> tuple[str, ...]:
    """Names of the managers beside decco that wrote to the object, without its status; at most as many as a message
    shows.
    """
    found = {
        printable(str(entry.get("manager")), _LONGEST_NAME)
        for entry in live["metadata"].get("managedFields") or ()
        if entry.get("manager") not in (None, FIELD_MANAGER) and entry.get("subresource") != "status"
    }
    return tuple(sorted(found)[:_MOST_NAMES])


def _leaves(name: str, inner: Obj, above: Path) -> Iterator[Path]:
    kind, _, text = name.partition(":")
    step: Any = text if kind == "f" else _key_fields(text) if kind == "k" else None
    if step is None or len(above) == _LONGEST_PATH:
        yield above  # "v:" items and "i:" indices belong to the list above them; "." is the item itself
        return
    path = (*above, step)
    deeper = {step: below for step, below in inner.items() if step != "."}
    if not deeper:
        yield path
    for below, under in deeper.items():
        yield from _leaves(below, under, path)


def _key_fields(text: str) -> frozenset[tuple[str, Any]] | None:
    try:
        fields = orjson.loads(text)
        return frozenset(fields.items())
    except (orjson.JSONDecodeError, AttributeError, TypeError):  # a list, or a map of lists: made by hand
        return None


def lookup(node: Any, path: Path) -> Any:
    """The value at ``path``, or ``MISSING``. A list item matches if none of the path's key fields contradicts it."""
    for step in path:
        if isinstance(step, frozenset):
            items = node if isinstance(node, list) else ()
            node = next((item for item in items if _matches(item, step)), MISSING)
        else:
            node = node.get(step, MISSING) if isinstance(node, dict) else MISSING
    return node


def _matches(item: Any, keys: frozenset[tuple[str, Any]]) -> bool:
    # An item of the desired object may leave a key field to the server's default (a port's protocol).
    return isinstance(item, dict) and all(item.get(name, value) == value for name, value in keys)
