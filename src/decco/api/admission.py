"""Validation beyond the form of one field: the tables of rules, one per model.

A rule refuses only what can never work, or what would silently have no effect (client certificates required for an
HTTP endpoint, where they are not verified). Problems that depend on the cluster, such as a missing Secret or a host
name that belongs to another Space, are conditions of the object and not rules.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from pydantic.alias_generators import to_snake

from decco.api.canary_rules import CANARY_RULES
from decco.api.endpoint_rules import IS_HTTP, PROTOCOL_RULES, TIMEOUT_RULES
from decco.api.formats import MAX_LABEL
from decco.api.rules import Reason, Rule, all_different, unique

if TYPE_CHECKING:
    from decco.api.types import AppSpec, DisruptionBudget, Egress, Endpoint, SpaceSpec

CLEARTEXT_SUFFIX = "-cleartext"
"""The name of the Service that createClearTextService adds is the endpoint's with this."""

SHORT_FORM = ("httpUrlPath", "verifyTcpClientCert", "createDnsRecord", "tlsCaAndCertSecretName")


# -- Endpoint ---------------------------------------------------------------------------------------------------------

_GIVEN = {
    "httpPath": "has(self.httpPath)",
    "httpPaths": "has(self.httpPaths)",
    "httpHostnames": "size(self.?httpHostnames.orValue([])) > 0",
    "allowedClients": "size(self.?allowedClients.orValue([])) > 0",
    "verifyTcpClientCert": "self.?verifyTcpClientCert.orValue(false)",
    "createDnsRecord": "self.?createDnsRecord.orValue(false)",
    "createClearTextService": "self.?createClearTextService.orValue(false)",
    "disableTlsTermination": "self.?disableTlsTermination.orValue(false)",
    "isMetricsEndpoint": "self.?isMetricsEndpoint.orValue(false)",
}
"""When a field of an Endpoint is given: present, true or not empty. In Python that is its truth value."""


def _not_both(field: str, other: str, because: str) -> Rule[Endpoint]:
    given = attrgetter(to_snake(field), to_snake(other))
    return Rule(
        cel=f"!({_GIVEN[field]} && {_GIVEN[other]})",
        holds=lambda e: not all(given(e)),
        at=f".{field}",
        reason=Reason.FORBIDDEN,
        message=f"cannot be combined with {other}: {because}; remove one of the two",
    )


_VIA_EDGE = "HTTP requests reach the pod from the edge, not with the client's certificate"
_IN_CONTAINER = "TLS ends in the container, so only the container can check certificates"
_INSIDE = "a metrics endpoint is reached only from inside the cluster and gets no route"
_PLAIN = "metrics are read in plain text, without client certificates"
MAX_CLEARTEXT_NAME = MAX_LABEL - len(CLEARTEXT_SUFFIX)

ENDPOINT_RULES: tuple[Rule[Endpoint], ...] = (
    Rule(
        cel="!has(self.rewritePath) || has(self.httpPath)",
        holds=lambda e: e.rewrite_path is None or e.http_path is not None,
        at=".rewritePath",
        reason=Reason.FORBIDDEN,
        message="replaces the prefix httpPath, and there is no httpPath: set httpPath, or remove rewritePath",
    ),
    Rule(
        cel=f"!has(self.probePath) || {IS_HTTP}",
        holds=lambda e: e.probe_path is None or bool(e.paths),
        at=".probePath",
        reason=Reason.FORBIDDEN,
        message="is requested by HTTP through the edge, and there is no httpPath: set httpPath, or remove probePath",
    ),
    Rule(
        cel=f"!({_GIVEN['httpHostnames']}) || {IS_HTTP}",
        holds=lambda e: not e.http_hostnames or bool(e.paths),
        at=".httpHostnames",
        reason=Reason.FORBIDDEN,
        message="are the names of an HTTP endpoint, and there is no httpPath: set httpPath, or use hostname for TCP",
    ),
    _not_both("httpPaths", "httpPath", "each is the whole list of paths"),
    Rule(
        # "/a" and "/a/" are the same prefix (Gateway API, PathMatchPathPrefix).
        cel="!has(self.httpPaths) || [self.httpPaths.map(p, p.path)].all(l, "
        "l.all(p, l.indexOf(p) == l.lastIndexOf(p) && l.indexOf(p + '/') == -1))",
        holds=lambda e: unique([each.path.rstrip("/") for each in e.http_paths or ()]),
        at=".httpPaths",
        message='two entries have the same path (a "/" at the end makes no difference): remove one of the two',
    ),
    _not_both("verifyTcpClientCert", "httpPaths", _VIA_EDGE),
    _not_both("allowedClients", "httpPaths", _VIA_EDGE),
    _not_both("httpPaths", "isMetricsEndpoint", _INSIDE),
    _not_both("verifyTcpClientCert", "httpPath", _VIA_EDGE),
    _not_both("allowedClients", "httpPath", _VIA_EDGE),
    _not_both("verifyTcpClientCert", "disableTlsTermination", _IN_CONTAINER),
    _not_both("allowedClients", "disableTlsTermination", _IN_CONTAINER),
    _not_both("createClearTextService", "disableTlsTermination", "the container's port speaks TLS, not clear text"),
    _not_both("httpPath", "isMetricsEndpoint", _INSIDE),
    _not_both("createDnsRecord", "isMetricsEndpoint", _INSIDE),
    _not_both("verifyTcpClientCert", "isMetricsEndpoint", _PLAIN),
    _not_both("allowedClients", "isMetricsEndpoint", _PLAIN),
    Rule(
        cel=f"!{_GIVEN['createClearTextService']} || size(self.name) <= {MAX_CLEARTEXT_NAME}",
        holds=lambda e: not e.create_clear_text_service or len(e.name) <= MAX_CLEARTEXT_NAME,
        at=".name",
        message=f"is too long for createClearTextService: its Service is named <name>{CLEARTEXT_SUFFIX}, so at most "
        f"{MAX_CLEARTEXT_NAME} characters are left for the name",
    ),
    *PROTOCOL_RULES,
    *TIMEOUT_RULES,
)


# -- Space ------------------------------------------------------------------------------------------------------------

MAX_LISTENERS = 61
"""A Gateway or ListenerSet holds 64 listeners, three of which are the FQDN's."""

SPACE_SPEC_RULES: tuple[Rule[SpaceSpec], ...] = (
    Rule(
        cel=f"size(self.?hostnames.orValue([])) + 2 * size(self.?httpHostnames.orValue([])) <= {MAX_LISTENERS}",
        holds=lambda s: len(s.hostnames) + 2 * len(s.http_hostnames) <= MAX_LISTENERS,
        at=".httpHostnames",
        message="are too many together with hostnames: a Gateway holds 64 listeners, three are the FQDN's, each of "
        "hostnames needs one and each of httpHostnames two; remove names, or use another Space",
    ),
    Rule(
        cel="!has(self.hostnames) || !has(self.httpHostnames) || "
        "self.httpHostnames.all(h, !(h.name in self.hostnames))",
        holds=lambda s: {each.name for each in s.http_hostnames}.isdisjoint(s.hostnames),
        at=".httpHostnames",
        message="holds a name that hostnames holds too, and a name is served either by path or by TLS passthrough: "
        "remove it from one of the two",
    ),
    Rule(
        # A list map refuses this too, but its message has only the duplicate.
        cel="!has(self.httpHostnames) || [self.httpHostnames.map(h, h.name)].all(l, "
        "l.all(x, l.indexOf(x) == l.lastIndexOf(x)))",
        holds=lambda s: unique([each.name for each in s.http_hostnames]),
        at=".httpHostnames",
        message="holds a name twice: keep one of the two",
    ),
    Rule(
        cel="!has(self.placement) || self.placement.clusters.exists(c, c.?role.orValue('Active') == 'Active')",
        holds=lambda s: s.placement is None or s.placement.has_active,
        at=".placement.clusters",
        message="names no cluster with the role Active, for which the others could stand by: make one of them Active",
    ),
)


# -- Egress -----------------------------------------------------------------------------------------------------------

EGRESS_RULES: tuple[Rule[Egress], ...] = (
    Rule(
        cel="has(self.fqdn) || has(self.endpoint)",
        holds=lambda e: e.fqdn is not None or e.endpoint is not None,
        message="has no target: set fqdn for any host, or endpoint (and spaceName, if it is in another Space) for an "
        "endpoint of an App",
    ),
    Rule(
        cel="!(has(self.fqdn) && has(self.endpoint))",
        holds=lambda e: e.fqdn is None or e.endpoint is None,
        message="has two targets, fqdn and endpoint: remove one of the two",
    ),
    Rule(
        cel="!has(self.spaceName) || has(self.endpoint)",
        holds=lambda e: e.space_name is None or e.endpoint is not None,
        at=".spaceName",
        reason=Reason.FORBIDDEN,
        message="says in which Space the endpoint is, and there is no endpoint: set endpoint, or remove spaceName",
    ),
)


# -- AppSpec ----------------------------------------------------------------------------------------------------------

# Rules about pairs take the values out of the objects first: ``[list].all(l, ...)`` gives the list of values a name,
# and indexOf compares them natively. Comparing each object with each other one cost the API server (1.37.2) 160 ms for
# an App of 64 endpoints, and 20 ms for one of 16; this way it is 25 ms and 3 ms.


def _egresses(rule: str) -> str:
    """``rule``, which must hold for the list {egresses}, for both spellings of that field."""
    spellings = ("self.tlsEgresses", "self.egresses")
    return " && ".join(f"(!has({field}) || {rule.format(egresses=field)})" for field in spellings)


def _is_tcp(endpoint: Endpoint) -> bool:
    return not endpoint.paths and not endpoint.is_metrics_endpoint


_TCP_WITH_HOSTNAME = "has(e.hostname) && !has(e.httpPath) && !has(e.httpPaths) && !e.?isMetricsEndpoint.orValue(false)"
_FIRST_PORTS = "self.pod.containers[0].?ports.orValue([])"
_HAS_CONTAINER = "size(self.pod.containers) > 0"


def _cleartext_names_are_free(spec: AppSpec) -> bool:
    names = {e.name for e in spec.endpoints or ()}
    return not any(e.create_clear_text_service and e.name + CLEARTEXT_SUFFIX in names for e in spec.endpoints or ())


def _local_ports_are_free(spec: AppSpec) -> bool:
    ports = {e.port for e in spec.endpoints} if spec.endpoints is not None else {spec.first_port}
    return not any(e.local_port in ports for e in spec.tls_egresses)


APP_SPEC_RULES: tuple[Rule[AppSpec], ...] = (
    Rule(
        cel=f"!has(self.endpoints) || !({' || '.join(f'has(self.{field})' for field in SHORT_FORM)})",
        holds=lambda s: s.endpoints is None or all(getattr(s, to_snake(field)) is None for field in SHORT_FORM),
        at=".endpoints",
        reason=Reason.FORBIDDEN,
        message=f"cannot be combined with the short form ({', '.join(SHORT_FORM)}): move those fields into an "
        "endpoint, or remove endpoints",
    ),
    Rule(
        cel="!(self.?verifyTcpClientCert.orValue(false) && has(self.httpUrlPath))",
        holds=lambda s: not (s.verify_tcp_client_cert and s.http_url_path is not None),
        at=".verifyTcpClientCert",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with httpUrlPath: HTTP requests reach the pod from the edge, not with the client's "
        "certificate; remove one of the two",
    ),
    Rule(
        cel=f"!has(self.httpUrlPath) || has(self.endpoints) || ({_HAS_CONTAINER} && size({_FIRST_PORTS}) > 0)",
        holds=lambda s: s.http_url_path is None or s.endpoints is not None or s.first_port is not None,
        at=".httpUrlPath",
        reason=Reason.FORBIDDEN,
        message="is the path of the first container's first port, and that container declares no port: add "
        "pod.containers[0].ports, or remove httpUrlPath",
    ),
    Rule(
        cel="!(has(self.deployment) && has(self.statefulSet) || has(self.deployment) && has(self.job) || "
        "has(self.statefulSet) && has(self.job))",
        holds=lambda s: [s.deployment, s.stateful_set, s.job].count(None) >= 2,
        reason=Reason.FORBIDDEN,
        message="deployment, statefulSet and job are kinds of workload, and an App has one: keep one of them",
    ),
    Rule(
        cel="!(self.?runAsJob.orValue(false) && (has(self.deployment) || has(self.statefulSet)))",
        holds=lambda s: not (s.run_as_job and (s.deployment is not None or s.stateful_set is not None)),
        at=".runAsJob",
        reason=Reason.FORBIDDEN,
        message="makes the workload a Job, and deployment or statefulSet makes it another kind: remove one of the two",
    ),
    Rule(
        cel="!(has(self.runAsJob) && !self.runAsJob && has(self.job))",
        holds=lambda s: s.job is None or s.run_as_job or "run_as_job" not in s.model_fields_set,
        at=".runAsJob",
        reason=Reason.FORBIDDEN,
        message="is false, and job makes the workload a Job: remove one of the two",
    ),
    Rule(
        cel="!has(self.jobBackoffLimit) || self.?runAsJob.orValue(false) || has(self.job)",
        holds=lambda s: s.job_backoff_limit is None or s.run_as_job or s.job is not None,
        at=".jobBackoffLimit",
        reason=Reason.FORBIDDEN,
        message="only a Job has retries: set runAsJob to true, or remove jobBackoffLimit",
    ),
    Rule(
        cel="!(has(self.jobBackoffLimit) && has(self.job) && has(self.job.backoffLimit))",
        holds=lambda s: s.job_backoff_limit is None or (s.job or {}).get("backoffLimit") is None,
        at=".jobBackoffLimit",
        reason=Reason.FORBIDDEN,
        message="is the short form of job.backoffLimit, and both are set: remove one of the two",
    ),
    Rule(
        # A list map refuses this too, but its message has only the duplicate.
        cel=f"!has(self.endpoints) || {all_different('self.endpoints.map(e, e.name)')}",
        holds=lambda s: unique([e.name for e in s.endpoints or ()]),
        at=".endpoints",
        message="two endpoints have the same name: give each its own, it is also the name of its Service",
    ),
    Rule(
        cel=f"!has(self.endpoints) || {all_different('self.endpoints.map(e, e.port)')}",
        holds=lambda s: unique([e.port for e in s.endpoints or ()]),
        at=".endpoints",
        message="two endpoints have the same port: let the container listen on a port for each, or remove one endpoint",
    ),
    Rule(
        # "/a" and "/a/" are the same prefix (Gateway API, PathMatchPathPrefix). Endpoints with several paths, or at
        # names that they list, get a condition instead: comparing all of them would cost the API server too much.
        cel="!has(self.endpoints) || [self.endpoints.filter(e, has(e.httpPath) && "
        "size(e.?httpHostnames.orValue([])) == 0).map(e, e.httpPath)].all(l, "
        "l.all(p, l.indexOf(p) == l.lastIndexOf(p) && l.indexOf(p + '/') == -1))",
        holds=lambda s: unique(
            [e.http_path.rstrip("/") for e in s.endpoints or () if e.http_path is not None and not e.http_hostnames]
        ),
        at=".endpoints",
        message='two endpoints have the same httpPath (a "/" at the end makes no difference): give each its own',
    ),
    Rule(
        cel="!has(self.endpoints) || "
        f"{all_different(f'self.endpoints.filter(e, {_TCP_WITH_HOSTNAME}).map(e, e.hostname)')}",
        holds=lambda s: unique([e.hostname for e in s.endpoints or () if e.hostname is not None and _is_tcp(e)]),
        at=".endpoints",
        message="two TCP endpoints have the same hostname, but TLS connections are distinguished by host name only: "
        "give each its own hostname",
    ),
    Rule(
        cel="!has(self.endpoints) || [self.endpoints.map(e, e.name)].all(l, self.endpoints.all(e, "
        f"!e.?createClearTextService.orValue(false) || l.indexOf(e.name + '{CLEARTEXT_SUFFIX}') == -1))",
        holds=_cleartext_names_are_free,
        at=".endpoints",
        message=f"createClearTextService makes a Service named <name>{CLEARTEXT_SUFFIX}, and another endpoint has that "
        "name: rename one of the two",
    ),
    Rule(
        cel="!(has(self.tlsEgresses) && has(self.egresses))",
        holds=lambda _: True,  # two spellings of one field: AppSpec checks them before validation
        at=".egresses",
        reason=Reason.FORBIDDEN,
        message="is another spelling of tlsEgresses, and both are set: move everything to one of the two",
    ),
    Rule(
        cel=_egresses(all_different("{egresses}.map(e, e.localPort)")),
        holds=lambda s: unique([e.local_port for e in s.tls_egresses]),
        message="two egresses have the same localPort: give each its own",
    ),
    Rule(
        cel="[has(self.endpoints) ? self.endpoints.map(e, e.port) : "
        f"{_HAS_CONTAINER} && size({_FIRST_PORTS}) > 0 ? [self.pod.containers[0].ports[0].containerPort] : []]"
        f".all(l, {_egresses('{egresses}.all(e, l.indexOf(e.localPort) == -1)')})",
        holds=_local_ports_are_free,
        message="the localPort of an egress is also the port of an endpoint, and both would listen on it in one pod: "
        "choose another localPort",
    ),
    *CANARY_RULES,
)


# -- DisruptionBudget -------------------------------------------------------------------------------------------------

BUDGET_RULES: tuple[Rule[DisruptionBudget], ...] = (
    Rule(
        cel="!(has(self.minAvailable) && has(self.maxUnavailable))",
        holds=lambda b: b.min_available is None or b.max_unavailable is None,
        at=".minAvailable",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with maxUnavailable, as in policy/v1: remove one of the two",
    ),
    Rule(
        cel="self.?mode.orValue('Auto') != 'None' || !(has(self.minAvailable) || has(self.maxUnavailable))",
        holds=lambda b: b.mode != "None" or (b.min_available is None and b.max_unavailable is None),
        at=".mode",
        reason=Reason.FORBIDDEN,
        message="minAvailable and maxUnavailable have no effect with mode None: remove them, or set Auto",
    ),
)
