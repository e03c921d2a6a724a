"""What a status says of the cluster's place.

Where an object is not placed its conditions are True with the reason NotPlaced: it is as its spec asks, so the same
files can be applied in all clusters by tools that wait for Ready.
"""

from __future__ import annotations

from decco.api.placement import ClusterRole
from decco.desired import reasons
from decco.desired.model import Problem
from decco.desired.placement import Placed
from decco.desired.status import Satisfied


def not_placed(place: Placed) -> Satisfied:
    whose = "spec.placement" if place.by == "App" else "the placement of the Space"
    message = (
        f"{whose} does not name this cluster, {place.cluster}, but {place.where}: no pods run and nothing is published "
        "here"
    )
    return Satisfied(message, reasons.NOT_PLACED)


def leaving(place: Placed) -> Problem:
    return Problem(
        reasons.WAITING_FOR_CLUSTER,
        f"this cluster, {place.cluster}, is not placed any more ({place.where}): the pods run until another cluster "
        "serves the names that lead here, and for dns.ttl after that",
    )


def published(place: Placed | None, message: str) -> Satisfied:
    """The verdict of records that are as they should be."""
    if place is None or place.role is ClusterRole.ACTIVE:
        return Satisfied(message)
    if place.role is None:
        return not_placed(place)
    if place.covers:
        text = f"this cluster, {place.cluster}, stands by, and the names lead here while no Active cluster serves them"
        return Satisfied(f"{text} ({place.where})", reasons.TOOK_OVER)
    text = f"this cluster, {place.cluster}, stands by: the names lead to Active clusters ({place.where})"
    return Satisfied(text, reasons.STANDBY)
