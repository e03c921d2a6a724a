"""The dialect ``nginx``: ingress-nginx (kubernetes.github.io/ingress-nginx), started with ``--enable-ssl-passthrough``.

As soon as one Ingress of a host rewrites, ingress-nginx reads the paths of *all* Ingresses of that host as regular
expressions. So that an App's path does not change its meaning when another App begins to rewrite, each is written as a
regular expression from the start, escaped, and ending at the border of a segment. Where two match, ingress-nginx takes
the longer one, which among nested prefixes is the deeper. Regular expressions ignore case there: ``/Web`` is served as
``/web``.

The project was retired in 2026. Read from the source of v1.15, proven by golden files only.
"""

from __future__ import annotations

import re

from decco.desired.endpoints import ResolvedEndpoint
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, Child
from decco.desired.routing.common import ServiceTraits, may_have_ca
from decco.desired.routing.dialect import (
    OTHER,
    Annotations,
    IngressOnly,
    IngressPath,
    backend_of,
    http_ingress,
    passthrough_ingress,
    unsupported,
)
from decco.desired.routing.rewriting import below, rewriting

_OWN = "nginx.ingress.kubernetes.io"
BACKEND_PROTOCOL = f"{_OWN}/backend-protocol"
FORCE_SSL_REDIRECT = f"{_OWN}/force-ssl-redirect"
PROXY_SSL_NAME = f"{_OWN}/proxy-ssl-name"
PROXY_SSL_PROTOCOLS = f"{_OWN}/proxy-ssl-protocols"
PROXY_SSL_SECRET = f"{_OWN}/proxy-ssl-secret"
PROXY_SSL_SERVER_NAME = f"{_OWN}/proxy-ssl-server-name"
PROXY_SSL_VERIFY = f"{_OWN}/proxy-ssl-verify"
PROXY_SSL_VERIFY_DEPTH = f"{_OWN}/proxy-ssl-verify-depth"
REWRITE_TARGET = f"{_OWN}/rewrite-target"
SSL_PASSTHROUGH = f"{_OWN}/ssl-passthrough"
USE_REGEX = f"{_OWN}/use-regex"

_REWRITABLE = re.compile(r"[-A-Za-z0-9/._~:]*")
"""What the controller accepts in rewrite-target (RegexPathWithCapture); anything else makes it drop the whole path."""
VERIFY_DEPTH = "4"
"""Certificates between the pod's and the authority; nginx' own 1 refuses a chain with two intermediates."""


class Nginx(IngressOnly):
    """See ``Dialect``."""

    ingress_annotations = (
        BACKEND_PROTOCOL,
        FORCE_SSL_REDIRECT,
        PROXY_SSL_NAME,
        PROXY_SSL_PROTOCOLS,
        PROXY_SSL_SECRET,
        PROXY_SSL_SERVER_NAME,
        PROXY_SSL_VERIFY,
        PROXY_SSL_VERIFY_DEPTH,
        REWRITE_TARGET,
        SSL_PASSTHROUGH,
        USE_REGEX,
    )
    service_annotations: tuple[str, ...] = ()

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Finding:
        if "%" in endpoint.prefix:
            return unsupported(endpoint, "nginx compares paths after decoding them; choose an httpPath without %")
        annotations: Annotations = {FORCE_SSL_REDIRECT: "true", USE_REGEX: "true"}
        pattern = below(endpoint.prefix)
        if endpoint.rewrite is not None:
            if _REWRITABLE.fullmatch(endpoint.rewrite) is None:
                return unsupported(
                    endpoint,
                    "ingress-nginx takes only letters, digits and / - . _ ~ : in a rewritten path; change rewritePath",
                )
            found = rewriting(endpoint.prefix, endpoint.rewrite)
            pattern, annotations[REWRITE_TARGET] = found.pattern, f"{found.before}$1"
        if endpoint.backend_tls:
            secret = inputs.space.spec.http_cert_secret_name
            if secret is None or not may_have_ca(inputs):
                return unsupported(
                    endpoint, "nginx verifies pods by the ca.crt of the Space's httpCertSecretName only; add it there"
                )
            annotations |= {
                BACKEND_PROTOCOL: "HTTPS",
                PROXY_SSL_NAME: inputs.space.fqdn,
                PROXY_SSL_PROTOCOLS: "TLSv1.2 TLSv1.3",
                PROXY_SSL_SECRET: f"{inputs.space.name}/{secret}",
                PROXY_SSL_SERVER_NAME: "on",
                PROXY_SSL_VERIFY: "on",
                PROXY_SSL_VERIFY_DEPTH: VERIFY_DEPTH,
            }
        path = IngressPath(pattern, OTHER)
        return [http_ingress(inputs, endpoint.name, [path], backend_of(endpoint), annotations)]

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Finding:
        # Without the redirect nginx would answer at port 80 too, and carry plain text from there to the pod.
        return [passthrough_ingress(inputs, endpoint, {FORCE_SSL_REDIRECT: "true", SSL_PASSTHROUGH: "true"})]

    def service_traits(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
        return ServiceTraits(endpoint.service_port_name)
