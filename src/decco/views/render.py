"""The objects of a simulation as manifests, without the fields that only a server can set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from decco.objects import ANNOTATION_HASH, Obj, annotations_of
from decco.views.dry_run_client import Write
from decco.views.simulation import ReconcileResult, SimulationResult
from decco.views.snapshot import NO_UID, Snapshot

_BY_THE_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")

NAMES_SHOWN = 3


def rendered(reconciled: ReconcileResult) -> list[Obj]:
    """The objects of one Space or App in the order of writing, as decco sends them.

    The digest annotation is omitted if it would depend on a UID that is not known yet.
    """
    return [_sent(write) for write in reconciled.writes if write.after is not None]


def _sent(write: Write) -> Obj:
    assert write.after is not None
    obj = dict(write.after)
    meta = {name: value for name, value in obj["metadata"].items() if name not in _BY_THE_SERVER}
    owners = meta.get("ownerReferences") or ()
    if any(str(owner.get("uid", "")).startswith(NO_UID) for owner in owners if owner.get("controller")):
        annotations = {name: value for name, value in annotations_of(obj).items() if name != ANNOTATION_HASH}
        meta = {name: value for name, value in meta.items() if name != "annotations"}
        if annotations:
            meta["annotations"] = annotations
    obj["metadata"] = _ordered(meta)
    return obj


def _ordered(meta: Obj) -> Obj:
    first = ("name", "namespace", "labels", "annotations", "ownerReferences")
    return {**{name: meta[name] for name in first if name in meta}, **meta}


def notes(snapshot: Snapshot, result: SimulationResult) -> Iterator[str]:
    """The assumptions that were made without a cluster, one message each."""
    controller_namespace = snapshot.caches.settings.namespace
    for key, spaces in sorted(result.assumed.items()):
        yield (
            f"Secret {key} is not in the files: taken to be there, usable, and shared with {_and(sorted(spaces))}; its "
            "copies are not shown"
        )
    if any(key.namespace == controller_namespace for key in result.assumed) and _encrypts(snapshot, result):
        yield "encryptHttp: the ConfigMap with the authority of such a Secret is not shown either"
    if any(_has_placeholder(write) for write in result.writes):
        yield (
            "UIDs in owner references are known once the objects exist: do not apply these objects as they are, "
            "Kubernetes would collect them as orphans"
        )


def _encrypts(snapshot: Snapshot, result: SimulationResult) -> bool:
    named = {space for spaces in result.assumed.values() for space in spaces}
    found = (snapshot.caches.space(name) for name in named)
    return any(space is not None and space[1].spec.encrypt_http for space in found)


def _has_placeholder(write: Write) -> bool:
    owners: list[Any] = (write.after or {"metadata": {}})["metadata"].get("ownerReferences") or []
    return any(str(owner.get("uid", "")).startswith(NO_UID) for owner in owners)


def _and(names: list[str]) -> str:
    if len(names) == 1:
        return f"Space {names[0]}"
    more = len(names) - NAMES_SHOWN
    listed, last = (names[:NAMES_SHOWN], f"{more} more") if more > 0 else (names[:-1], names[-1])
    return f"Spaces {', '.join(listed)} and {last}"
