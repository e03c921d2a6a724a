"""Which manager wrote which field: managedFields, as coarse as decco reads them; and what no update may change.

Lists are one field here; the real server distinguishes the items of keyed lists.
"""

from __future__ import annotations

from typing import Any

from tests.simulation.model.kinds import Obj

_NOT_CONTENT = frozenset({"apiVersion", "kind", "metadata", "status"})


def _leaves(node: Any, path: tuple[str, ...], found: dict[tuple[str, ...], Any]) -> None:
    if isinstance(node, dict) and node:
        for name, value in node.items():
            _leaves(value, (*path, name), found)
    else:
        found[path] = node


def content(obj: Obj) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for name, value in obj.items():
        if name not in _NOT_CONTENT:
            _leaves(value, (name,), found)
    return found


def owned(obj: Obj | None) -> dict[str, set[tuple[str, ...]]]:
    """Manager -> the paths that it owns."""
    if obj is None:
        return {}
    found: dict[str, set[tuple[str, ...]]] = {}
    for entry in obj["metadata"].get("managedFields") or ():
        paths: dict[tuple[str, ...], Any] = {}
        for name, inner in entry["fieldsV1"].items():
            if name != "f:metadata":
                _leaves(inner, (name.removeprefix("f:"),), paths)
        found[entry["manager"]] = {tuple(step.removeprefix("f:") for step in path) for path in paths}
    return found


def managed(before: Obj | None, after: Obj, manager: str) -> list[Obj]:
    """The managedFields after ``manager`` has made ``after`` of ``before``."""
    old, new = content(before) if before is not None else {}, content(after)
    written = {path for path, value in new.items() if path not in old or old[path] != value}
    owners = owned(before)
    for name, paths in owners.items():
        if name != manager:
            paths -= written
        paths &= new.keys()
    owners[manager] = owners.get(manager, set()) | written
    return [_entry(name, paths) for name, paths in owners.items() if paths or name == manager]


def _entry(manager: str, paths: set[tuple[str, ...]]) -> Obj:
    fields: Obj = {"f:metadata": {}}
    for path in sorted(paths):
        node = fields
        for step in path:
            node = node.setdefault(f"f:{step}", {})
    return {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields}


_MUTABLE_OF_A_STATEFULSET = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    }
)


def fixed(stateful_set: Obj) -> Obj:
    """The part of a StatefulSet's spec that no update may change."""
    return {name: value for name, value in stateful_set["spec"].items() if name not in _MUTABLE_OF_A_STATEFULSET}
