"""Policy objects of Envoy Gateway (gateway.envoyproxy.io): the limits of a Space, and the idle timeout of an endpoint.

Read from the source of v1.9. The policies of a Space are for its whole ListenerSet or Gateway, except the
ClientTrafficPolicy: it names listeners, because Envoy Gateway refuses it for those of port 80, which ListenerSets
share. A BackendTrafficPolicy of a route replaces that of its listeners, so it is complete
(docs/design/2026-11-30-limits.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from decco.api.limits import Limits
from decco.desired import limits as names_of
from decco.desired import names
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.gateway_status import listeners_kind
from decco.desired.limits import NO_LIMITS, limits_of, longest_idle, streams, unkept_by_streams
from decco.desired.model import AppInputs, Child, EdgeInputs, Problem, SpaceInputs
from decco.desired.timeouts import idle_timeout
from decco.objects import (
    BACKEND_TRAFFIC_POLICIES,
    CLIENT_TRAFFIC_POLICIES,
    ENVOY_GATEWAY_GROUP,
    GATEWAY_GROUP,
    GATEWAYS,
    HTTP_ROUTES,
    SECURITY_POLICIES,
    Obj,
    Resource,
)

EDGE = "Envoy Gateway"
POLICIES = (SECURITY_POLICIES, BACKEND_TRAFFIC_POLICIES, CLIENT_TRAFFIC_POLICIES)
_KIND_OF = {
    names_of.CLIENT_CIDRS: SECURITY_POLICIES,
    names_of.REQUEST_BODY: BACKEND_TRAFFIC_POLICIES,
    names_of.REQUEST_RATE: BACKEND_TRAFFIC_POLICIES,
    names_of.IDLE: BACKEND_TRAFFIC_POLICIES,
    names_of.CONNECTIONS: CLIENT_TRAFFIC_POLICIES,
}
"""The limits that are policies. That of requests is part of HTTPRoutes."""
_EVERY_CLIENT = ("0.0.0.0/0", "::/0")


def is_envoy_gateway(controller: object) -> bool:
    """By the controllerName of a GatewayClass."""
    return isinstance(controller, str) and controller.startswith(f"{ENVOY_GATEWAY_GROUP}/")


def absent(inputs: EdgeInputs, kind: Resource) -> str | None:
    """Why no policy of this kind has an effect, or None. The controller of a class that is not known may be it."""
    controller = inputs.gateway_controller
    if controller is not None and not is_envoy_gateway(controller):
        return f"the gateway controller {controller} has no such limit; {EDGE} has"
    if kind not in inputs.served:
        return f"the cluster does not serve {kind.kind} of {ENVOY_GATEWAY_GROUP}; install the CRDs of {EDGE}"
    return None


def unwritten(inputs: EdgeInputs, kind: Resource) -> str | None:
    """Why a Space has no policy of this kind, or None. One of the Space would replace that of the whole Gateway, by
    which the platform may demand authentication, limits or TLS versions of everybody.
    """
    why, policy = absent(inputs, kind), inputs.edge_policies.get(kind)
    if why is not None or policy is None:
        return why
    return (
        f"it would replace {kind.kind} {policy} of the whole Gateway for the Space's listeners, and {EDGE} does not "
        "merge the two; have it set there"
    )


# -- Space ------------------------------------------------------------------------------------------------------------


def kinds_for(limits: Limits) -> list[Resource]:
    """The kinds of the policies that keep these limits."""
    return list(dict.fromkeys(_KIND_OF[limit] for limit in names_of.given(limits) if limit in _KIND_OF))


def unkept_limits(edge: EdgeInputs, limits: Limits) -> dict[str, str]:
    """Name of a limit that is not kept -> why."""
    found = {limit: unwritten(edge, _KIND_OF[limit]) for limit in names_of.given(limits) if limit in _KIND_OF}
    return {limit: why for limit, why in found.items() if why is not None}


def is_closed(inputs: SpaceInputs) -> bool:
    """Whether the Space may be served to nobody, because its clientCidrs cannot be kept."""
    return bool(limits_of(inputs.space).client_cidrs) and unwritten(inputs, SECURITY_POLICIES) is not None


def space_policies(inputs: SpaceInputs, listeners: Iterable[Obj]) -> list[Child]:
    """The policies for these listeners; they are written before the listeners, which so are never open."""
    limits = limits_of(inputs.space)
    whole = {"group": GATEWAY_GROUP, "kind": listeners_kind(inputs.settings.routing).kind, "name": names.SPACE_OBJECT}
    specs: dict[Resource, Obj] = {}
    if limits.client_cidrs:
        clients = {"action": "Allow", "principal": {"clientCIDRs": sorted(limits.client_cidrs)}}
        specs[SECURITY_POLICIES] = {
            "targetRefs": [whole],
            "authorization": {"defaultAction": "Deny", "rules": [clients]},
        }
    if traffic := _traffic(limits, longest_idle(limits)):
        specs[BACKEND_TRAFFIC_POLICIES] = {"targetRefs": [whole], **traffic}
    secure = [{**whole, "sectionName": each["name"]} for each in listeners if each["protocol"] in ("HTTPS", "TLS")]
    if limits.connections is not None and secure:
        limit = {"connectionLimit": {"value": limits.connections}}
        specs[CLIENT_TRAFFIC_POLICIES] = {"targetRefs": secure, "connection": limit}
    return [
        names.child(inputs.served[kind], names.space_meta(inputs.space, names.LIMITS_POLICY), spec=spec)
        for kind, spec in specs.items()
        if unwritten(inputs, kind) is None
    ]


def targeted_gateways(policy: Obj) -> tuple[str, ...] | None:
    """The Gateways of its namespace that a policy is for as a whole; None: it selects them by labels."""
    spec = policy.get("spec") or {}
    if spec.get("targetSelectors"):
        return None
    targets = [*(spec.get("targetRefs") or ()), *([spec["targetRef"]] if spec.get("targetRef") else ())]
    return tuple(str(each.get("name")) for each in targets if _is_whole_gateway(each))


def _is_whole_gateway(target: Obj) -> bool:
    return target.get("kind") == GATEWAYS.kind and not target.get("sectionName")


# -- App --------------------------------------------------------------------------------------------------------------


def keeps_idle(inputs: AppInputs) -> bool:
    return absent(inputs, BACKEND_TRAFFIC_POLICIES) is None


def _limits(inputs: AppInputs) -> Limits:
    """The limits that the Space has a policy of."""
    return limits_of(inputs.space) if unwritten(inputs, BACKEND_TRAFFIC_POLICIES) is None else NO_LIMITS


def route_policy(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Obj | None:
    """The spec of the policy of an endpoint's HTTPRoute; None if it is as its Space's policy says."""
    if endpoint.kind is not EndpointKind.HTTP or not keeps_idle(inputs):
        return None
    limits = _limits(inputs)
    of_space = _traffic(limits, longest_idle(limits))
    own = _traffic(limits, idle_timeout(endpoint, inputs.space), streaming=streams(endpoint))
    if own == of_space:
        return None
    target = {"group": GATEWAY_GROUP, "kind": HTTP_ROUTES.kind, "name": endpoint.name}
    # Beside a policy of the Space it stands alone; else it is merged with that of the Gateway, if there is one.
    merged = {} if of_space else {"mergeType": "StrategicMerge"}
    return {"targetRefs": [target], **merged, **own}


def route_problems(inputs: AppInputs, endpoint: ResolvedEndpoint) -> tuple[Problem, ...]:
    return unkept_by_streams(inputs.space, endpoint, EDGE) if _limits(inputs).request_body is not None else ()


def _traffic(limits: Limits, idle: str | None, *, streaming: bool = False) -> Obj:
    """What a BackendTrafficPolicy says of the routes; {} if nothing."""
    spec: Obj = {}
    if limits.request_body is not None and not streaming:
        spec["requestBuffer"] = {"limit": limits.request_body}
    if (rate := limits.request_rate) is not None:
        limit = {"requests": rate.requests, "unit": rate.unit.value}
        each = [{"sourceCIDR": {"type": "Distinct", "value": cidr}} for cidr in _EVERY_CLIENT]
        spec["rateLimit"] = {"local": {"rules": [{"clientSelectors": [one], "limit": limit} for one in each]}}
    if idle is not None:
        spec["timeout"] = {"http": {"streamIdleTimeout": idle}}
    return spec
