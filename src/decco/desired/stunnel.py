"""The text of stunnel's configuration: one section for each listener, in and out.

The values come from tenants, and a line of this text decides which peers a pod trusts. So each value must match its
form (``decco.api.formats``) as a whole before it is put into a line. None of these forms allows a blank, a quotation
mark, a semicolon, a ``[`` or the end of a line. Admission and parsing check the same forms; this check does not rely on
them.

The options are stunnel's (stunnel(8), 5.68). The entry point of the image (``images/stunnel``) reads this text first:

* an ``accept`` of ``:::<port>`` means all addresses of the pod, of both families where the node has both;
* a section at 127.0.0.1 is served at ::1 as well, in a pod that has that address;
* after ``connect = ::1:<port>`` of an endpoint the pod's own addresses are tried;
* ``checkHost`` means a DNS name of the certificate, for a client exactly that name.
"""

from __future__ import annotations

from collections.abc import Iterable

from decco.api.formats import DNS_NAME, OBJECT_NAME, SUBDOMAIN
from decco.api.rules import Format
from decco.desired import reasons
from decco.desired.egress import ResolvedEgress
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint, TlsServer
from decco.desired.model import Problem
from decco.desired.timeouts import whole_seconds
from decco.text import shown

SECRETS_DIR = "/etc/decco/tls"
"""Each Secret is a directory below, named as the Secret."""
SYSTEM_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
"""The system's authorities, in the sidecar's image."""

GLOBAL = (
    "foreground = yes",
    "syslog = no",
    "pid =",
    "debug = notice",
)
DEFAULTS = (
    "sslVersionMin = TLSv1.2",
    # TLS 1.2 allows a client to renegotiate without limit (CVE-2011-1473).
    "renegotiation = no",
)
NOWHERE = "unresolved.invalid.:443"
"""A name that never exists (RFC 6761). The trailing dot excludes the pod's search domains, in which it could exist."""


class _UnsafeError(ValueError):
    """A value does not have the required form."""


def config(servers: Iterable[ResolvedEndpoint], egresses: Iterable[ResolvedEgress]) -> tuple[str, tuple[Problem, ...]]:
    """The text of ``stunnel.conf``. A section with an invalid value is left out and reported."""
    sections = ["\n".join((*GLOBAL, "", *DEFAULTS))]
    problems: list[Problem] = []
    for endpoint in servers:
        try:
            sections.append(_server_section(endpoint))
        except _UnsafeError as error:
            message = f"endpoint {shown(endpoint.name)} is not served: {error}"
            problems.append(Problem(reasons.INVALID, message))
    for egress in egresses:
        try:
            sections.append(_egress_section(egress))
        except _UnsafeError as error:
            message = f"the egress at local port {egress.local_port} is left out: {error}"
            problems.append(Problem(reasons.INVALID, message))
    return "\n\n".join(sections) + "\n", tuple(problems)


def _server_section(endpoint: ResolvedEndpoint) -> str:
    tls = endpoint.tls
    assert tls is not None, "an endpoint without a listener has no section"
    port = _port(endpoint.container_port)
    lines = [
        f"[{_checked(endpoint.name, OBJECT_NAME)}]",
        f"accept = :::{_port(tls.port)}",
        # An application may listen on either loopback address; they are tried in this order.
        f"connect = 127.0.0.1:{port}",
        f"connect = ::1:{port}",
        f"cert = {_file(tls.secret, 'tls.crt')}",
        f"key = {_file(tls.secret, 'tls.key')}",
        *_client_checks(tls),
        *_idle(endpoint),
    ]
    return "\n".join(lines)


def _idle(endpoint: ResolvedEndpoint) -> list[str]:
    """Of a TCP endpoint; in front of an HTTP endpoint the edge limits it."""
    idle = endpoint.timeouts.idle if endpoint.timeouts is not None else None
    if idle is None or endpoint.kind is not EndpointKind.TCP:
        return []
    return [f"TIMEOUTidle = {whole_seconds(idle)}"]


def _client_checks(tls: TlsServer) -> list[str]:
    if not tls.verify_client:
        return []
    return [
        f"CAfile = {_file(tls.secret, 'ca.crt')}",
        "requireCert = yes",
        "verifyChain = yes",
        # Several lines mean any of these names.
        *(f"checkHost = {_checked(name, DNS_NAME)}" for name in tls.allowed_clients),
    ]


def _egress_section(egress: ResolvedEgress) -> str:
    # The colon keeps these names apart from those of endpoints.
    lines = [
        f"[localhost:{_port(egress.local_port)}]",
        "client = yes",
        f"accept = 127.0.0.1:{_port(egress.local_port)}",
    ]
    if egress.target is None:
        lines.append(f"connect = {NOWHERE}")
    else:
        # The dot of an absolute name is for the resolver alone: certificates and SNI (RFC 6066) have none.
        _checked(egress.target.host.removesuffix("."), DNS_NAME)
        name = _checked(egress.target.hostname, DNS_NAME)
        lines += [f"connect = {egress.target.host}:{_port(egress.target.port)}", f"sni = {name}"]
    # Resolves the address for each connection: it may change while the pod runs.
    lines.append("delay = yes")
    if egress.secret is not None:
        lines += [f"cert = {_file(egress.secret, 'tls.crt')}", f"key = {_file(egress.secret, 'tls.key')}"]
    if egress.verify:
        system = egress.secret is None or egress.system_ca
        lines += [f"CAfile = {SYSTEM_CA_FILE if system else _file(egress.secret or '', 'ca.crt')}", "verifyChain = yes"]
        if egress.target is not None:
            lines.append(f"checkHost = {_checked(egress.target.hostname, DNS_NAME)}")
    return "\n".join(lines)


def _file(secret: str, key: str) -> str:
    return f"{SECRETS_DIR}/{_checked(secret, SUBDOMAIN)}/{key}"


def _port(port: int) -> int:
    if not 1 <= port <= 65535:
        raise _UnsafeError(f"{port} is not a port")
    return port


def _checked(value: str, form: Format) -> str:
    if not form.matches(value):
        raise _UnsafeError(f"{shown(value)} {form.message}")
    return value
