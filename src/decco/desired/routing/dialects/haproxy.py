"""HAProxy Ingress (haproxy-ingress.github.io).

Of the two ingress controllers for HAProxy this is the one that rewrites a *prefix* as such, without a regular
expression in an annotation, and that verifies a pod's certificate against a Secret and a name. The other one
(haproxy.org) is not served by this dialect. Written for v0.13 and later, where passthrough hosts may have paths; read
from its documentation and source, proven by golden files only.

It names backends ``<namespace>_<service>_<port>`` and files of certificates ``<namespace>_<secret>``. No name of an
object has an underscore, so these cannot collide.
"""

from __future__ import annotations

from collections.abc import Mapping

from decco.api.limits import Limits
from decco.desired.edge_keys import OPENSSL_KEYS
from decco.desired.endpoints import ResolvedEndpoint
from decco.desired.http_routes import ResolvedPath
from decco.desired.limits import CLIENT_CIDRS, REQUEST_BODY, limits_of, short_size
from decco.desired.limits import IDLE as LONGEST_IDLE
from decco.desired.model import AppInputs, Child, Problem, SpaceFacts
from decco.desired.protocols import speaks_http2
from decco.desired.routing.dialect import (
    PREFIX,
    Dialect,
    backend_of,
    http_ingress,
    passthrough_ingress,
    path_ingress_name,
    unsupported,
    verifying_secret,
)
from decco.desired.timeouts import IDLE, idle_seconds


class Haproxy(Dialect):
    prefix = "haproxy-ingress.github.io"
    controller = "haproxy-ingress.github.io/controller"
    keys = OPENSSL_KEYS
    ingress_annotations = (
        "backend-protocol",
        "rewrite-target",
        "secure-sni",
        "secure-verify-ca-secret",
        "ssl-passthrough",
        "ssl-redirect",
    )
    optional = ("allowlist-source-range", "proxy-body-size", "timeout-server", "timeout-tunnel")
    timeouts = frozenset({IDLE})
    # Its limit-rps and limit-connections count connections of one client, which are other limits than decco's.
    limits = frozenset({CLIENT_CIDRS, REQUEST_BODY, LONGEST_IDLE})
    limits_passthrough = True

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        if any("%" in (path.rewrite or "") for path in endpoint.paths):
            # HAProxy's http-request replace-path reads it as a log format, and then rejects the whole file.
            return unsupported(endpoint, "HAProxy cannot write a % in a rewritten path; choose another rewritePath")
        annotations = {"ssl-redirect": "true", **_limits(inputs.space)}
        if speaks_http2(endpoint):
            annotations["backend-protocol"] = "h2"
        if (seconds := idle_seconds(endpoint, inputs.space)) is not None:
            # The second one is for connections that were upgraded (WebSocket).
            annotations |= {"timeout-server": f"{seconds}s", "timeout-tunnel": f"{seconds}s"}
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
        return [self._ingress(inputs, endpoint, path, annotations) for path in endpoint.paths]

    def _ingress(
        self, inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath, annotations: Mapping[str, str]
    ) -> Child:
        rewritten = {} if path.rewrite is None else {"rewrite-target": path.rewrite}
        name, paths = path_ingress_name(inputs, endpoint, path), {path.prefix: PREFIX}
        named = self.named({**annotations, **rewritten})
        return http_ingress(inputs, name, endpoint.http_names, paths, backend_of(endpoint), named)

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        # In front of TLS passthrough it limits the clients in TCP mode.
        limits = _clients(limits_of(inputs.space))
        annotations = self.named({"ssl-passthrough": "true", "ssl-redirect": "true", **limits})
        return [passthrough_ingress(inputs, endpoint, backend_of(endpoint), annotations)]


def _limits(space: SpaceFacts) -> dict[str, str]:
    limits = limits_of(space)
    body = {"proxy-body-size": short_size(limits.request_body)} if limits.request_body is not None else {}
    return {**_clients(limits), **body}


def _clients(limits: Limits) -> dict[str, str]:
    return {"allowlist-source-range": ",".join(sorted(limits.client_cidrs))} if limits.client_cidrs else {}


DIALECT = Haproxy()
