"""The facts of a Space, an App or a Secret that other reconciles need, computed once when the object enters its store.

A reconcile decodes its own object completely. It also needs facts of its neighbours (which App has this endpoint name,
the target of an egress) without decoding each of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from decco.api.admission import MAX_LISTENERS
from decco.api.formats import DNS_NAME, HOST_PATTERN
from decco.api.parse import parse_app, parse_space
from decco.api.placement import Placement
from decco.api.types import MAX_HOSTNAMES, MAX_HTTP_HOSTNAMES, AppProtocol, AppSpec, HttpHostname, SpaceSpec
from decco.desired import names, secrets
from decco.desired.endpoints import endpoints_of, reserved_ports
from decco.desired.grants import Record, parse_record, parse_transfers
from decco.desired.http_routes import without_slash
from decco.desired.mesh.meshes import meshes
from decco.desired.mesh_state import parse_mesh_record
from decco.desired.model import SecretFacts, SecretSource, SpaceFacts
from decco.desired.move import parse_move
from decco.desired.outgoing import possible_service
from decco.frozen import frozen
from decco.hostnames import canonical
from decco.objects import (
    ANNOTATION_CA_CHANGED,
    ANNOTATION_HOSTNAMES,
    ANNOTATION_MESH,
    ANNOTATION_MOVE,
    ANNOTATION_PAUSED,
    ANNOTATION_RESTORED,
    ANNOTATION_TRANSFER,
    ANNOTATION_TRANSFERRED,
    Obj,
    annotations_of,
    labels_of,
)


@frozen
class EndpointFacts:
    """An endpoint, for its neighbours. ``hostname`` is None for the default, ``<name>.<FQDN>``."""

    name: str
    hostname: str | None
    service_port: int
    tls: bool
    """Whether it is TCP behind TLS: reachable by SNI and by an egress."""
    dns: bool = False
    """Whether it requests a DNS record."""
    certificate: str | None = None
    """Secret with which decco's sidecar serves it, "" for that of its Space; None if it serves none of it."""
    paths: tuple[str, ...] = ()
    """Of an HTTP endpoint, each without a slash at the end."""
    protocol: AppProtocol | None = None
    own_tls: bool = False
    """Whether the container speaks TLS itself."""


ALL_NAMES = ""


@frozen
class AppFacts:
    """An App, for its neighbours."""

    uid: str
    created: str
    paused: bool
    endpoints: tuple[EndpointFacts, ...]
    identities: frozenset[str]
    """Names that must be unique in the Space: "name:<Service>", "path:<path without a slash at the end>" (at its host
    names), "hostname:<explicit hostname of a TCP endpoint>"."""
    paths: Mapping[str, frozenset[str]]
    """Path without a slash at the end -> the host names at which it is served; ALL_NAMES for all of the Space."""
    secrets: frozenset[str]
    targets: frozenset[tuple[str, str]]
    """(Space, endpoint) of the egresses by endpoint, or by a name that may be one's Service; "" is the App's own
    Space."""
    egresses: bool = False
    """Whether it has any egress."""
    reserved: frozenset[int] = frozenset()
    """Ports of its pods on which those of its sidecar's listeners depend."""
    canary_of: str | None = None
    weight: int = 0
    tls_out: bool = False
    """Whether it has an egress."""
    http: bool = False
    """Whether it has an HTTP endpoint whose container speaks plain text."""
    by_default: bool = False
    """Whether it uses the Space's Secret for TCP endpoints and egresses."""
    placement: Placement | None = None
    plain_clients: frozenset[str] = frozenset()
    """The allowedClients of endpoints with a clear text Service, which a mesh opens to their service accounts."""

    @property
    def creation_order(self) -> tuple[str, str]:
        """Sorts the older first: of two claims to one name, the smaller has it."""
        return self.created, self.uid

    @property
    def client_spaces(self) -> frozenset[str]:
        """The Spaces to which these names may belong, see ``Account``: the second label is the Space's name."""
        labels = (name.split(".") for name in self.plain_clients)
        return frozenset(parts[1] for parts in labels if len(parts) > 2)

    def needs_sidecar(self, space: SpaceSpec) -> bool:
        """Whether its pods have the TLS sidecar, for an egress, a TCP endpoint, or HTTP with encryptHttp."""
        served = [each.certificate for each in self.endpoints if each.certificate is not None]
        tcp = any(own or space.tcp_cert_and_ca_secret_name for own in served)
        return self.tls_out or tcp or (self.http and space.encrypt_http and space.http_cert_secret_name is not None)


def space_facts(obj: Obj) -> SpaceFacts:
    """Raises ValueError with a message if this version does not understand the object."""
    return _space_facts(obj, parse_space(obj))


_UNKNOWN = "unknown"


def claims_of_broken(obj: Obj) -> SpaceFacts | None:
    """The claims of a Space that cannot be understood, as far as they can be read: its names are in use in any case.
    Only for claims: everything except the names has its default.
    """
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return None
    domain, listed, http = spec.get("domainName"), spec.get("hostnames"), spec.get("httpHostnames")
    if not isinstance(domain, str) or not DNS_NAME.matches(canonical(domain)):
        return None
    names = [canonical(name) for name in (listed if isinstance(listed, list) else ()) if isinstance(name, str)]
    hostnames = tuple(dict.fromkeys(name for name in names if DNS_NAME.matches(name)))[:MAX_HOSTNAMES]
    named = [each.get("name") for each in (http if isinstance(http, list) else ()) if isinstance(each, dict)]
    further = dict.fromkeys(canonical(name) for name in named if isinstance(name, str))
    http_hostnames = tuple(
        HttpHostname(name=name, cert_secret_name=_UNKNOWN)
        for name in further
        if HOST_PATTERN.matches(name) and name not in hostnames
    )[:MAX_HTTP_HOSTNAMES]
    left = MAX_LISTENERS - 2 * len(http_hostnames)
    claims = SpaceSpec(domain_name=canonical(domain), hostnames=hostnames[:left], http_hostnames=http_hostnames)
    return _space_facts(obj, claims)


def _space_facts(obj: Obj, spec: SpaceSpec) -> SpaceFacts:
    meta = obj["metadata"]
    return SpaceFacts(
        name=meta["name"],
        uid=meta["uid"],
        generation=meta.get("generation", 0),
        created=meta["creationTimestamp"],
        spec=spec,
        paused=is_paused(obj),
        transfers=parse_transfers(annotations_of(obj).get(ANNOTATION_TRANSFER) or ""),
        move=parse_move(annotations_of(obj).get(ANNOTATION_MOVE) or ""),
    )


def namespace_record(obj: Obj) -> Record:
    annotations = annotations_of(obj)
    return Record(
        parse_record(annotations.get(ANNOTATION_HOSTNAMES) or ""),
        parse_transfers(annotations.get(ANNOTATION_TRANSFERRED) or ""),
        parse_mesh_record(annotations.get(ANNOTATION_MESH) or ""),
        annotations.get(ANNOTATION_RESTORED) or "",
    )


def mesh_membership(namespace: Obj) -> frozenset[str]:
    """The meshes that the pods of a namespace are in, by its labels."""
    return frozenset(name for name, mesh in meshes().items() if mesh.is_member(labels_of(namespace)))


def app_facts(obj: Obj) -> AppFacts:
    """Raises ValueError with a message if this version does not understand the object."""
    meta, spec = obj["metadata"], parse_app(obj)
    listed = endpoints_of(meta["name"], spec)
    endpoints = []
    for endpoint in listed:
        tls = not endpoint.paths and not endpoint.is_metrics_endpoint
        hostname = canonical(endpoint.hostname) if endpoint.hostname else None
        dns = tls and endpoint.create_dns_record
        served = tls and not endpoint.disable_tls_termination
        certificate = (endpoint.cert_and_ca_secret_name or "") if served else None
        endpoints.append(
            EndpointFacts(
                endpoint.name,
                hostname,
                endpoint.tls_listen_port,
                tls=tls,
                dns=dns,
                certificate=certificate,
                paths=tuple(without_slash(each.path) for each in endpoint.paths),
                protocol=endpoint.app_protocol,
                own_tls=endpoint.disable_tls_termination,
            )
        )
    identities = {f"name:{service}" for service in names.app_services(meta["name"], spec, listed)}
    # An HTTP endpoint is served at the FQDN, whatever hostname it names: that hostname stays free for others.
    identities |= {f"hostname:{endpoint.hostname}" for endpoint in endpoints if endpoint.tls and endpoint.hostname}
    paths: dict[str, frozenset[str]] = {}
    for endpoint in listed:
        at = frozenset(map(canonical, endpoint.http_hostnames)) or frozenset({ALL_NAMES})
        for each in endpoint.paths:
            prefix = without_slash(each.path)
            paths[prefix] = paths.get(prefix, frozenset()) | at
    if spec.canary_of is None:  # a canary shares the paths of the other App
        identities |= {f"path:{prefix}" for prefix in paths}
    named = {endpoint.cert_and_ca_secret_name for endpoint in listed}
    named |= {egress.cert_and_ca_secret_name for egress in spec.tls_egresses}
    return AppFacts(
        uid=meta["uid"],
        created=meta["creationTimestamp"],
        paused=is_paused(obj),
        endpoints=tuple(endpoints),
        identities=frozenset(identities),
        paths=paths,
        secrets=frozenset(secret for secret in named if secret),
        targets=frozenset(_targets(spec)),
        egresses=bool(spec.tls_egresses),
        reserved=reserved_ports(spec, listed),
        canary_of=spec.canary_of,
        weight=spec.weight or 0,
        placement=spec.placement,
        tls_out=bool(spec.tls_egresses),
        by_default=any(each.certificate == "" for each in endpoints)
        or any(egress.cert_and_ca_secret_name is None for egress in spec.tls_egresses),
        plain_clients=frozenset(
            name for each in listed if each.create_clear_text_service for name in each.allowed_clients
        ),
        http=any(each.http_path is not None and not each.disable_tls_termination for each in listed),
    )


def _targets(spec: AppSpec) -> Iterator[tuple[str, str]]:
    for egress in spec.tls_egresses:
        if egress.endpoint is not None:
            yield egress.space_name or "", egress.endpoint
        elif egress.fqdn is not None and (service := possible_service(egress.fqdn)) is not None:
            yield service[1], service[0]


def is_paused(obj: Obj) -> bool:
    """Whether this Space or App is paused by its annotation."""
    return annotations_of(obj).get(ANNOTATION_PAUSED) == "true"


MAX_INSPECTED = 10_000
_inspected: OrderedDict[str, SecretFacts] = OrderedDict()
"""By the digest of the content, the latest last. A Secret and its copies in a thousand Spaces are inspected once."""


def secret_facts(obj: Obj) -> SecretFacts:
    from decco.desired.secret_content import digest, inspect  # late: it imports cryptography

    kind, data = obj.get("type", ""), obj.get("data") or {}
    content = digest(kind, data)
    facts = _inspected.pop(content, None) or inspect(kind, data)
    _inspected[content] = facts
    if len(_inspected) > MAX_INSPECTED:
        _inspected.popitem(last=False)
    changed = annotations_of(obj).get(ANNOTATION_CA_CHANGED)
    return replace(facts, ca_changed=changed) if changed else facts


@frozen
class SharedSecret:
    """A Secret whose owner allows decco to copy it, and whether its content is usable."""

    source: SecretSource
    facts: SecretFacts


def shared_secret(obj: Obj) -> SharedSecret:
    source, facts = secrets.source_from(obj), secret_facts(obj)
    refusal = secrets.refusal_of(source.type)
    return SharedSecret(source, replace(facts, refusal=refusal) if refusal is not None else facts)
