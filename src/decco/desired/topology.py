"""``topology`` of a Space: its pods over availability zones, and which of them its Services prefer.

Both apply to whole Spaces. What an App has of its own in ``pod.topologySpreadConstraints`` for zones has precedence;
rules for all pods of a cluster belong to the scheduler's own configuration (defaultConstraints of PodTopologySpread).
"""

from __future__ import annotations

from decco.api.topology import Topology, ZoneSpread
from decco.api.workload_kinds import WorkloadKind
from decco.desired import names
from decco.desired.endpoints import objects
from decco.desired.model import AppInputs, Child, SpaceFacts
from decco.objects import SERVICES, Obj
from decco.text import shown

ZONE = "topology.kubernetes.io/zone"
TEMPLATE_HASH = "pod-template-hash"
"""Label that the Deployment controller gives to the pods of one revision."""
TRAFFIC_DISTRIBUTION = "trafficDistribution"

_UNSATISFIABLE = {ZoneSpread.PREFER: "ScheduleAnyway", ZoneSpread.REQUIRE: "DoNotSchedule"}


def zone_constraint(inputs: AppInputs) -> Obj | None:
    """The constraint that decco adds to the pods of an App, None if its Space asks for none or the App has its own."""
    topology = inputs.space.spec.topology
    unsatisfiable = _UNSATISFIABLE.get(topology.zone_spread)
    if unsatisfiable is None or own_constraints(inputs.spec.pod):
        return None
    constraint: Obj = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": unsatisfiable,
        "labelSelector": {"matchLabels": names.pod_selector(inputs.name)},
    }
    if inputs.spec.workload_kind is WorkloadKind.DEPLOYMENT:
        # Counts each revision separately: otherwise the old pods of a rollout cause an uneven spread of the new ones.
        # The pods of a StatefulSet are replaced one by one, and their volumes tie each to its zone.
        constraint["matchLabelKeys"] = [TEMPLATE_HASH]
    if topology.node_taints_policy is not None:
        constraint["nodeTaintsPolicy"] = topology.node_taints_policy.value
    return constraint


def own_constraints(pod: Obj) -> list[Obj]:
    """The constraints for zones in a PodSpec that is not validated yet."""
    return [each for each in objects(pod.get("topologySpreadConstraints")) if each.get("topologyKey") == ZONE]


def service(inputs: AppInputs, meta: Obj, spec: Obj) -> Child:
    """A Service with the preference of its Space, which is left out where the API server does not serve the value."""
    plain = names.child(SERVICES, meta, spec=spec)
    preferred = inputs.space.spec.topology.traffic_distribution
    if preferred is None:
        return plain
    chosen = names.child(SERVICES, meta, spec={**spec, TRAFFIC_DISTRIBUTION: preferred.value})
    return Child(SERVICES, chosen.obj, without=(f"spec.{TRAFFIC_DISTRIBUTION}", plain.obj))


def zones_text(space: SpaceFacts, app: Obj) -> str:
    """What an App has: its own constraint for zones has precedence over the Space's. "" for nothing."""
    own = own_constraints((app.get("spec") or {}).get("pod") or {})
    if not own:
        return topology_text(space.spec.topology)
    listed = ", ".join(
        f"{shown(str(each.get('whenUnsatisfiable')))} with maxSkew {each.get('maxSkew')}" for each in own
    )
    rest = topology_text(Topology(traffic_distribution=space.spec.topology.traffic_distribution))
    return f"its own topologySpreadConstraints for zones: {listed}" + (f"; {rest}" if rest else "")


def topology_text(topology: Topology) -> str:
    """For people; "" if nothing is set."""
    texts = []
    if topology.zone_spread is ZoneSpread.PREFER:
        texts.append("pods of each App are spread over zones where possible")
    if topology.zone_spread is ZoneSpread.REQUIRE:
        texts.append("pods of each App are spread over zones; a pod stays pending rather than crowd one")
    if topology.zone_spread is not ZoneSpread.OFF and topology.node_taints_policy is not None:
        texts.append(f"nodeTaintsPolicy {topology.node_taints_policy}")
    if topology.traffic_distribution is not None:
        texts.append(f"Services have trafficDistribution {topology.traffic_distribution}")
    return "; ".join(texts)
