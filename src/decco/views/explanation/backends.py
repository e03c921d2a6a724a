"""The last part of the way to an App: the Service of an endpoint, and the pods behind it."""

from __future__ import annotations

from decco.objects import SERVICES, Key
from decco.views.explanation.parts import World
from decco.views.findings import Finding, Findings


def backends(world: World, service: Key, about: str) -> Findings:
    """What is wrong with the Service, or how many of its pods are ready."""
    yield service_problem(world, service, about) or pods(world, service, about)


def service_problem(world: World, service: Key, about: str) -> Finding | None:
    """Why nothing can be said of the pods; None if the Service is there."""
    if not world.snapshot.may_read(SERVICES, service.namespace) or world.ready_backends is None:
        text = f"you may not read Services and EndpointSlices in {service.namespace}"
        return Finding(about, text, "backends-hidden")
    if world.snapshot.caches.children[SERVICES].get(service) is None:
        text = f"Service {service} is not there (yet): is the controller running? (decco doctor)"
        return Finding(about, text, "service-missing")
    return None


def pods(world: World, service: Key, about: str) -> Finding:
    ready, known = (world.ready_backends or {}).get(service, (0, 0))
    if not ready:
        text = f"Service {service}: no pod is ready ({known} known); see `kubectl -n {service.namespace} get pods`"
        return Finding(about, text, "no-ready-pod")
    return Finding(about, f"Service {service}: {ready} of {known} pods ready")
