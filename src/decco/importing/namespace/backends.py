"""Which pods a Service leads to, and at which port of the container."""

from __future__ import annotations

import re

from decco.frozen import frozen
from decco.importing.fields import as_object, as_objects
from decco.importing.namespace.inventory import Inventory, Part
from decco.importing.namespace.workloads import pod_labels
from decco.objects import Obj
from decco.text import shown


@frozen
class Backend:
    service: Part
    workload: Part
    port: int
    """Of the container."""
    service_port: int


def selected(inventory: Inventory, selector: Obj) -> list[Part]:
    """The workloads whose pods a selector of labels selects; none for an empty one."""
    if not selector:
        return []
    return [workload for workload in inventory.workloads if selector.items() <= _labels(workload).items()]


def by_kept_labels(workload: Part, selector: Obj) -> bool:
    """Whether the selector also selects the pods of the App."""
    return selector.items() <= pod_labels(workload).items()


def backend_of(inventory: Inventory, name: str, port: str | int) -> Backend | str:
    """The backend, or why there is none."""
    service = inventory.services.get(name)
    if service is None:
        return f"there is no Service {name} in the input"
    ports = [item for _, item in as_objects(service.spec.get("ports"))]
    found = next((item for item in ports if port in (item.get("port"), item.get("name"))), None)
    if found is None or not isinstance(found.get("port"), int):
        return f"Service {name} has no port {shown(str(port))}"
    workloads = selected(inventory, as_object(service.spec.get("selector")))
    if not workloads:
        return f"Service {name} selects no pods of a Deployment or StatefulSet of the input"
    if len(workloads) > 1:
        names = ", ".join(workload.name for workload in workloads)
        return f"Service {name} selects the pods of several Apps, {names}, and an endpoint is of one"
    target = found.get("targetPort", found["port"])
    number = target if isinstance(target, int) else _container_port(workloads[0], str(target))
    if number is None:
        return f"no container of {workloads[0].name} has a port named {shown(str(target))}"
    return Backend(service, workloads[0], number, found["port"])


def _labels(workload: Part) -> Obj:
    return as_object(as_object(as_object(workload.spec.get("template")).get("metadata")).get("labels"))


def _container_port(workload: Part, name: str) -> int | None:
    pod = as_object(as_object(workload.spec.get("template")).get("spec"))
    if re.fullmatch("[0-9]{1,5}", name):
        return int(name)
    for kind in ("containers", "initContainers"):
        for _, container in as_objects(pod.get(kind)):
            for _, port in as_objects(container.get("ports")):
                if port.get("name") == name and isinstance(port.get("containerPort"), int):
                    return int(port["containerPort"])
    return None
