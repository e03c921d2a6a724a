"""requeue_after of a Space or App: a reconcile without an event, because of the time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from decco.desired.model import SecretView
from decco.kube.controller import Action

LONGEST_SECONDS = 86_400.0
"""A day. A reconcile without changes sends no request, and a timer of weeks would not notice a clock that was set."""

MOMENT_SECONDS = 0.1


def requeue_action(*seconds: float | None) -> Action:
    """The earliest of these plus a short delay, so that it is over by then; None is never."""
    wanted = [each + MOMENT_SECONDS for each in seconds if each is not None]
    return Action.requeue_after(min(*wanted, LONGEST_SECONDS)) if wanted else Action.done()


def seconds_to_expiry(views: Iterable[SecretView], now: datetime) -> float | None:
    """Seconds until the next of these certificates expires; None if all have expired."""
    left = [
        (view.facts.not_after - now).total_seconds()
        for view in views
        if view.facts is not None and view.facts.not_after is not None and view.facts.not_after > now
    ]
    return min(left, default=None)
