"""``topology`` of a Space: availability zones, in the words of Kubernetes' constraint and Service."""

from __future__ import annotations

from enum import StrEnum

from decco.api.model import Model


class ZoneSpread(StrEnum):
    """How strictly the pods of an App are spread over availability zones."""

    OFF = "Off"
    PREFER = "Prefer"
    REQUIRE = "Require"


class NodeTaintsPolicy(StrEnum):
    """Whether a zone counts for the spread while all its nodes have taints, as in Kubernetes' own constraint."""

    IGNORE = "Ignore"
    HONOR = "Honor"


class TrafficDistribution(StrEnum):
    """``trafficDistribution`` of a Service, in Kubernetes' words."""

    PREFER_CLOSE = "PreferClose"
    PREFER_SAME_ZONE = "PreferSameZone"
    PREFER_SAME_NODE = "PreferSameNode"


class Topology(Model):
    zone_spread: ZoneSpread = ZoneSpread.OFF
    """How the pods of each App are spread over availability zones. "Off": no rule (write the quotes: YAML takes a
    bare Off for false). Prefer: spread where possible. Require: leave a pod pending rather than crowd a zone."""
    node_taints_policy: NodeTaintsPolicy | None = None
    """Whether a zone counts for zoneSpread while a pod could run on none of its nodes because of their taints, as when
    they are lost or drained. Honor: it does not, so that pods of Require start in the other zones. Ignore, the default
    of Kubernetes: it does, and they stay pending."""
    traffic_distribution: TrafficDistribution | None = None
    """Which pods the Services of the Apps prefer. PreferSameZone, or PreferClose by its older name: those in the
    client's zone. PreferSameNode: those on the client's node, then those in its zone. If there is none that is ready,
    any. Without this field all pods get the same share."""
