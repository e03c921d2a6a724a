"""What separates pods from their node (``isolation`` of a Space): which pods may exist, and whether they can run.

Whoever makes the pod, the policy refuses a weaker one: rows of ``writes``. Here a real pod runs at the level, where
the cluster has a runtime for it.
"""

from __future__ import annotations

from decco.objects import APPS, Key, Obj
from decco.verify import objects, pods
from decco.verify.groups.setup import space
from decco.verify.objects import WEB
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.probe import Probe
from decco.verify.world import World
from decco.views.preflight.isolation import RUNTIME_CLASSES
from decco.views.preflight.model import NODES

APP = "box"


async def _handler(world: World) -> str:
    """A RuntimeClass for a pod of Space g; "" for user namespaces by the default runtime. Raises NotTested."""
    for name in world.settings.isolation.sandboxes:
        if await world.find(RUNTIME_CLASSES, Key("", name)) is not None:
            return name
    if any(map(_has_user_namespaces, await world.listed(NODES, ""))):
        return ""
    raise NotTested(
        "the cluster has no RuntimeClass of the setting isolation.sandboxes, and no node reports user namespaces of "
        "its default runtime"
    )


def _has_user_namespaces(node: Obj) -> bool:
    handlers = (node.get("status") or {}).get("runtimeHandlers") or ()
    return any(not each.get("name") and (each.get("features") or {}).get("userNamespaces") is True for each in handlers)


async def _runs(world: World) -> None:
    """An App, whose pod decco makes as the level demands."""
    handler = await _handler(world)
    pod = pods.server(world.image, f"g/{APP}", [WEB], world.user)
    if handler:
        pod["runtimeClassName"] = handler
    await world.client.create(APPS, objects.app(world.names, "g", APP, pod, endpoints=[]))
    await eventually(lambda: world.app_ready("g", APP), world.patience, stretched=False)
    for found in await world.pods("g", APP):
        spec = found["spec"]
        if (
            spec.get("hostUsers") is not False
            and spec.get("runtimeClassName") not in world.settings.isolation.sandboxes
        ):
            raise Failed(f"pod {found['metadata']['name']} has neither a user namespace nor a sandbox", "verify-policy")


PROBES = (
    Probe(
        "levels/pod",
        "a pod with the isolation of its Space runs",
        "verify-level",
        _runs,
        after=(space("g"),),
        seconds=300.0,
    ),
)
