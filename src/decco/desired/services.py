"""The Services of an App: one for each endpoint, and one more where plain text is offered inside the Space."""

from __future__ import annotations

from decco.desired import names
from decco.desired.endpoints import ResolvedApp, ResolvedEndpoint
from decco.desired.model import AppInputs, Child
from decco.desired.routing import service_traits
from decco.objects import SERVICES, Obj


def services(inputs: AppInputs, resolved: ResolvedApp) -> list[Child]:
    """In the order of the endpoints."""
    made: list[Child] = []
    for endpoint in resolved.endpoints:
        made.append(_endpoint_service(inputs, endpoint))
        if endpoint.clear_text_service:
            made.append(_cleartext_service(inputs, endpoint))
    return made


def _endpoint_service(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Child:
    traits = service_traits(inputs, endpoint)
    port = {"name": traits.port_name, "port": endpoint.service_port, "targetPort": endpoint.target_port}
    return _service(inputs, endpoint.name, port, traits.annotations)


def _cleartext_service(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Child:
    """Straight to the container. No policy opens that port to the outside, so it is for the Space's own pods only."""
    name = names.cleartext_service(endpoint.name)
    return _service(
        inputs, name, {"name": "cleartext", "port": endpoint.container_port, "targetPort": endpoint.container_port}
    )


def _service(inputs: AppInputs, name: str, port: Obj, annotations: dict[str, str | None] | None = None) -> Child:
    meta = names.child_meta(name, uid=inputs.uid, space=inputs.space.name, app=inputs.name, annotations=annotations)
    spec = {
        "type": "ClusterIP",
        "selector": names.pod_selector(inputs.name),
        "ports": [{"protocol": "TCP", **port}],
    }
    return names.child(SERVICES, meta, spec=spec)
