"""``topology`` of a Space: what its pods and Services ask for, and where there are zones, in which ones pods run."""

from __future__ import annotations

from collections import Counter

from decco.api.conditions import has_status
from decco.desired.topology import TRAFFIC_DISTRIBUTION, ZONE
from decco.objects import APPS, DEPLOYMENTS, LABEL_APP, SERVICES, SPACES, Obj, labels_of
from decco.verify import objects, pods
from decco.verify.groups.setup import CONTROLLER, app_of
from decco.verify.names import ZONED
from decco.verify.objects import TOPOLOGY, WEB
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.probe import Probe
from decco.verify.world import World
from decco.views.preflight.model import NODES

APP, REPLICAS = "spread", 2


async def _constraint(world: World) -> None:
    """Of App web of Space d."""
    template = (await world.get(DEPLOYMENTS, "web", "d"))["spec"]["template"]["spec"]
    found = [each for each in template.get("topologySpreadConstraints") or () if each.get("topologyKey") == ZONE]
    if [each.get("whenUnsatisfiable") for each in found] != ["ScheduleAnyway"]:
        raise Failed(f"the pods have the constraints {found or 'none'} for zones, not one that says ScheduleAnyway")


async def _services(world: World) -> None:
    services = await world.listed(SERVICES, world.names.space("d"), f"{LABEL_APP}=web")
    values = {each["metadata"]["name"]: each["spec"].get(TRAFFIC_DISTRIBUTION) for each in services}
    if not values or set(values.values()) != {TOPOLOGY[TRAFFIC_DISTRIBUTION]}:
        raise Failed(f"the Services have {TRAFFIC_DISTRIBUTION} {values}, not {TOPOLOGY[TRAFFIC_DISTRIBUTION]}")


async def _zones(world: World) -> dict[str, str]:
    """Node -> zone, of nodes that take pods."""
    nodes = [node for node in await world.listed(NODES, "") if _takes_pods(node)]
    return {node["metadata"]["name"]: labels_of(node)[ZONE] for node in nodes if ZONE in labels_of(node)}


def _takes_pods(node: Obj) -> bool:
    spec = node.get("spec") or {}
    tainted = any(each.get("effect") in ("NoSchedule", "NoExecute") for each in spec.get("taints") or ())
    return has_status(node, "Ready") and not tainted and not spec.get("unschedulable")


async def _spread(world: World) -> None:
    zones = await _zones(world)
    if len(set(zones.values())) < REPLICAS:
        raise NotTested(f"fewer than {REPLICAS} zones have nodes that take pods")
    made = objects.space(world.names, ZONED)
    made["spec"]["topology"] = {"zoneSpread": "Require", "nodeTaintsPolicy": "Honor"}
    await world.client.create(SPACES, made)
    await eventually(lambda: world.space_ready(ZONED), world.patience, stretched=False)
    pod = pods.server(world.image, APP, [WEB], world.user)
    app = objects.app(world.names, ZONED, APP, pod, endpoints=[], initialReplicas=REPLICAS)
    await world.client.create(APPS, app)
    await eventually(lambda: world.app_ready(ZONED, APP), world.patience, stretched=False)
    found = Counter(zones.get(pod["spec"].get("nodeName", ""), "no zone") for pod in await world.pods(ZONED, APP))
    if len(found) < REPLICAS:
        raise Failed(f"{REPLICAS} pods of an App run in {dict(found)}")


PROBES = (
    Probe(
        "zones/constraint",
        "zoneSpread of a Space is a constraint of the pods of its Apps",
        "verify-zones",
        _constraint,
        after=(app_of("d"),),
    ),
    Probe(
        "zones/services",
        "Services have the trafficDistribution of their Space",
        "verify-zones",
        _services,
        after=(app_of("d"),),
    ),
    Probe(
        "zones/spread",
        "with zoneSpread Require the two pods of an App run in two zones",
        "verify-zones",
        _spread,
        after=(CONTROLLER,),
        seconds=600,
    ),
)
