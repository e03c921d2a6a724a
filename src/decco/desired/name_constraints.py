"""Name constraints of an authority (RFC 5280, section 4.2.1.10): which names it may certify.

DNS names, IP addresses and names of directories are compared. Of the other kinds, any name that meets a constraint of
its kind counts as a violation: certificates of servers have none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from cryptography import x509

from decco.hostnames import in_zone

_MAX_CHECKS = 1 << 16
"""Names times constraints; OpenSSL has a limit as well (2 ** 20)."""


def violated(
    constraints: x509.NameConstraints, subject: x509.Name, alternatives: Sequence[x509.GeneralName]
) -> str | None:
    """Why a certificate with this subject and these names is outside the constraints, or None."""
    names: list[x509.GeneralName] = list(alternatives)
    if len(subject.rdns):
        names.append(x509.DirectoryName(subject))
    permitted, excluded = constraints.permitted_subtrees or [], constraints.excluded_subtrees or []
    if len(names) * (len(permitted) + len(excluded)) > _MAX_CHECKS:
        return "has more name constraints than TLS libraries evaluate"
    for name in names:
        if any(_within(name, base, unknown=True) for base in _of_kind(name, excluded)):
            return "may not issue certificates for all of these names (excluded by its name constraints)"
        allowed = list(_of_kind(name, permitted))
        if allowed and not any(_within(name, base, unknown=False) for base in allowed):
            return "may not issue certificates for all of these names (not permitted by its name constraints)"
    return None


def _of_kind(name: x509.GeneralName, bases: Iterable[x509.GeneralName]) -> Iterable[x509.GeneralName]:
    return (base for base in bases if type(base) is type(name))


def _within(name: x509.GeneralName, base: x509.GeneralName, *, unknown: bool) -> bool:
    if isinstance(name, x509.DNSName) and isinstance(base, x509.DNSName):
        return _dns_within(name.value.lower(), base.value.lower())
    if isinstance(name, x509.IPAddress) and isinstance(base, x509.IPAddress):
        network = base.value
        if isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network):
            return name.value.version == network.version and name.value in network
        return unknown
    if isinstance(name, x509.DirectoryName) and isinstance(base, x509.DirectoryName):
        outer = base.value.rdns
        return list(name.value.rdns[: len(outer)]) == list(outer)
    return unknown


def _dns_within(name: str, base: str) -> bool:
    if base.startswith("."):
        return name.endswith(base)
    return not base or in_zone(name, base)
