"""The ``appProtocol`` of Services, by which edges and meshes select what they speak to a pod.

Values of Kubernetes (KEP-3726) and names of IANA. There is none for HTTP/2 by TLS: ``kubernetes.io/h2c`` also stands
for HTTP/2 to a pod that speaks TLS, where the edge learns of the TLS otherwise (BackendTLSPolicy). Edges that go by the
name then speak HTTP/2 without negotiating it by ALPN, which the sidecar does not offer.
"""

from __future__ import annotations

from decco.api.types import AppProtocol
from decco.desired.endpoints import ResolvedEndpoint

HTTP2 = frozenset({AppProtocol.H2C, AppProtocol.GRPC})
"""What goes over HTTP/2 only."""
_PLAIN = {
    AppProtocol.HTTP: "http",
    AppProtocol.H2C: "kubernetes.io/h2c",
    AppProtocol.GRPC: "kubernetes.io/h2c",
    AppProtocol.WEBSOCKET: "kubernetes.io/ws",
    AppProtocol.TCP: "tcp",
}
_TLS = {**_PLAIN, AppProtocol.HTTP: "https", AppProtocol.WEBSOCKET: "kubernetes.io/wss"}


def service_protocol(endpoint: ResolvedEndpoint) -> dict[str, str]:
    """``appProtocol`` for a port of the endpoint's Service; nothing if the App does not say what it speaks."""
    return _port(endpoint, _TLS if endpoint.backend_tls else _PLAIN)


def clear_text_protocol(endpoint: ResolvedEndpoint) -> dict[str, str]:
    """The same for its clear text Service, which leads straight to the container."""
    return _port(endpoint, _PLAIN)


def _port(endpoint: ResolvedEndpoint, names: dict[AppProtocol, str]) -> dict[str, str]:
    return {"appProtocol": names[endpoint.protocol]} if endpoint.protocol is not None else {}


def speaks_http2(endpoint: ResolvedEndpoint) -> bool:
    return endpoint.protocol in HTTP2
