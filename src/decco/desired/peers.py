"""Peers in rules of NetworkPolicies."""

from __future__ import annotations

from decco.objects import LABEL_NAMESPACE_NAME, Obj
from decco.settings import EdgeSettings


def namespaces(label: str, value: str) -> Obj:
    """All pods of the namespaces with this label."""
    return {"namespaceSelector": {"matchLabels": {label: value}}}


def block(cidr: str) -> Obj:
    return {"ipBlock": {"cidr": cidr}}


def edge_peers(edge: EdgeSettings) -> list[Obj]:
    """The edge's pods, as far as the settings identify them; [] if they do not."""
    pods = [namespaces(LABEL_NAMESPACE_NAME, edge.namespace)] if edge.namespace is not None else []
    return pods + [block(cidr) for cidr in edge.cidrs]
