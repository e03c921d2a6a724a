"""To which addresses the name of an egress may lead.

Tenants choose these names, and may control their zones. An address that is written into a NetworkPolicy must not be
that of the machines that run the cluster, nor that of pods, whose own policies decide.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from decco.settings.model import EgressSettings

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
"""Where clouds answer pods with credentials of their node: most, AWS by IPv6, Alibaba, Oracle's former one."""
_NAT64 = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96",)))
"""RFC 6052: a translator connects to the IPv4 address in the last 32 bits."""

METADATA = "is an instance metadata service"
LOOPBACK = "is a loopback, link-local, multicast or reserved address"
NOT_GLOBAL = "is not a global address, and not in the setting egress.allowedCidrs"
REFUSED = "is in the setting egress.refusedCidrs"


def refusal(text: str, settings: EgressSettings) -> str:
    """Why no name may lead to this address; "" if one may."""
    address = ipaddress.ip_address(text)
    return next(filter(None, (_refusal(each, settings) for each in (address, *_embedded(address)))), "")


def canonical_address(text: str) -> str | None:
    """The one spelling of an address; None for another text. An IPv4-mapped address is its IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    return str(address)


def address_order(text: str) -> tuple[int, int]:
    """Sorts addresses: IPv4 first, then by number."""
    address = ipaddress.ip_address(text)
    return address.version, int(address)


def _refusal(address: _Address, settings: EgressSettings) -> str:
    if address in _METADATA:
        return METADATA
    if (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (address.is_reserved and not address.is_global)
        or (address.version == 4 and int(address) >> 24 == 0)
    ):
        return LOOPBACK
    if _within(address, settings.refused_cidrs):
        return REFUSED
    if not address.is_global and not _within(address, settings.allowed_cidrs):
        return NOT_GLOBAL
    return ""


def _embedded(address: _Address) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 addresses to which packets for an IPv6 address are delivered."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour]
    if any(address in network for network in _NAT64):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(each for each in found if each is not None)


def _within(address: _Address, cidrs: Iterable[str]) -> bool:
    return any(address in network for network in map(_network, cidrs))


@lru_cache(maxsize=256)
def _network(cidr: str) -> _Network:
    return ipaddress.ip_network(cidr)
