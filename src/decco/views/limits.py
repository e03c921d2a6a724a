"""Which limits of a Space its edge does not keep, by the declaration from which its condition comes."""

from __future__ import annotations

from decco.desired import routing
from decco.desired.limits import limits_of
from decco.desired.model import EdgeFacts, SpaceFacts
from decco.reconcilers.caches import Caches
from decco.reconcilers.edge import gateway_controller, gateway_policies


def unkept_limits(caches: Caches, space: SpaceFacts) -> tuple[str, ...]:
    """Their names, as in the spec."""
    edge = EdgeFacts(caches.settings, caches.served, gateway_controller(caches), gateway_policies(caches))
    return tuple(routing.unkept_limits(edge, limits_of(space)))
