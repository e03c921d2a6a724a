"""Rules about an App that takes a share of another App's traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decco.api.rules import Reason, Rule

if TYPE_CHECKING:
    from decco.api.types import AppSpec, Endpoint

_OF_THE_ROUTE = ("rewritePath", "probePath", "timeouts", "httpHostnames")
"""Fields of an endpoint that its route has, and a canary has no route."""


def _has_http(spec: AppSpec) -> bool:
    return spec.http_url_path is not None or any(e.paths for e in spec.endpoints or ())


def _sets_the_route(endpoint: Endpoint) -> bool:
    given = [endpoint.probe_path, endpoint.timeouts, *(path.rewrite_path for path in endpoint.paths)]
    named = "http_hostnames" in endpoint.model_fields_set
    return bool(endpoint.paths) and (named or any(each is not None for each in given))


CANARY_RULES: tuple[Rule[AppSpec], ...] = (
    Rule(
        cel="!has(self.weight) || has(self.canaryOf)",
        holds=lambda s: s.weight is None or s.canary_of is not None,
        at=".weight",
        reason=Reason.FORBIDDEN,
        message="is a share of the traffic of another App, and there is no canaryOf: set canaryOf, or remove weight",
    ),
    Rule(
        cel="!has(self.canaryOf) || has(self.weight)",
        holds=lambda s: s.canary_of is None or s.weight is not None,
        at=".canaryOf",
        message="takes a share of the traffic of that App, and there is no weight: set weight to 0 to 100",
    ),
    Rule(
        cel="!(has(self.canaryOf) && (self.?runAsJob.orValue(false) || has(self.job)))",
        holds=lambda s: s.canary_of is None or not (s.run_as_job or s.job is not None),
        at=".canaryOf",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with job or runAsJob: a Job ends, and the requests of its share would fail; remove "
        "one of the two",
    ),
    Rule(
        cel="!has(self.canaryOf) || has(self.httpUrlPath) || (has(self.endpoints) && "
        "self.endpoints.exists(e, has(e.httpPath) || has(e.httpPaths)))",
        holds=lambda s: s.canary_of is None or _has_http(s),
        at=".canaryOf",
        reason=Reason.FORBIDDEN,
        message="shares HTTP traffic, and this App has no HTTP endpoint: set httpUrlPath, or httpPath of an endpoint, "
        "to that of the other App",
    ),
    Rule(
        cel="!(has(self.canaryOf) && has(self.endpoints)) || self.endpoints.all(e, "
        "(!has(e.httpPath) && !has(e.httpPaths)) || ("
        + " && ".join(f"!has(e.{field})" for field in _OF_THE_ROUTE)
        + " && (!has(e.httpPaths) || e.httpPaths.all(p, !has(p.rewritePath)))))",
        holds=lambda s: s.canary_of is None or not any(map(_sets_the_route, s.endpoints or ())),
        at=".endpoints",
        reason=Reason.FORBIDDEN,
        message=f"of a canary with httpPath may not have {', '.join(_OF_THE_ROUTE[:-1])} or {_OF_THE_ROUTE[-1]}: the "
        "route is that of the App in canaryOf, and has what is set there; remove them here",
    ),
)
