"""Where a Space and its Apps run, by ``placement``: what this cluster does for them.

An App narrows the placement of its Space: it runs where both name the cluster, and stands by where one of them does.
"""

from __future__ import annotations

from decco.api.placement import ClusterRole, PlacedCluster, Placement
from decco.frozen import frozen


@frozen
class Placed:
    """What this cluster does for a Space or an App whose placement is limited."""

    cluster: str
    """Its id."""
    role: ClusterRole | None
    """None: it is not placed here."""
    by: str
    """The kind whose placement decides that: Space or App."""
    clusters: tuple[PlacedCluster, ...]
    """Those in which it runs, in the order of the placement; none if an App names only others than its Space."""
    waits: bool = False
    """Of an App that is not placed here any more: whether its pods still run, because names may lead to them."""
    covers: bool = False
    """Of one that stands by: whether its names lead here."""

    @property
    def away(self) -> bool:
        """Whether it has no pods here."""
        return self.role is None and not self.waits

    @property
    def where(self) -> str:
        """The clusters in which it runs, for messages."""
        shown = (each.id if each.role is ClusterRole.ACTIVE else f"{each.id} (Standby)" for each in self.clusters)
        return ", ".join(shown) or "no cluster of its Space"


def place(cluster: str, space: Placement | None, app: Placement | None = None) -> Placed | None:
    """None: without any placement it runs where it is applied."""
    if space is None and app is None:
        return None
    clusters = tuple(_narrowed(space, app))
    role = next((each.role for each in clusters if each.id == cluster), None)
    outside = space is not None and space.role_in(cluster) is None
    return Placed(cluster, role, "Space" if app is None or outside else "App", clusters)


def _narrowed(space: Placement | None, app: Placement | None) -> list[PlacedCluster]:
    if space is None or app is None:
        given = app or space
        return list(given.clusters) if given is not None else []
    found = []
    for each in space.clusters:
        role = app.role_in(each.id)
        if role is not None:
            standby = ClusterRole.STANDBY in (role, each.role)
            found.append(each.model_copy(update={"role": ClusterRole.STANDBY if standby else ClusterRole.ACTIVE}))
    return found
