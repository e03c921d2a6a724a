"""``mesh: Istio`` of a Space, where the cluster has Istio: its policies, its pods in the mesh, and who reaches them.

The endpoint is for the mesh alone: it has no certificate, so its clear text Service is all that leads to it.
"""

from __future__ import annotations

from decco.desired.mesh.meshes import meshes
from decco.desired.mesh.meshes.istio import PEER_AUTHENTICATIONS
from decco.desired.names import cleartext_service
from decco.kube.errors import NotFound, NotServed
from decco.objects import APPS, NAMESPACES, SPACES, Key, labels_of
from decco.verify import objects, pods
from decco.verify.groups.isolation import ENFORCED
from decco.verify.groups.setup import CONTROLLER
from decco.verify.names import MESHED
from decco.verify.objects import TCP
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.pods import PortCheck
from decco.verify.probe import Check, Probe
from decco.verify.world import World

MESH, APP = "Istio", "meshed"
REDIRECTED = "ambient.istio.io/redirection"
"""The annotation that Istio's node agent gives to a pod whose traffic it has taken over."""
SPACE = "mesh/space"


async def _space(world: World) -> None:
    mesh = meshes()[MESH]
    for kind in mesh.kinds:
        try:
            await world.listed(kind, world.names.controller)
        except (NotServed, NotFound) as error:
            raise NotTested(f"there is no Istio: the cluster does not serve {kind.group}") from error
    made = objects.space(world.names, MESHED)
    made["spec"]["mesh"] = MESH
    await world.client.create(SPACES, made)
    # A controller that has just found Istio's kinds leads the Space into the mesh in steps.
    patience = world.patience + 2 * world.settings.mesh.switch_seconds
    await eventually(lambda: world.space_ready(MESHED), patience, stretched=False)
    labels = labels_of(await world.client.get(NAMESPACES, Key("", world.names.space(MESHED))))
    key, value = mesh.label
    if labels.get(key) != value:
        raise Failed(f"the namespace of a Space with mesh: {MESH} has no label {key}={value}")
    for kind in mesh.kinds:
        await world.get(kind, "decco", MESHED)
    mode = ((await world.get(PEER_AUTHENTICATIONS, "decco", MESHED))["spec"].get("mtls") or {}).get("mode")
    if mode != "STRICT":
        raise Failed(f"PeerAuthentication decco has the mode {mode}, not STRICT")


async def _pods(world: World) -> None:
    listed = [{"name": APP, "port": TCP, "createClearTextService": True}]
    pod = pods.server(world.image, f"{MESHED}/{APP}", [TCP], world.user)
    await world.client.create(APPS, objects.app(world.names, MESHED, APP, pod, endpoints=listed))
    await eventually(lambda: world.app_ready(MESHED, APP), world.patience, stretched=False)

    async def taken() -> None:
        found = await world.pods(MESHED, APP)
        outside = [each for each in found if each["metadata"].get("annotations", {}).get(REDIRECTED) != "enabled"]
        if outside or not found:
            raise Failed("Istio has not taken a pod of the Space into the mesh: do istio-cni and ztunnel run?")

    await eventually(taken, 20)


async def _client(world: World, namespace: str, *, allowed: bool) -> bool:
    host = f"{cleartext_service(APP)}.{world.names.space(MESHED)}.svc"
    target = PortCheck("mesh", allowed, ("tcp", host, str(TCP)))
    return (await world.run_client(namespace, "mesh-client", [target])).get("mesh", False)


async def _own(world: World) -> None:
    if not await _client(world, world.names.space(MESHED), allowed=True):
        raise Failed("no connection", "verify-not-reached")


async def _outside(world: World) -> None:
    """Plain text from outside of the mesh, which STRICT refuses even where NetworkPolicies would not."""
    if await _client(world, world.names.outside, allowed=False):
        raise Failed("connected", "verify-reached")


def _probe(name: str, text: str, check: Check, *after: str) -> Probe:
    return Probe(f"mesh/{name}", text, "verify-mesh", check, after, seconds=600)


PROBES = (
    _probe("space", "a Space with mesh: Istio has its policies, and accepts the mesh alone", _space, CONTROLLER),
    _probe("pods", "pods of a Space with mesh: Istio are in the mesh", _pods, SPACE),
    _probe("own", "a pod of the Space reaches an endpoint that is for the mesh alone", _own, "mesh/pods"),
    _probe("outside", "a pod outside of the mesh does not reach it", _outside, "mesh/own", ENFORCED),
)
