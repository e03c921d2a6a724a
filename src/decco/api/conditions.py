"""The values in a status, and a function that sets conditions in the form of metav1.Condition. The fields of a status
are described in ``tools/crd/status.py``.

``lastTransitionTime`` is the time of the last change of the status, not of the last reconcile. It is kept, so that an
equal result causes no write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from decco.objects import Obj
from decco.text import truncate

REASON_PATTERN = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
MAX_REASON = 1024
MAX_MESSAGE = 32768
_REASON = re.compile(REASON_PATTERN.removeprefix("^").removesuffix("$"))


class ConditionStatus(StrEnum):
    """Unknown means that the object was not reconciled yet, or that the check failed."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class RunOutcome(StrEnum):
    """How the run of a Job ended, in ``status.job``."""

    COMPLETE = "Complete"
    FAILED = "Failed"
    DELETED = "Deleted"


class ConditionType(StrEnum):
    """Conditions of Spaces and Apps, in the order in which a status has them. Ready is True when all others that are
    present are; while an object is Paused, it and the others stay as they were.
    """

    READY = "Ready"
    NAMESPACE_READY = "NamespaceReady"  # Space
    NETWORK_READY = "NetworkReady"
    MESH_READY = "MeshReady"  # Space, present only if it has a mesh, or leaves one
    WORKLOAD_READY = "WorkloadReady"  # App
    CERTIFICATES_READY = "CertificatesReady"
    SECRETS_READY = "SecretsReady"  # Space, present only if it has Secrets that are no certificates
    ROUTES_READY = "RoutesReady"
    DNS_READY = "DNSReady"
    PAUSED = "Paused"  # present only while it is True


def set_condition(
    existing: Iterable[Obj],
    type_: str,
    status: str,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> list[Obj]:
    """``existing`` with the condition of this type set, in its old position or at the end; changes no argument.

    ``now`` becomes lastTransitionTime if the status differs from the one before, or if there was none. A message that
    is longer than the API server accepts is truncated. Raises ValueError for an invalid reason, which is a defect of
    the caller.
    """
    if len(reason) > MAX_REASON or _REASON.fullmatch(reason) is None:
        raise ValueError(f"the reason of a condition is one CamelCase word, not {reason!r}")
    before = list(existing)
    index = next((i for i, condition in enumerate(before) if condition.get("type") == type_), len(before))
    old = before[index] if index < len(before) else {}
    since = old.get("lastTransitionTime") if old.get("status") == status else None
    condition = {
        "type": str(type_),
        "status": ConditionStatus(status).value,
        "observedGeneration": generation,
        "lastTransitionTime": since or timestamp(now),
        "reason": str(reason),
        "message": truncate(message, MAX_MESSAGE),
    }
    return [*before[:index], condition, *before[index + 1 :]]


def condition_of(obj: Obj, type_: str) -> Obj:
    """The condition of this type in the status of an object, whatever its generation; {} if there is none."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == type_), {})


def has_status(obj: Obj, type_: str, status: str = "True", *, generation: int | None = None) -> bool:
    """Whether the object's condition has this status, and is about this generation if one is given."""
    found = condition_of(obj, type_)
    return found.get("status") == status and generation in (None, found.get("observedGeneration"))


def is_observed(obj: Obj) -> bool:
    """Whether the controller of an object has seen its spec as it is now."""
    return bool((obj.get("status") or {}).get("observedGeneration", 0) >= obj["metadata"].get("generation", 0))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC to the second, as metav1.Time is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
