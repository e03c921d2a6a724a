"""Values in the status of Space and App, and their limits. The fields are described in ``tools/crd/status.py``."""

from __future__ import annotations

from enum import StrEnum

REASON_PATTERN = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
MAX_REASON = 1024
MAX_MESSAGE = 32768


class ConditionStatus(StrEnum):
    """Unknown means that the object was not reconciled yet, or that the check failed."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class RunOutcome(StrEnum):
    COMPLETE = "Complete"
    FAILED = "Failed"
    DELETED = "Deleted"
