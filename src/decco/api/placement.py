"""``placement``: the clusters of a federation that run a Space or an App, which is the same object in all of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from decco.api.formats import DnsLabel
from decco.api.model import Model, list_map
from decco.api.rules import Rule, all_different, unique

MAX_CLUSTERS = 32


class ClusterRole(StrEnum):
    """What a cluster does for the names of a Space or App that is placed in it."""

    ACTIVE = "Active"
    STANDBY = "Standby"


class PlacedCluster(Model):
    id: DnsLabel
    """The clusterId of the cluster's decco."""
    role: ClusterRole = ClusterRole.ACTIVE
    """Active: pods run, and the names lead to this cluster. Standby: pods run, and the names lead to it while no Active
    cluster serves them."""


_TWICE: Rule[Placement] = Rule(
    # A list map refuses this too, but its message has only the duplicate.
    cel=all_different("self.clusters.map(c, c.id)"),
    holds=lambda p: unique([each.id for each in p.clusters]),
    at=".clusters",
    message="holds a cluster twice: keep one of the two",
)


class Placement(Model):
    rules: ClassVar = (_TWICE,)

    clusters: Annotated[
        tuple[PlacedCluster, ...], Field(min_length=1, max_length=MAX_CLUSTERS, json_schema_extra=list_map("id"))
    ]
    """The clusters that run it. In others of the federation the object stays, without pods and without records."""

    @property
    def has_active(self) -> bool:
        return any(each.role is ClusterRole.ACTIVE for each in self.clusters)

    def role_in(self, cluster: str) -> ClusterRole | None:
        """None: it does not run there."""
        return next((each.role for each in self.clusters if each.id == cluster), None)
