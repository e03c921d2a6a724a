"""Rules about how an endpoint's traffic is carried: the protocol of its container, and timeouts.

Apart from ``admission.py``, which includes them, because they are about one topic and grow with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from decco.api.rules import Reason, Rule

if TYPE_CHECKING:
    from decco.api.types import Endpoint

IS_HTTP = "(has(self.httpPath) || has(self.httpPaths))"
_TCP = "self.?appProtocol.orValue('') == 'tcp'"
_METRICS = "self.?isMetricsEndpoint.orValue(false)"

TIMEOUT_RULES: tuple[Rule[Endpoint], ...] = (
    Rule(
        cel=f"!has(self.timeouts) || !has(self.timeouts.request) || {IS_HTTP}",
        holds=lambda e: e.timeouts is None or e.timeouts.request is None or bool(e.paths),
        at=".timeouts.request",
        reason=Reason.FORBIDDEN,
        message="limits HTTP requests, and there is no httpPath: set httpPath, or remove it (a TCP endpoint has idle)",
    ),
    Rule(
        cel=f"!has(self.timeouts) || !{_METRICS}",
        holds=lambda e: e.timeouts is None or not e.is_metrics_endpoint,
        at=".timeouts",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with isMetricsEndpoint: nothing of decco is between monitoring and the container; "
        "remove one of the two",
    ),
    Rule(
        cel=f"!has(self.timeouts) || !has(self.timeouts.idle) || {IS_HTTP} || "
        "!self.?disableTlsTermination.orValue(false)",
        holds=lambda e: e.timeouts is None or e.timeouts.idle is None or bool(e.paths) or not e.disable_tls_termination,
        at=".timeouts.idle",
        reason=Reason.FORBIDDEN,
        message="of a TCP endpoint is kept by the TLS sidecar, and disableTlsTermination leaves that out: remove one "
        "of the two, and let the container end idle connections",
    ),
)

PROTOCOL_RULES: tuple[Rule[Endpoint], ...] = (
    Rule(
        cel=f"!({_TCP} && {IS_HTTP})",
        holds=lambda e: e.app_protocol != "tcp" or not e.paths,
        at=".appProtocol",
        reason=Reason.FORBIDDEN,
        message="is tcp, which has no paths, and there is an httpPath: choose http, h2c, grpc or websocket, or remove "
        "httpPath",
    ),
    Rule(
        cel=f"!has(self.appProtocol) || {_TCP} || {IS_HTTP} || {_METRICS}",
        holds=lambda e: e.app_protocol in (None, "tcp") or bool(e.paths) or e.is_metrics_endpoint,
        at=".appProtocol",
        reason=Reason.FORBIDDEN,
        message="is what the edge speaks to the pod by path, and there is no httpPath: set httpPath, or choose tcp (a "
        "client of a TCP endpoint speaks to the pod itself, whatever this says)",
    ),
    Rule(
        cel=f"!has(self.appProtocol) || !{_METRICS} || self.appProtocol == 'http'",
        holds=lambda e: e.app_protocol in (None, "http") or not e.is_metrics_endpoint,
        at=".appProtocol",
        reason=Reason.FORBIDDEN,
        message="must be http or absent with isMetricsEndpoint: metrics are read by HTTP/1.1",
    ),
    Rule(
        cel="!(self.?appProtocol.orValue('') == 'grpc' && has(self.probePath))",
        holds=lambda e: e.app_protocol != "grpc" or e.probe_path is None,
        at=".probePath",
        reason=Reason.FORBIDDEN,
        message="cannot be combined with appProtocol grpc: a gRPC server answers no GET request; remove probePath",
    ),
)
