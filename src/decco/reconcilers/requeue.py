"""When a Space or App is looked at again without anybody telling: time itself is what changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from decco.desired.model import SecretView
from decco.kube.controller import Action

LONGEST_SECONDS = 86_400.0
"""A day. A look that finds nothing sends nothing, and a timer of weeks would not notice a clock that was set anew."""

MOMENT_SECONDS = 0.1


def requeue_action(*seconds: float | None) -> Action:
    """The earliest of these, and a moment later, so that it is over by then; None is never."""
    wanted = [each + MOMENT_SECONDS for each in seconds if each is not None]
    return Action.requeue_after(min(*wanted, LONGEST_SECONDS)) if wanted else Action.done()


def seconds_to_expiry(views: Iterable[SecretView], now: datetime) -> float | None:
    """Until the next of these certificates expires; None if none is left that can."""
    left = [
        (view.facts.not_after - now).total_seconds()
        for view in views
        if view.facts is not None and view.facts.not_after is not None and view.facts.not_after > now
    ]
    return min(left, default=None)
