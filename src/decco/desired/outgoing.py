"""Where the pods of a Space with ``egressPolicy: Declared`` may connect to, as rules of its NetworkPolicies.

The policy of the Space has what all its pods may reach: DNS, one another, ``egressCidrs``. The policy of an App adds
the targets of its own ``tlsEgresses``. Policies see pods behind Services, so an endpoint is the pods of its App and the
number of their port; a host name is the addresses that ``inputs.addresses`` has for it.

A policy with rules for egress closes its pods to all other targets. So the policy of the Space passes through a phase
that permits everything, in both directions of a switch, while the policies of its Apps change
(docs/design/2026-11-30-egress-by-declaration.md).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from decco.api.egress import EgressPolicy
from decco.api.formats import DNS_NAME
from decco.api.types import AppSpec, Egress
from decco.desired import names, reasons
from decco.desired.address_rules import address_order, canonical_address, refusal
from decco.desired.egress import host_aliases
from decco.desired.mesh.meshes import meshes
from decco.desired.model import AppInputs, EgressPhase, EgressTarget, NamedAddresses, Problem, SpaceFacts
from decco.desired.peers import block, edge_peers, namespaces
from decco.forms import parse_pods
from decco.frozen import frozen
from decco.hostnames import canonical, in_zone
from decco.objects import ANNOTATION_EGRESS_ADDRESSES, LABEL_NAMESPACE_NAME, Obj
from decco.settings import Settings
from decco.text import abbreviated

_SHOWN = 3
"""Addresses that a message contains."""


# -- phases -----------------------------------------------------------------------------------------------------------


def phase_of(policy: Obj) -> EgressPhase:
    """What a live NetworkPolicy says of egress."""
    spec = policy.get("spec") or {}
    if "Egress" not in (spec.get("policyTypes") or ()):
        return EgressPhase.UNLIMITED
    return EgressPhase.PASSING if {} in (spec.get("egress") or ()) else EgressPhase.DECLARED


def space_phase(policy: EgressPolicy, live: EgressPhase | None, *, apps_limited: bool, apps_ready: bool) -> EgressPhase:
    """The phase that the policy of a Space is to have. ``live`` is that of the live one, None if there is none;
    ``apps_limited``: whether an App's policy has rules for egress; ``apps_ready``: whether all that need some have
    them, or time is up.
    """
    if policy is EgressPolicy.OPEN:
        return EgressPhase.PASSING if apps_limited else EgressPhase.UNLIMITED
    if live in (None, EgressPhase.DECLARED) or apps_ready:
        return EgressPhase.DECLARED
    return EgressPhase.PASSING


# -- Space ------------------------------------------------------------------------------------------------------------


def space_rules(space: SpaceFacts, phase: EgressPhase, settings: Settings) -> list[Obj]:
    """The egress rules of the Space's policy in this phase."""
    if phase is EgressPhase.PASSING:
        return [{}]
    dns = settings.egress
    peers = [_pods(namespace, {label: value}) for namespace, label, value in map(parse_pods, dns.dns_pods)]
    peers += [block(cidr) for cidr in dns.dns_addresses]
    ports = [{"protocol": protocol, "port": port} for port in dns.dns_ports for protocol in ("UDP", "TCP")]
    rules: list[Obj] = [{"to": [{"podSelector": {}}]}]
    if peers and ports:  # without either a rule means "all"
        rules.append({"to": peers, "ports": ports})
    for each in sorted(space.spec.egress_cidrs, key=lambda listed: listed.cidr):
        rule: Obj = {"to": [block(each.cidr)]}
        listed = [
            {"protocol": port.protocol.value, "port": port.port}
            | ({"endPort": port.end_port} if port.end_port not in (None, port.port) else {})
            for port in each.ports
        ]
        rules.append({**rule, "ports": listed} if listed else rule)
    return rules


# -- names ------------------------------------------------------------------------------------------------------------


def service_of(fqdn: str, settings: Settings) -> tuple[str, str] | None:
    """(Service, namespace) of a name in the cluster's DNS; ("", "") for another name there; None outside of it."""
    name = canonical(fqdn)
    domain = canonical(settings.services_domain)
    inside = in_zone(name, domain)
    relative = name.removesuffix(f".{domain}") if inside else name
    labels = relative.split(".")
    if len(labels) == 3 and labels[2] == "svc":
        return labels[0], labels[1]
    return ("", "") if inside or labels[-1] == "svc" else None


def possible_service(fqdn: str) -> tuple[str, str] | None:
    """As ``service_of`` without settings: (Service, namespace) of a name that may be one in the cluster's DNS."""
    labels = canonical(fqdn).split(".")
    return (labels[0], labels[1]) if len(labels) >= 3 and labels[2] == "svc" else None


def names_of(spec: AppSpec, settings: Settings) -> frozenset[str]:
    """The host names whose addresses the rules of an App need."""
    aliases = _hosts_file(spec.pod)
    listed = {canonical(egress.fqdn) for egress in spec.tls_egresses if egress.fqdn is not None}
    return frozenset(
        name for name in listed if name not in aliases and "." in name and service_of(name, settings) is None
    )


def _hosts_file(pod: Obj) -> dict[str, tuple[str, ...]]:
    """Name -> addresses in the pod's hosts file, which count instead of DNS."""
    found: dict[str, tuple[str, ...]] = {"localhost": ()}
    for name, text in host_aliases(pod):
        if (address := canonical_address(text)) is not None:
            found[name] = (*found.get(name, ()), address)
    return found


def record_text(known: Mapping[str, Iterable[str]]) -> str:
    """The annotation of the App's policy: ``<name>=<address> <address>``, separated by semicolons."""
    return ";".join(f"{name}={' '.join(addresses)}" for name, addresses in sorted(known.items()) if addresses)


def parse_record(text: str) -> dict[str, tuple[str, ...]]:
    """The annotation; what is not a name and addresses is left out."""
    found = {}
    for entry in text.split(";"):
        name, _, listed = entry.partition("=")
        addresses = tuple(filter(None, map(canonical_address, listed.split())))
        if addresses and DNS_NAME.matches(name):
            found[name] = addresses
    return found


# -- App --------------------------------------------------------------------------------------------------------------


@frozen
class Outgoing:
    """The egress of one App; ``rules`` None: its policy says nothing of egress."""

    rules: list[Obj] | None = None
    record: str = ""
    """Value of the annotation egress-addresses."""
    problems: tuple[Problem, ...] | None = None
    """Targets that are not permitted as declared; None if the egress of the Space is not limited."""


@dataclass(slots=True)
class _Rules:
    """Collects the rules of one App."""

    blocks: dict[int, set[str]] = field(default_factory=dict)
    """Port -> addresses."""
    pods: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """(Space, App) -> ports."""
    edge: bool = False
    record: dict[str, list[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def outgoing(inputs: AppInputs, local_ports: Collection[int]) -> Outgoing:
    """The egress of an App; ``local_ports`` are those of the egresses that the sidecar has."""
    declared = inputs.space.spec.egress_policy is EgressPolicy.DECLARED
    egresses = [each for each in inputs.spec.tls_egresses if each.local_port in local_ports]
    if not egresses or (inputs.egress is EgressPhase.UNLIMITED and not declared):
        return Outgoing()
    found = _Rules()
    aliases = _hosts_file(inputs.spec.pod)
    for egress in egresses:
        _permit(found, inputs, egress, aliases)
    pending = any(inputs.addresses.get(name, _PENDING).pending for name in names_of(inputs.spec, inputs.settings))
    problems = tuple(dict.fromkeys(found.problems)) if declared else None
    # Rules that exist stay: if another writer opens the policy of the Space, that is about to be repaired.
    may_begin = inputs.egress_limited or (inputs.egress is EgressPhase.PASSING and not pending)
    if inputs.egress is not EgressPhase.DECLARED and not (declared and may_begin):
        return Outgoing(problems=problems)
    return Outgoing(_rules(found, inputs), record_text(found.record), problems)


_PENDING = NamedAddresses(pending=True)


def _permit(found: _Rules, inputs: AppInputs, egress: Egress, aliases: Mapping[str, tuple[str, ...]]) -> None:
    space, settings = inputs.space.name, inputs.settings
    if egress.fqdn is None:
        _permit_endpoint(found, space, inputs.targets.get((egress.space_name or space, egress.endpoint or "")))
        return
    name = canonical(egress.fqdn)
    if name in aliases:
        _permit_addresses(found, inputs, name, egress.target_port, aliases[name])
        return
    service = service_of(name, settings) if "." in name else (name, space)
    if service is not None:
        if service[1] == space:
            return  # the policy of the Space permits its own pods
        target = inputs.targets.get((service[1], service[0]))
        if target is not None and target.port == egress.target_port:
            _permit_endpoint(found, space, target)
            return
        message = (
            f"{name}:{egress.target_port} is inside the cluster, and no endpoint that this Space may connect to: name "
            "an endpoint, or have the addresses of its pods added to the Space's egressCidrs"
        )
        found.problems.append(Problem(reasons.EGRESS_REFUSED, message))
        return
    known = inputs.addresses.get(name, _PENDING)
    if known.pending and not known.addresses:
        found.problems.append(Problem(reasons.EGRESS_PENDING, f"the addresses of {name} are not known yet"))
    elif known.error:
        kept = "its last addresses stay permitted" if known.addresses else "nothing is permitted for it"
        message = f"{name} could not be resolved ({known.error}), and {kept}: correct the egress, or its DNS"
        found.problems.append(Problem(reasons.EGRESS_UNRESOLVED, message))
    permitted = _permit_addresses(found, inputs, name, egress.target_port, known.addresses)
    if permitted:
        found.record[name] = permitted


def _permit_endpoint(found: _Rules, space: str, target: EgressTarget | None) -> None:
    """A target that does not exist, or has no listener, is reported with the sidecar or with its own App."""
    if target is not None and target.pods is not None and target.pods[0] != space:
        owner, app, port = target.pods
        found.pods.setdefault((owner, app), set()).add(port)


def _permit_addresses(found: _Rules, inputs: AppInputs, name: str, port: int, addresses: Iterable[str]) -> list[str]:
    """Permits those of these addresses that a name may lead to, and returns them."""
    permitted, refused = [], []
    for address in addresses:
        if address in inputs.edge_addresses:
            found.edge = True
        elif why := refusal(address, inputs.settings.egress):
            refused.append(f"{address} {why}")
            continue
        permitted.append(address)
    if permitted:
        found.blocks.setdefault(port, set()).update(permitted)
    if refused:
        message = f"{name} leads to addresses that are not permitted: {abbreviated(refused, _SHOWN)}"
        found.problems.append(Problem(reasons.EGRESS_REFUSED, message))
    return permitted


def _rules(found: _Rules, inputs: AppInputs) -> list[Obj]:
    """Sorted, so that an equal set causes no write. In a mesh pods are reached by its tunnel, or at their ports."""
    tunnel = (meshes()[inputs.mesh.name].tunnel_port,) if inputs.mesh.name else ()
    rules = [
        {
            "to": [block(str(ipaddress.ip_network(each))) for each in sorted(addresses, key=address_order)],
            "ports": _tcp([port]),
        }
        for port, addresses in sorted(found.blocks.items())
    ]
    rules += [
        {"to": [_pods(space, names.pod_selector(app))], "ports": _tcp([*sorted(ports), *tunnel])}
        for (space, app), ports in sorted(found.pods.items())
    ]
    peers = edge_peers(inputs.settings.edge)
    if found.edge and peers and inputs.settings.egress.edge_ports:
        rules.append({"to": peers, "ports": _tcp([*inputs.settings.egress.edge_ports, *tunnel])})
    return rules


def record_annotation(outgoing: Outgoing, inputs: AppInputs) -> dict[str, str | None]:
    """Those of the App's policy; a key with None must be absent."""
    if outgoing.record:
        return {ANNOTATION_EGRESS_ADDRESSES: outgoing.record}
    return {ANNOTATION_EGRESS_ADDRESSES: None} if inputs.egress_recorded else {}


def _tcp(ports: Iterable[int]) -> list[Obj]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _pods(namespace: str, labels: Mapping[str, str]) -> Obj:
    return {**namespaces(LABEL_NAMESPACE_NAME, namespace), "podSelector": {"matchLabels": dict(labels)}}
