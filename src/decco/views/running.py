"""The settings of the controller that runs in the cluster, from the objects of its manifests.

The results of a command are wrong if its settings differ from the controller's. The manifests store the settings in the
ConfigMap ``decco-controller`` (key ``decco.yaml``) and in variables of the Deployment of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from decco.kube.client import Client
from decco.kube.errors import Forbidden, NotFound
from decco.objects import CONFIGMAPS, DEPLOYMENTS, Key, Obj, Resource
from decco.settings import Settings
from decco.settings.fields import PREFIX
from decco.settings.load import ConfigText, load

NAME = "decco-controller"
FILE = "decco.yaml"


@dataclass(frozen=True, slots=True)
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


async def look(client: Client, namespace: str) -> Running:
    """Reads the ConfigMap and the Deployment in the controller namespace."""
    key = Key(namespace, NAME)
    hidden = False
    found: dict[Resource, Obj] = {}
    for resource in (CONFIGMAPS, DEPLOYMENTS):
        try:
            found[resource] = await client.get(resource, key)
        except NotFound:
            continue
        except Forbidden:
            hidden = True
    deployment = found.get(DEPLOYMENTS)
    text = (found.get(CONFIGMAPS, {}).get("data") or {}).get(FILE)
    return Running(
        text=ConfigText(text, f"ConfigMap {key}, {FILE}") if isinstance(text, str) else None,
        variables=_variables(deployment) if deployment is not None else {},
        deployment=deployment,
        hidden=hidden,
    )


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
