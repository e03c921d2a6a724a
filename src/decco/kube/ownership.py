"""Who wrote which field: reading ``metadata.managedFields``.

decco writes with one field manager. A path of an object's content that another manager owns was therefore written by
somebody else: by hand, or by a controller that fights with decco. Removals leave no trace there; ``apply.py`` finds
those.

Format: https://github.com/kubernetes-sigs/structured-merge-diff, FieldsV1: a trie with keys ``f:<field>``,
``k:<JSON of the key fields of a list item>``, ``v:<JSON value of a set's item>`` and ``.`` (the item itself).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from decco.objects import FIELD_MANAGER, Obj

Path = tuple[Any, ...]
"""Steps from an object's root: str for a field, frozenset of (key, value) pairs for an item of a keyed list."""

_OTHERS = frozenset({"f:metadata", "f:status", "f:apiVersion", "f:kind"})


def foreign_paths(managed_fields: list[Obj]) -> tuple[Path, ...]:
    """Leaf paths of the content (neither metadata nor status) that a manager other than decco owns."""
    paths: list[Path] = []
    for entry in managed_fields:
        if entry.get("manager") == FIELD_MANAGER or entry.get("subresource") == "status":
            continue
        fields = entry.get("fieldsV1") or {}
        for name, inner in fields.items():
            if name not in _OTHERS:
                paths.extend(_leaves(name, inner, ()))
    return tuple(paths)


def _leaves(name: str, inner: Obj, above: Path) -> Iterator[Path]:
    kind, _, text = name.partition(":")
    if kind == "f":
        path = (*above, text)
    elif kind == "k":
        path = (*above, frozenset(orjson.loads(text).items()))
    else:  # "v:" items and "i:" indices belong to the list above them; "." is the item itself
        yield above
        return
    deeper = {step: below for step, below in inner.items() if step != "."}
    if not deeper:
        yield path
    for step, below in deeper.items():
        yield from _leaves(step, below, path)


_MISSING: Any = object()


def lookup(node: Any, path: Path) -> Any:
    """The value at ``path``, or ``MISSING``. A list item matches if none of the path's key fields contradicts it."""
    for step in path:
        if isinstance(step, frozenset):
            if not isinstance(node, list):
                return _MISSING
            node = next((item for item in node if _matches(item, step)), _MISSING)
            if node is _MISSING:
                return _MISSING
        elif isinstance(node, dict) and step in node:
            node = node[step]
        else:
            return _MISSING
    return node


def _matches(item: Any, keys: frozenset[tuple[str, Any]]) -> bool:
    # An item of the desired object may leave a key field to the server's default (a port's protocol).
    return isinstance(item, dict) and all(item.get(name, value) == value for name, value in keys)


MISSING = _MISSING
