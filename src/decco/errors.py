"""The errors that cross a room's border, as one tree.

    DeccoError
    ├── ConfigError         what decco was given cannot work, and waiting does not help: exit status 2, at any time
    └── ReconcileError      this key's turn failed
        └── TerminalError   trying again is of no use until the object changes

The Kubernetes client has its own branch below DeccoError, in ``kube/client.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
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


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yields the exceptions inside of an exception group, at any depth; an exception that is no group is its own leaf.

    A TaskGroup raises what its tasks raised as a group, so whoever judges errors of a running program has to look in.
    """
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
