"""The dialect ``haproxy``: HAProxy Ingress (haproxy-ingress.github.io).

Of the two ingress controllers for HAProxy this is the one that rewrites a *prefix* as such, without a regular
expression in an annotation, and that verifies a pod's certificate against a Secret and a name. The other one
(haproxy.org) is not served by this dialect. Written for v0.13 and later, where passthrough hosts may have paths; read
from its documentation and source, proven by golden files only.
"""

from __future__ import annotations

from decco.desired.endpoints import ResolvedEndpoint
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, Child
from decco.desired.routing.common import ServiceTraits, may_have_ca
from decco.desired.routing.dialect import (
    Annotations,
    IngressOnly,
    IngressPath,
    backend_of,
    http_ingress,
    passthrough_ingress,
    unsupported,
)

_OWN = "haproxy-ingress.github.io"
BACKEND_PROTOCOL = f"{_OWN}/backend-protocol"
REWRITE_TARGET = f"{_OWN}/rewrite-target"
SECURE_SNI = f"{_OWN}/secure-sni"
SECURE_VERIFY_CA = f"{_OWN}/secure-verify-ca-secret"
SSL_PASSTHROUGH = f"{_OWN}/ssl-passthrough"
SSL_REDIRECT = f"{_OWN}/ssl-redirect"


class Haproxy(IngressOnly):
    """See ``Dialect``."""

    ingress_annotations = (
        BACKEND_PROTOCOL,
        REWRITE_TARGET,
        SECURE_SNI,
        SECURE_VERIFY_CA,
        SSL_PASSTHROUGH,
        SSL_REDIRECT,
    )
    service_annotations: tuple[str, ...] = ()

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Finding:
        annotations: Annotations = {SSL_REDIRECT: "true"}
        if endpoint.rewrite is not None:
            if "%" in endpoint.rewrite:
                # HAProxy's http-request replace-path reads it as a log format, and then rejects the whole file.
                return unsupported(endpoint, "HAProxy cannot write a % in a rewritten path; choose another rewritePath")
            annotations[REWRITE_TARGET] = endpoint.rewrite
        if endpoint.backend_tls:
            secret = inputs.space.spec.http_cert_secret_name
            if secret is None or not may_have_ca(inputs):
                return unsupported(
                    endpoint, "HAProxy verifies pods by the ca.crt of the Space's httpCertSecretName only; add it there"
                )
            # The name is sent as SNI, and the certificate is verified for it.
            annotations |= {BACKEND_PROTOCOL: "h1-ssl", SECURE_SNI: inputs.space.fqdn, SECURE_VERIFY_CA: secret}
        return [http_ingress(inputs, endpoint.name, [IngressPath(endpoint.prefix)], backend_of(endpoint), annotations)]

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Finding:
        return [passthrough_ingress(inputs, endpoint, {SSL_PASSTHROUGH: "true", SSL_REDIRECT: "true"})]

    def service_traits(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
        return ServiceTraits(endpoint.service_port_name)
