"""An App with ``canaryOf``: which of its endpoints get a share of the other App's routes, and why others get none."""

from __future__ import annotations

from dataclasses import replace

from decco.desired import reasons
from decco.desired.endpoints import EndpointKind, ResolvedApp, ResolvedEndpoint, endpoints_of
from decco.desired.http_routes import ResolvedPath, without_slash
from decco.desired.model import AppInputs, Problem
from decco.desired.shares import HttpEndpoint, Share, Sharing, split
from decco.settings import RoutingBackend


def shares_of(inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath) -> list[Share]:
    """What belongs into the rule of a path beside the endpoint's own Service."""
    if not inputs.canaries:
        return []
    return [share for share in split(path.prefix, endpoint.protocol, inputs.canaries) if share.carried]


def share_of(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Share | None:
    """What the one canary of an endpoint has of all its paths, where the edge shares by endpoint."""
    if not inputs.canaries:
        return None
    # As its canaries see it: also a path that another App has.
    declared = (each for each in endpoints_of(inputs.name, inputs.spec) if each.name == endpoint.name)
    paths = {without_slash(path.path) for each in declared for path in each.paths}
    found = split(endpoint.paths[0].prefix, endpoint.protocol, inputs.canaries, paths)
    return next((share for share in found if share.carried), None)


def place_canary(inputs: AppInputs, resolved: ResolvedApp, sharing: Sharing) -> tuple[ResolvedApp, tuple[Problem, ...]]:
    """The endpoints of a canary, without a route those that can get no traffic, and why; other Apps as they are."""
    if inputs.spec.canary_of is None or inputs.settings.routing.backend is RoutingBackend.NONE:
        return resolved, ()
    general, found = _of_the_app(inputs, sharing), dict[str, Problem]()
    for endpoint in resolved.routed:
        if endpoint.kind is EndpointKind.HTTP:
            problems = (general or _of_a_path(inputs, endpoint, path, sharing) for path in endpoint.paths)
            problem = next(filter(None, problems), None)
            if problem is not None:
                found[endpoint.name] = problem
    endpoints = tuple(
        replace(each, routed=False) if _is_final(found.get(each.name)) else each for each in resolved.endpoints
    )
    return replace(resolved, endpoints=endpoints), tuple(dict.fromkeys(found.values()))


def _is_final(problem: Problem | None) -> bool:
    return problem is not None and problem.reason != reasons.CANARY_WAITING


def _of_the_app(inputs: AppInputs, sharing: Sharing) -> Problem | None:
    primary = inputs.primary
    if primary is None:
        message = (
            f"canaryOf names App {inputs.spec.canary_of}, and there is none in namespace {inputs.namespace}; create "
            "it, or remove canaryOf to serve the paths alone"
        )
        return Problem(reasons.PRIMARY_NOT_FOUND, message)
    if primary.canary_of == inputs.name:
        message = (
            f"this App and App {primary.name} are canaries of each other, so neither has a route to share; remove "
            "canaryOf and weight from the one that is to have the route"
        )
        return Problem(reasons.CANARY_REFUSED, message)
    if primary.canary_of is not None:
        message = (
            f"App {primary.name} is a canary itself and has no route to share; set canaryOf to {primary.canary_of}"
        )
        return Problem(reasons.CANARY_REFUSED, message)
    if sharing is Sharing.NONE:
        message = (
            f"gets no share of the traffic of App {primary.name}: decco's objects for the ingress controller "
            f"{inputs.settings.routing.ingress_dialect} have no weights; remove the App, or use the Gateway API"
        )
        return Problem(reasons.ROUTE_NOT_SUPPORTED, f"App {inputs.name} {message}")
    return None


def _of_a_path(inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath, sharing: Sharing) -> Problem | None:
    primary = inputs.primary
    assert primary is not None, "without one all endpoints have the problem of the App"
    theirs = next((each for each in primary.endpoints if each.path == path.prefix), None)
    begin = f"endpoint {endpoint.name} gets no share of the traffic of App {primary.name}"
    if theirs is None:
        message = f"{begin}: that App has no endpoint with the path {path.path}; choose one of its paths"
        return Problem(reasons.CANARY_REFUSED, message)
    share = next(
        (
            each
            for each in split(
                theirs.path, theirs.protocol, primary.canaries, together(primary.endpoints, theirs, sharing)
            )
            if (each.canary.name, each.endpoint.name) == (inputs.name, endpoint.name)
        ),
        None,
    )
    if share is None:
        return Problem(reasons.CANARY_WAITING, f"{begin} yet: it is not known there")
    if share.refusal:
        return Problem(reasons.CANARY_REFUSED, f"{begin}: {share.refusal}")
    if not share.weight or _is_to_have_no_pods(inputs):
        return None
    if not share.canary.serving:
        return Problem(reasons.CANARY_WAITING, f"{begin} yet: it waits for a ready pod")
    if endpoint.name not in primary.carried and not inputs.simulated:
        message = f"{begin} yet: its route does not have it; see the conditions of App {primary.name}"
        return Problem(reasons.CANARY_WAITING, message)
    return None


def _is_to_have_no_pods(inputs: AppInputs) -> bool:
    """Suspended, or scaled to none: then no share is as it is meant, and nothing is waited for."""
    live = inputs.live_replicas
    number = inputs.spec.replicas if inputs.spec.replicas is not None or live is None else live.replicas
    return inputs.spec.suspend or number == 0


def together(endpoints: tuple[HttpEndpoint, ...], one: HttpEndpoint, sharing: Sharing) -> frozenset[str]:
    """The paths that are shared together with that of ``one``; () if each is shared on its own."""
    if sharing is not Sharing.BY_ENDPOINT:
        return frozenset()
    return frozenset(each.path for each in endpoints if each.name == one.name)
