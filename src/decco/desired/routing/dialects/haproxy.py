"""HAProxy Ingress (haproxy-ingress.github.io).

Of the two ingress controllers for HAProxy this is the one that rewrites a *prefix* as such, without a regular
expression in an annotation, and that verifies a pod's certificate against a Secret and a name. The other one
(haproxy.org) is not served by this dialect. Written for v0.13 and later, where passthrough hosts may have paths; read
from its documentation and source, proven by golden files only.

It names backends ``<namespace>_<service>_<port>`` and files of certificates ``<namespace>_<secret>``. No name of an
object has an underscore, so these cannot collide.
"""

from __future__ import annotations

from decco.desired.endpoints import ResolvedEndpoint
from decco.desired.model import AppInputs, Child, Problem
from decco.desired.protocols import speaks_http2
from decco.desired.routing.dialect import (
    PREFIX,
    Dialect,
    backend_of,
    http_ingress,
    passthrough_ingress,
    unsupported,
    verifying_secret,
)
from decco.desired.timeouts import IDLE, idle_seconds


class Haproxy(Dialect):
    prefix = "haproxy-ingress.github.io"
    ingress_annotations = (
        "backend-protocol",
        "rewrite-target",
        "secure-sni",
        "secure-verify-ca-secret",
        "ssl-passthrough",
        "ssl-redirect",
        "timeout-server",
        "timeout-tunnel",
    )
    timeouts = frozenset({IDLE})

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        annotations = {"ssl-redirect": "true"}
        if speaks_http2(endpoint):
            annotations["backend-protocol"] = "h2"
        if (seconds := idle_seconds(endpoint)) is not None:
            # The second one is for connections that were upgraded (WebSocket).
            annotations |= {"timeout-server": f"{seconds}s", "timeout-tunnel": f"{seconds}s"}
        if endpoint.rewrite is not None:
            if "%" in endpoint.rewrite:
                # HAProxy's http-request replace-path reads it as a log format, and then rejects the whole file.
                return unsupported(endpoint, "HAProxy cannot write a % in a rewritten path; choose another rewritePath")
            annotations["rewrite-target"] = endpoint.rewrite
        if endpoint.backend_tls:
            secret = verifying_secret(inputs, endpoint, "HAProxy")
            if isinstance(secret, Problem):
                return secret
            # The name is sent as SNI, and the certificate is verified for it.
            annotations |= {
                "backend-protocol": "h2-ssl" if speaks_http2(endpoint) else "h1-ssl",
                "secure-sni": inputs.space.fqdn,
                "secure-verify-ca-secret": secret,
            }
        paths, backend = {endpoint.prefix: PREFIX}, backend_of(endpoint)
        return [http_ingress(inputs, endpoint.name, paths, backend, self.named(annotations))]

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        annotations = self.named({"ssl-passthrough": "true", "ssl-redirect": "true"})
        return [passthrough_ingress(inputs, endpoint, backend_of(endpoint), annotations)]


DIALECT = Haproxy()
