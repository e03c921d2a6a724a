"""The settings of the controller that runs in the cluster, from the objects of its manifests.

The results of a command are wrong if its settings differ from the controller's. The manifests store the settings in a
ConfigMap (key ``decco.yaml``) and in variables of the Deployment ``decco-controller``. The ConfigMap is the one that
the Deployment mounts as ``settings``, since an overlay may rename it; without a Deployment, ``decco-controller``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from decco.frozen import frozen
from decco.kube.client import Client
from decco.kube.errors import Forbidden, NotFound
from decco.objects import CONFIGMAPS, DEPLOYMENTS, Key, Obj, Resource
from decco.settings import Settings
from decco.settings.fields import PREFIX
from decco.settings.load import ConfigText, load

NAME = "decco-controller"
FILE = "decco.yaml"
VOLUME = "settings"


@frozen
class Running:
    """The controller's objects in the cluster; empty if it runs elsewhere or cannot be read."""

    text: ConfigText | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    deployment: Obj | None = None
    hidden: bool = False
    """Whether the user may not read them."""

    @property
    def found(self) -> bool:
        return self.text is not None or self.deployment is not None


async def read_running(client: Client, namespace: str) -> Running:
    """Reads the ConfigMap and the Deployment in the controller namespace."""
    hidden = False

    async def read(resource: Resource, name: str) -> Obj | None:
        nonlocal hidden
        try:
            return await client.get(resource, Key(namespace, name))
        except NotFound:
            return None
        except Forbidden:
            hidden = True
            return None

    deployment = await read(DEPLOYMENTS, NAME)
    key = Key(namespace, _config_map(deployment))
    text = ((await read(CONFIGMAPS, key.name) or {}).get("data") or {}).get(FILE)
    return Running(
        text=ConfigText(text, f"ConfigMap {key}, {FILE}") if isinstance(text, str) else None,
        variables=_variables(deployment) if deployment is not None else {},
        deployment=deployment,
        hidden=hidden,
    )


def _config_map(deployment: Obj | None) -> str:
    volumes = deployment["spec"]["template"]["spec"].get("volumes") or () if deployment is not None else ()
    named = (
        volume["configMap"].get("name") for volume in volumes if volume["name"] == VOLUME and "configMap" in volume
    )
    return next((str(name) for name in named if name), NAME)


def _variables(deployment: Obj) -> dict[str, str]:
    """The literal DECCO_* variables of the pod's containers. The only other one (fieldRef) is the namespace."""
    containers = deployment["spec"]["template"]["spec"].get("containers") or ()
    return {
        variable["name"]: variable["value"]
        for container in containers
        for variable in container.get("env") or ()
        if variable["name"].startswith(PREFIX) and "value" in variable
    }


def settings_in_force(running: Running, local: Settings) -> Settings:
    """The controller's settings; of the command's own only the connection and the namespace. Raises WrongSettings."""
    flags = {"namespace": local.namespace, "kubeconfig": local.kubeconfig, "context": local.context}
    return load(flags, running.variables, running.text)
