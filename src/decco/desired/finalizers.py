"""The finalizers that block the deletion of an object."""

from __future__ import annotations

import re
from typing import Any

from decco.objects import Obj

MOST_HOLDERS = 5
"""Maximum number of finalizers in a message."""

_OF_KUBERNETES = frozenset({"foregroundDeletion", "orphan"})
"""Set by the API server for the garbage collector, which removes them by itself."""
_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_./]{0,316}")
"""A qualified name: what the API server takes as a finalizer's name."""
_REMAINING = re.compile(r"(?:: |, )(\S+) in \d+ resource instances")
"""Finalizers in the message of a namespace's condition NamespaceFinalizersRemaining
(k8s.io/kubernetes/pkg/controller/namespace/deletion/status_condition_utils.go)."""


def holders_of(live: Obj) -> tuple[str, ...]:
    """Finalizers that block the deletion of the object, sorted; for a namespace also those of objects inside it."""
    found = {str(name) for name in live["metadata"].get("finalizers") or () if name not in _OF_KUBERNETES}
    found |= {name for condition in _conditions(live) for name in _REMAINING.findall(str(condition.get("message")))}
    return tuple(sorted(name for name in found if _NAME.fullmatch(name))[:MOST_HOLDERS])


def _conditions(live: Obj) -> list[dict[str, Any]]:
    conditions = (live.get("status") or {}).get("conditions") or []
    return [each for each in conditions if each.get("type") == "NamespaceFinalizersRemaining"]
