"""The errors that packages raise to each other, as one tree.

    DeccoError
    ├── ConfigError         decco's configuration cannot work, and waiting does not help: exit status 2, at any time
    └── ReconcileError      this key's reconcile failed
        └── TerminalError   a retry cannot succeed until the object changes

The Kubernetes client has its own branch below DeccoError, in ``kube/client.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class DeccoError(Exception):
    """Base of all errors that decco raises on purpose; its text is a message for a person."""

    advice: ClassVar[str] = ""
    """What to do about any error of the class, for texts that only report what happened."""


class ConfigError(DeccoError):
    """The operator's configuration cannot work: contains what, where, and what to do."""


class ReconcileError(DeccoError):
    """A reconcile failed; the work queue retries it with growing pauses."""


class TerminalError(ReconcileError):
    """A reconcile that only a change of its object can make succeed; it is not tried again before that."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yields the exceptions inside of an exception group, at any depth; an exception that is not a group is its own
    leaf. A TaskGroup raises its tasks' exceptions as a group, so error handling has to search it.
    """
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
