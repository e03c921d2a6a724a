"""What is wrong input, beyond the form of one field: the tables of rules, one per model.

A rule refuses only what can never work, or what would silently not do what it says (client certificates demanded of
an HTTP endpoint, where nobody would check them). What only the cluster can tell, such as a missing Secret or a host
name that belongs to another Space, is a condition of the object and not in here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from decco.api.formats import MAX_DNS_NAME, MAX_LABEL, OBJECT_NAME
from decco.api.rules import Reason, Rule

if TYPE_CHECKING:
    from decco.api.types import AppSpec, Egress, Endpoint, SpaceSpec

CLEARTEXT_SUFFIX = "-cleartext"
"""The name of the Service that createClearTextService adds is the endpoint's with this."""

SHORT_FORM = ("httpUrlPath", "verifyTcpClientCert", "createDnsRecord", "tlsCaAndCertSecretName")


class NamedSpace(NamedTuple):
    """What the rules at the root of a Space look at."""

    name: str
    spec: SpaceSpec


class NamedApp(NamedTuple):
    """What the rules at the root of an App look at."""

    name: str
    spec: AppSpec


def _unique(values: list[object]) -> bool:
    return len(set(values)) == len(values)


# -- Endpoint ---------------------------------------------------------------------------------------------------------


def _needs_http_path(e: Endpoint) -> bool:
    return e.rewrite_path is None or e.http_path is not None


ENDPOINT_RULES: tuple[Rule[Endpoint], ...] = (
    Rule(
        cel="!has(self.rewritePath) || has(self.httpPath)",
        holds=_needs_http_path,
        at=".rewritePath",
        reason=Reason.FORBIDDEN,
        message="replaces the prefix httpPath, and there is no httpPath: set httpPath, or remove rewritePath",
    ),
    Rule(
        cel="!(self.?verifyTcpClientCert.orValue(false) && has(self.httpPath))",
        holds=lambda e: not (e.verify_tcp_client_cert and e.http_path is not None),
        at=".verifyTcpClientCert",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with httpPath: HTTP requests reach the pod from the edge, not with the client's "
        "certificate; remove verifyTcpClientCert, or remove httpPath to make this a TCP endpoint",
    ),
    Rule(
        cel="!(size(self.?allowedClients.orValue([])) > 0 && has(self.httpPath))",
        holds=lambda e: not (e.allowed_clients and e.http_path is not None),
        at=".allowedClients",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with httpPath: HTTP requests reach the pod from the edge, not with the client's "
        "certificate; remove allowedClients, or remove httpPath to make this a TCP endpoint",
    ),
    Rule(
        cel="!(self.?verifyTcpClientCert.orValue(false) && self.?disableTlsTermination.orValue(false))",
        holds=lambda e: not (e.verify_tcp_client_cert and e.disable_tls_termination),
        at=".verifyTcpClientCert",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with disableTlsTermination: TLS ends in the container, so only the container can "
        "check certificates; remove one of the two",
    ),
    Rule(
        cel="!(size(self.?allowedClients.orValue([])) > 0 && self.?disableTlsTermination.orValue(false))",
        holds=lambda e: not (e.allowed_clients and e.disable_tls_termination),
        at=".allowedClients",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with disableTlsTermination: TLS ends in the container, so only the container can "
        "check certificates; remove one of the two",
    ),
    Rule(
        cel="!(self.?createClearTextService.orValue(false) && self.?disableTlsTermination.orValue(false))",
        holds=lambda e: not (e.create_clear_text_service and e.disable_tls_termination),
        at=".createClearTextService",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with disableTlsTermination: the container's port speaks TLS, so there is no clear "
        "text to offer; remove one of the two",
    ),
    Rule(
        cel=f"!self.?createClearTextService.orValue(false) || size(self.name) <= {MAX_LABEL - len(CLEARTEXT_SUFFIX)}",
        holds=lambda e: not e.create_clear_text_service or len(e.name) <= MAX_LABEL - len(CLEARTEXT_SUFFIX),
        at=".name",
        message=f"is too long for createClearTextService: its Service is named <name>{CLEARTEXT_SUFFIX}, so at most "
        f"{MAX_LABEL - len(CLEARTEXT_SUFFIX)} characters are left for the name",
    ),
    Rule(
        cel="!(self.?isMetricsEndpoint.orValue(false) && has(self.httpPath))",
        holds=lambda e: not (e.is_metrics_endpoint and e.http_path is not None),
        at=".httpPath",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with isMetricsEndpoint: a metrics endpoint is reached only from inside the cluster "
        "and gets no route; remove one of the two",
    ),
    Rule(
        cel="!(self.?isMetricsEndpoint.orValue(false) && self.?createDnsRecord.orValue(false))",
        holds=lambda e: not (e.is_metrics_endpoint and e.create_dns_record),
        at=".createDnsRecord",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with isMetricsEndpoint: a metrics endpoint is reached only from inside the cluster "
        "and gets no route; remove one of the two",
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

_SAME_HOSTNAME = "has(o.hostname) == has(e.hostname) && (!has(o.hostname) || o.hostname == e.hostname)"


def _egresses(rule: str) -> str:
    """``rule``, which must hold for the list {egresses}, for both spellings of that field."""
    spellings = ("self.tlsEgresses", "self.egresses")
    return " && ".join(f"(!has({field}) || {rule.format(egresses=field)})" for field in spellings)


def _paths_are_unique(spec: AppSpec) -> bool:
    return _unique([(e.hostname, e.http_path.rstrip("/")) for e in spec.endpoints or () if e.http_path is not None])


def _tcp_hostnames_are_unique(spec: AppSpec) -> bool:
    routed = [e for e in spec.endpoints or () if e.hostname is not None and not e.is_metrics_endpoint]
    uses = Counter(e.hostname for e in routed)
    return all(uses[e.hostname] == 1 for e in routed if e.http_path is None)


def _cleartext_names_are_free(spec: AppSpec) -> bool:
    names = {e.name for e in spec.endpoints or ()}
    return not any(e.create_clear_text_service and e.name + CLEARTEXT_SUFFIX in names for e in spec.endpoints or ())


def _local_ports_are_free(spec: AppSpec) -> bool:
    ports = {e.port for e in spec.endpoints or ()}
    return not any(g.local_port in ports for g in spec.tls_egresses)


def _one_form(spec: AppSpec) -> bool:
    short = (spec.http_url_path, spec.verify_tcp_client_cert, spec.create_dns_record, spec.tls_ca_and_cert_secret_name)
    return spec.endpoints is None or all(value is None for value in short)


APP_SPEC_RULES: tuple[Rule[AppSpec], ...] = (
    Rule(
        cel=f"!has(self.endpoints) || !({' || '.join(f'has(self.{field})' for field in SHORT_FORM)})",
        holds=_one_form,
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
        cel="!has(self.httpUrlPath) || has(self.endpoints) || "
        "(size(self.pod.containers) > 0 && size(self.pod.containers[0].?ports.orValue([])) > 0)",
        holds=lambda s: s.http_url_path is None or s.endpoints is not None or s.first_port is not None,
        at=".httpUrlPath",
        reason=Reason.FORBIDDEN,
        message="is the path of the first container's first port, and that container declares no port: add "
        "pod.containers[0].ports, or remove httpUrlPath",
    ),
    Rule(
        cel="!has(self.jobBackoffLimit) || self.?runAsJob.orValue(false)",
        holds=lambda s: s.job_backoff_limit is None or s.run_as_job,
        at=".jobBackoffLimit",
        reason=Reason.FORBIDDEN,
        message="only a Job has retries: set runAsJob to true, or remove jobBackoffLimit",
    ),
    Rule(
        cel="!has(self.endpoints) || self.endpoints.all(e, self.endpoints.exists_one(o, o.name == e.name))",
        holds=lambda s: _unique([e.name for e in s.endpoints or ()]),
        at=".endpoints",
        message="two endpoints have the same name: give each its own, it is also the name of its Service",
    ),
    Rule(
        cel="!has(self.endpoints) || self.endpoints.all(e, self.endpoints.exists_one(o, o.port == e.port))",
        holds=lambda s: _unique([e.port for e in s.endpoints or ()]),
        at=".endpoints",
        message="two endpoints have the same port: let the container listen on a port for each, or remove one endpoint",
    ),
    Rule(
        # "/a" and "/a/" are the same prefix (Gateway API, PathMatchPathPrefix).
        cel="!has(self.endpoints) || self.endpoints.all(e, !has(e.httpPath) || self.endpoints.exists_one(o, "
        f"has(o.httpPath) && {_SAME_HOSTNAME} && (o.httpPath == e.httpPath || "
        "o.httpPath + '/' == e.httpPath || o.httpPath == e.httpPath + '/')))",
        holds=_paths_are_unique,
        at=".endpoints",
        message='two endpoints have the same httpPath (a "/" at the end makes no difference): give each its own',
    ),
    Rule(
        cel="!has(self.endpoints) || self.endpoints.all(e, !has(e.hostname) || has(e.httpPath) || "
        "e.?isMetricsEndpoint.orValue(false) || self.endpoints.exists_one(o, "
        f"{_SAME_HOSTNAME} && !o.?isMetricsEndpoint.orValue(false)))",
        holds=_tcp_hostnames_are_unique,
        at=".endpoints",
        message="a TCP endpoint shares its hostname with another endpoint, but TLS connections are told apart by "
        "host name only: give each its own hostname",
    ),
    Rule(
        cel="!has(self.endpoints) || self.endpoints.all(e, !e.?createClearTextService.orValue(false) || "
        f"!self.endpoints.exists(o, o.name == e.name + '{CLEARTEXT_SUFFIX}'))",
        holds=_cleartext_names_are_free,
        at=".endpoints",
        message=f"createClearTextService makes a Service named <name>{CLEARTEXT_SUFFIX}, and another endpoint has that "
        "name: rename one of the two",
    ),
    Rule(
        cel="!(has(self.tlsEgresses) && has(self.egresses))",
        holds=lambda _: True,  # two spellings of one field: AppSpec tells them apart before it is a model
        at=".egresses",
        reason=Reason.FORBIDDEN,
        message="is another spelling of tlsEgresses, and both are set: move everything to one of the two",
    ),
    Rule(
        cel=_egresses("{egresses}.all(e, {egresses}.exists_one(o, o.localPort == e.localPort))"),
        holds=lambda s: _unique([e.local_port for e in s.tls_egresses]),
        message="two egresses have the same localPort: give each its own",
    ),
    Rule(
        cel="!has(self.endpoints) || "
        f"({_egresses('{egresses}.all(e, !self.endpoints.exists(o, o.port == e.localPort))')})",
        holds=_local_ports_are_free,
        message="the localPort of an egress is also the port of an endpoint, and both would listen on it in one pod: "
        "choose another localPort",
    ),
)


# -- roots: rules that need metadata.name -----------------------------------------------------------------------------


def _hostnames_are_outside(space: NamedSpace) -> bool:
    fqdn = f"{space.name}.{space.spec.domain_name}"
    return not any(h == fqdn or h.endswith("." + fqdn) for h in space.spec.hostnames)


SPACE_RULES: tuple[Rule[NamedSpace], ...] = (
    Rule(
        cel=OBJECT_NAME.cel("self.metadata.name"),
        holds=lambda space: OBJECT_NAME.matches(space.name),
        at=".metadata.name",
        message=OBJECT_NAME.message,
    ),
    Rule(
        cel=f"size(self.metadata.name) + 1 + size(self.spec.domainName) <= {MAX_DNS_NAME}",
        holds=lambda space: len(space.name) + 1 + len(space.spec.domain_name) <= MAX_DNS_NAME,
        at=".spec.domainName",
        message=f"is too long: the FQDN <name>.<domainName> may have at most {MAX_DNS_NAME} characters",
    ),
    Rule(
        cel="!has(self.spec.hostnames) || self.spec.hostnames.all(h, "
        "h != self.metadata.name + '.' + self.spec.domainName && "
        "!h.endsWith('.' + self.metadata.name + '.' + self.spec.domainName))",
        holds=_hostnames_are_outside,
        at=".spec.hostnames",
        message="holds the Space's own FQDN or a name below it, which the Space has anyway: keep only names outside "
        "<name>.<domainName>",
    ),
)

APP_RULES: tuple[Rule[NamedApp], ...] = (
    Rule(
        cel="has(self.spec.endpoints) || size(self.spec.pod.containers) == 0 || "
        "size(self.spec.pod.containers[0].?ports.orValue([])) == 0 || "
        f"{OBJECT_NAME.cel('self.metadata.name')}",
        holds=lambda app: (
            app.spec.endpoints is not None or app.spec.first_port is None or OBJECT_NAME.matches(app.name)
        ),
        at=".metadata.name",
        message="is also the name of the App's one endpoint and of its Service, so it must be a DNS label that starts "
        "with a letter, such as web-1: rename the App, or list its endpoints",
    ),
)
