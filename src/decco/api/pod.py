"""The PodSpec of an App, as far as decco reads it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from decco.api.rules import PRESERVE, VALIDATIONS, validation

NO_CONTAINER = "must hold at least one container"


def _check_pod(pod: dict[str, Any]) -> dict[str, Any]:
    containers = pod.get("containers")
    if not isinstance(containers, list) or not containers:
        raise ValueError(f"containers {NO_CONTAINER}")
    for container in containers:
        if not isinstance(container, dict):
            raise ValueError("must have an object for each of containers")
        ports = container.get("ports")
        if ports is not None and not (isinstance(ports, list) and all(map(_is_container_port, ports))):
            raise ValueError("must have containers[].ports[].containerPort, each between 1 and 65535")
    return pod


def _is_container_port(port: Any) -> bool:
    number = port.get("containerPort") if isinstance(port, dict) else None
    return isinstance(number, int) and 1 <= number <= 65535


_NUMBER = {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Number of the port."}
_PORTS = {
    "type": "array",
    "description": "Ports that the container listens on. The short form takes the first.",
    "items": {
        "type": "object",
        PRESERVE: True,
        "required": ["containerPort"],
        "properties": {"containerPort": _NUMBER},
    },
}
_CONTAINERS = {
    "type": "array",
    VALIDATIONS: [validation("size(self) > 0", NO_CONTAINER)],
    "description": "The App's containers, as in any pod. The short form takes the first.",
    "items": {"type": "object", PRESERVE: True, "properties": {"ports": _PORTS}},
}
_POD = {"type": "object", PRESERVE: True, "required": ["containers"], "properties": {"containers": _CONTAINERS}}
Pod = Annotated[dict[str, Any], AfterValidator(_check_pod), WithJsonSchema(_POD)]
"""A PodSpec. The CRD declares only the fields that decco itself reads; all other fields are preserved."""
