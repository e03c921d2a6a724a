"""Checks of availability zones: nodes that have them, pods that are to be spread over them, and what Services prefer.

Kubernetes places a pod once and never moves it: after the loss of a zone all pods of an App may be in one zone for as
long as nobody starts them again. The controller may not read pods and nodes, so that only ``decco doctor`` reports it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import field

from decco.api.conditions import has_status
from decco.api.topology import NodeTaintsPolicy, TrafficDistribution, ZoneSpread
from decco.desired.endpoints import objects
from decco.desired.model import SpaceFacts
from decco.desired.topology import ZONE, own_constraints
from decco.frozen import frozen
from decco.kube import discovery
from decco.objects import APPS, LABEL_APP, PODS, Key, Obj, key_of, labels_of
from decco.text import abbreviated
from decco.views.findings import Finding
from decco.views.preflight.model import NODES, ClusterContext

SINCE: Mapping[TrafficDistribution, tuple[int, int]] = {
    TrafficDistribution.PREFER_SAME_ZONE: (1, 34),
    TrafficDistribution.PREFER_SAME_NODE: (1, 34),
}
"""The first version of Kubernetes that serves the value without a feature gate (KEP-3015)."""
_SHOWN = 3


@frozen
class Zones:
    """The nodes of a cluster by zone; control plane nodes with a taint count as cordoned."""

    all: frozenset[str]
    usable: frozenset[str]
    """Those with a node that is ready and takes any pod."""
    of_nodes: Mapping[str, str] = field(default_factory=dict)
    unlabelled: int = 0
    """Usable nodes that have no zone."""


async def zones(context: ClusterContext) -> AsyncIterator[Finding]:
    """Nothing is reported where nobody asks for zones."""
    spaces = {space.name: space for space in (await context.spaces()).understood}
    for finding in await _distribution(context, spaces.values()):
        yield finding
    spread = await _spread_apps(context, spaces)
    asking = [space for space in spaces.values() if space.spec.topology.zone_spread is not ZoneSpread.OFF]
    if not asking and not spread:
        return
    found = await _zones(context)
    for finding in _of_nodes(found, asking):
        yield finding
    if len(found.usable) > 1:
        for finding in await _crowded(context, found, spread):
            yield finding


async def _distribution(context: ClusterContext, spaces: Iterable[SpaceFacts]) -> list[Finding]:
    named: dict[TrafficDistribution, list[str]] = defaultdict(list)
    for space in spaces:
        if (value := space.spec.topology.traffic_distribution) is not None:
            named[value].append(space.name)
    if not named:
        return []
    version = await discovery.server_version(context.client)
    findings = []
    for value, names in sorted(named.items()):
        about, since = f"trafficDistribution {value}", SINCE.get(value)
        if since is not None and version < since:
            text = (
                f"Kubernetes {version.major}.{version.minor} does not serve it, so the Services of Space "
                f"{abbreviated(names, _SHOWN)} have none: choose PreferClose, or upgrade to {since[0]}.{since[1]}"
            )
            findings.append(Finding(about, text, "traffic-distribution-not-served"))
        else:
            findings.append(Finding(about, f"served; for Space {abbreviated(names, _SHOWN)}"))
    return findings


async def _spread_apps(context: ClusterContext, spaces: Mapping[str, SpaceFacts]) -> list[Key]:
    """The Apps whose pods are to be spread over zones, by their Space or by a constraint of their own."""
    found = []
    async for app in context.objects_if_served(APPS):
        key, pod = key_of(app), (app.get("spec") or {}).get("pod")
        if key.namespace not in spaces:
            continue
        own = own_constraints(pod) if isinstance(pod, dict) else []
        if own or spaces[key.namespace].spec.topology.zone_spread is not ZoneSpread.OFF:
            found.append(key)
    return sorted(found)


async def _zones(context: ClusterContext) -> Zones:
    of_nodes: dict[str, str] = {}
    usable: set[str] = set()
    unlabelled = 0
    async for node in context.objects(NODES):
        zone = labels_of(node).get(ZONE)
        fit = has_status(node, "Ready") and not _is_closed(node)
        if zone is None:
            unlabelled += fit
            continue
        of_nodes[key_of(node).name] = zone
        if fit:
            usable.add(zone)
    return Zones(frozenset(of_nodes.values()), frozenset(usable), of_nodes, unlabelled)


def _is_closed(node: Obj) -> bool:
    """Whether an ordinary pod is not placed there: the node is cordoned, or has a taint."""
    taints = objects((node.get("spec") or {}).get("taints"))
    return any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in taints)


def _of_nodes(found: Zones, asking: list[SpaceFacts]) -> Iterator[Finding]:
    requiring = [space for space in asking if space.spec.topology.zone_spread is ZoneSpread.REQUIRE]
    if requiring and not found.all:
        names = abbreviated([space.name for space in requiring], _SHOWN)
        text = (
            f"no node has the label {ZONE}, so pods of Space {names} with zoneSpread Require stay pending: label the "
            "nodes, or choose Prefer"
        )
        yield Finding("zones", text, "zones-missing")
        return
    if requiring and found.unlabelled:
        text = f"{found.unlabelled} nodes have no label {ZONE}, and take no pod with zoneSpread Require: label them"
        yield Finding("zones", text, "zones-unlabelled")
    lost = sorted(found.all - found.usable)
    waiting = [space for space in requiring if space.spec.topology.node_taints_policy is not NodeTaintsPolicy.HONOR]
    if lost and found.usable:
        text = f"zone {abbreviated(lost, _SHOWN)} has no node that is ready and takes pods"
        if waiting:
            text += (
                f"; in Space {abbreviated([space.name for space in waiting], _SHOWN)} pods stay pending until it is "
                "back, unless topology.nodeTaintsPolicy is Honor"
            )
        yield Finding("zones", text, "zone-lost")
    elif len(found.usable) < 2:
        text = f"nodes that take pods are in {len(found.usable)} zones: nothing can be spread"
        yield Finding("zones", text, "zones-few")
    else:
        yield Finding("zones", f"nodes are in {len(found.usable)} zones: {abbreviated(sorted(found.usable), _SHOWN)}")


async def _crowded(context: ClusterContext, found: Zones, spread: list[Key]) -> list[Finding]:
    """The Apps with several ready pods that are all in one zone, though there are others."""
    wanted = set(spread)
    counted: dict[Key, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for namespace in dict.fromkeys(key.namespace for key in spread):
        async for pod in context.objects(PODS, namespace=namespace, labels=LABEL_APP):
            key = Key(namespace, labels_of(pod).get(LABEL_APP, ""))
            zone = found.of_nodes.get(str((pod.get("spec") or {}).get("nodeName")))
            if key in wanted and zone is not None and _counts(pod):
                counted[key][zone] += 1
    findings, crowded = [], {key: by_zone for key, by_zone in counted.items() if max(by_zone.values()) > 1}
    for key, by_zone in sorted(crowded.items()):
        if len(by_zone) == 1:
            [(zone, count)] = by_zone.items()
            text = (
                f"all {count} ready pods are in zone {zone}, though the App is to be spread and there are "
                f"{len(found.usable)} zones: Kubernetes moves no pod that runs, so start them again, one after the "
                f"other: kubectl rollout restart --namespace {key.namespace} deployment/{key.name} (or statefulset)"
            )
            findings.append(Finding(f"app {key}", text, "zone-crowded"))
    if counted and not findings:
        findings.append(Finding("spread", f"{len(counted)} Apps, none with several pods in one zone only"))
    return findings


def _counts(pod: Obj) -> bool:
    """Whether a pod serves, and may be anywhere: not one that names its zone itself."""
    if "deletionTimestamp" in pod["metadata"] or not has_status(pod, "Ready"):
        return False
    spec = pod.get("spec") or {}
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    terms = objects(required.get("nodeSelectorTerms"))
    chosen = {each.get("key") for term in terms for each in objects(term.get("matchExpressions"))}
    return ZONE not in chosen and ZONE not in (spec.get("nodeSelector") or {})
