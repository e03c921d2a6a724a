"""The errors that cross a room's border, as one tree.

    DeccoError
    ├── ConfigError         start-up cannot succeed by waiting: exit status 2
    └── ReconcileError      this key's turn failed
        └── TerminalError   trying again is of no use until the object changes

The Kubernetes client has its own branch below DeccoError, in ``kube/client.py``.
"""

from __future__ import annotations

from typing import ClassVar


class DeccoError(Exception):
    """Base of all errors that decco raises on purpose; its text is a sentence for a person."""

    advice: ClassVar[str] = ""
    """What to do about any error of the class, for texts that only tell what happened."""


class ConfigError(DeccoError):
    """What the operator of decco gave us cannot work: says what, where, and what to do."""


class ReconcileError(DeccoError):
    """A reconcile did not reach its goal; the work queue tries it again, ever more slowly."""


class TerminalError(ReconcileError):
    """A reconcile that only a change of its object can make succeed; it is not tried again before that."""
