"""What to change when the cluster refuses the pods of a workload: a quota, a LimitRange, Pod Security, a policy."""

from __future__ import annotations

from decco.desired.endpoints import objects
from decco.desired.names import SPACE_OBJECT
from decco.desired.sidecar import CONTAINER
from decco.objects import Obj

_QUOTA = (f"quota: {SPACE_OBJECT}:", f"quota: {SPACE_OBJECT},")
"""How the quota admission names the Space's own quota (Kubernetes, plugin/resourcequota)."""
_LIMIT_RANGE = (" per Container", " per Pod")
"""How LimitRanger names a limit."""


def advice(cause: str, workload: Obj) -> str:
    """What to change after ``cause``, the message with which a pod of ``workload`` was refused."""
    pod = ((workload.get("spec") or {}).get("template") or {}).get("spec") or {}
    sidecar = next((each for each in objects(pod.get("initContainers")) if each.get("name") == CONTAINER), None)
    counted = f"; decco's TLS sidecar counts too: {_amounts(sidecar)}" if sidecar is not None else ""
    if any(name in cause for name in _QUOTA):
        return f"let the pod ask for less, or raise spec.resourceQuota of the Space{counted}"
    if any(name in cause for name in _LIMIT_RANGE):
        return (
            "change the resources of the pod's containers, or the LimitRange: spec.limitRange of the Space, or another "
            f"one in its namespace{counted}"
        )
    if sidecar is not None and "initContainers[0].runAsUser" in cause:
        return "the cluster chooses user ids by itself: set decco's setting sidecar.runAsUser to null"
    if sidecar is not None and CONTAINER in cause:
        return (
            f"container {CONTAINER} is the TLS sidecar that decco adds: correct what refuses it, or the settings "
            "sidecar.* of decco"
        )
    return "change the pod, or what refuses it"


def _amounts(sidecar: Obj) -> str:
    resources = sidecar.get("resources") or {}
    found = [
        f"{part}.{name} {amount}"
        for part in ("requests", "limits")
        for name, amount in sorted((resources.get(part) or {}).items())
    ]
    return ", ".join(found) or "it has no resources"
