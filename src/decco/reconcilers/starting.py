"""Which HTTP endpoints of an App start: their gateway may not know a ready pod yet, see ``AppInputs.starting``.

It depends on the live objects alone. A route that is created before its pods are ready is written once more when the
gateway reports them, and a route whose pods were all away twice. Nothing else is written for it.
"""

from __future__ import annotations

from decco.api.workload_kinds import WorkloadKind
from decco.desired.answers import STARTING_DOMAIN, probe_answer
from decco.desired.endpoints import endpoints_of
from decco.desired.gateway_status import ParentGateway, lacks_endpoints, parent_gateway, route_problem
from decco.desired.model import AppInputs, Child
from decco.kube.entry import Entry
from decco.objects import DEPLOYMENTS, HTTP_ROUTES, STATEFUL_SETS, Key, Obj
from decco.reconcilers.caches import Caches
from decco.reconcilers.handlers.canary import is_ready
from decco.settings import RoutingBackend


def starting_endpoints(caches: Caches, app: Entry, inputs: AppInputs) -> frozenset[str]:
    """Their names; none where no probe asks for the answer, or one asks the App itself (``probePath``).

    Jobs are left out: their pods are expected to come and go. In a simulation a new route is as it will be in the end.
    """
    spec, settings = inputs.spec, inputs.settings
    store = caches.children.get(HTTP_ROUTES)
    if store is None or settings.routing.backend is not RoutingBackend.GATEWAY or not settings.probe.enabled:
        return frozenset()
    if spec.suspend or spec.canary_of is not None or spec.workload_kind is WorkloadKind.JOB:
        return frozenset()
    kind = STATEFUL_SETS if spec.workload_kind is WorkloadKind.STATEFUL_SET else DEPLOYMENTS
    gateway = parent_gateway(settings.routing, inputs.space.name, inputs.gateway_controller)
    asked = (endpoint for endpoint in endpoints_of(inputs.name, spec) if endpoint.probe_path is None)
    routes = {each.name: _own(store.get(Key(app.key.namespace, each.name)), app) for each in asked}
    candidates = {
        name: route
        for name, route in routes.items()
        if (_may_start(route, gateway) if route is not None else not inputs.simulated)
    }
    if not candidates:
        return frozenset()
    workload = _own(caches.children[kind].get(app.key), app) or {}
    if (workload.get("spec") or {}).get("replicas") == 0:
        return frozenset()
    ready = is_ready(workload)
    return frozenset(name for name, route in candidates.items() if not ready or _is_behind(route, gateway))


def _may_start(route: Obj, gateway: ParentGateway) -> bool:
    answer = probe_answer(route)
    starts = answer is not None and answer[1].endswith(STARTING_DOMAIN)
    return starts or lacks_endpoints(route, gateway)


def _is_behind(route: Obj | None, gateway: ParentGateway) -> bool:
    """Whether the gateway has not reported ready pods of this generation of the route. A new route is read by a gateway
    that can know the pods that are ready already.
    """
    return route is not None and route_problem(Child(HTTP_ROUTES, route), route, gateway) is not None


def _own(entry: Entry | None, app: Entry) -> Obj | None:
    return entry.obj() if entry is not None and entry.owner_uid == app.uid and not entry.deleting else None
