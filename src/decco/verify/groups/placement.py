"""``placement`` of a Space and of an App: nothing runs and nothing is published where they are not placed.

The cluster in which they are placed is a pretended one, so names that this cluster does not publish exist nowhere.
"""

from __future__ import annotations

from decco.api.conditions import condition_of
from decco.desired.reasons import NOT_PLACED
from decco.kube.errors import Forbidden
from decco.objects import APPS, DEPLOYMENTS, SPACES, Key, Obj
from decco.verify import objects, pods
from decco.verify.groups.dns import ANSWERS, published, withdrawn
from decco.verify.groups.federation import CLUSTER
from decco.verify.groups.setup import CONTROLLER, space
from decco.verify.names import PLACED
from decco.verify.objects import WEB
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

APP, WORKLOAD = "placed", "WorkloadReady"


def _name(world: World) -> str:
    """Of the App's endpoint."""
    return world.names.host("c", APP)


def _placement(cluster: str) -> Obj:
    return {"clusters": [{"id": cluster}]}


async def _space_elsewhere(world: World) -> None:
    made = objects.space(world.names, PLACED)
    made["spec"]["placement"] = _placement(CLUSTER)
    try:
        await world.client.create(SPACES, made)
    except Forbidden as error:
        raise NotTested(error.message) from error
    found = await eventually(lambda: world.space_ready(PLACED), world.patience, stretched=False)
    _says(found, "Ready")


def _says(obj: Obj, kind: str) -> None:
    reason = condition_of(obj, kind).get("reason")
    if reason != NOT_PLACED:
        raise Failed(f"{kind} has the reason {reason}, not {NOT_PLACED}, for what is placed in {CLUSTER} only")


async def _app_elsewhere(world: World) -> None:
    pod = pods.server(world.image, APP, [WEB], world.user)
    listed = [{"name": APP, "port": WEB, "createDnsRecord": True}]
    app = objects.app(world.names, "c", APP, pod, endpoints=listed, placement=_placement(CLUSTER))
    await world.client.create(APPS, app)
    found = await eventually(lambda: world.app_ready("c", APP), world.patience, stretched=False)
    _says(found, WORKLOAD)
    replicas = (await world.get(DEPLOYMENTS, APP, "c"))["spec"].get("replicas")
    running = len(await world.pods("c", APP))
    if replicas != 0 or running:
        raise Failed(f"an App that is placed in {CLUSTER} only has {replicas} replicas and {running} pods here")


async def _app_here(world: World) -> None:
    here = world.settings.cluster_id
    await world.client.patch(APPS, Key(world.names.space("c"), APP), {"spec": {"placement": _placement(here)}})
    found = await eventually(lambda: world.app_ready("c", APP), world.patience, stretched=False)
    said = condition_of(found, WORKLOAD)
    if said.get("reason") == NOT_PLACED:
        raise Failed(
            f"an App that is placed in {here}, the clusterId of these settings, does not run: {said['message']}"
        )
    if not await world.pods("c", APP):
        raise Failed(f"an App that is placed in {here} has no pods here")


def _probe(name: str, text: str, check: Check, *after: str, behind: tuple[str, ...] = (), seconds: float = 60) -> Probe:
    return Probe(f"placement/{name}", text, "verify-placement", check, after, behind, seconds)


PROBES = (
    _probe(
        "space-elsewhere",
        "a Space that is placed in another cluster is Ready, and says so",
        _space_elsewhere,
        CONTROLLER,
        seconds=600,
    ),
    _probe(
        "space-no-records",
        "its FQDN has no records of this cluster",
        withdrawn(lambda world: world.names.fqdn(PLACED)),
        ANSWERS,
        "placement/space-elsewhere",
    ),
    _probe(
        "app-elsewhere",
        "an App that is placed in another cluster is Ready without pods",
        _app_elsewhere,
        space("c"),
        seconds=600,
    ),
    _probe(
        "app-no-records",
        "its endpoint has no records of this cluster",
        withdrawn(_name),
        ANSWERS,
        "placement/app-elsewhere",
    ),
    _probe(
        "app-here",
        "once it is placed here it runs",
        _app_here,
        "placement/app-elsewhere",
        behind=("placement/app-no-records",),
        seconds=600,
    ),
    _probe("app-published", "and its endpoint points to the edge", published(_name), ANSWERS, "placement/app-here"),
)
