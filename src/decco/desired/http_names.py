"""The names at which a Space serves HTTP: its FQDN and its ``httpHostnames``, exact or wildcards for one label.

A name is served by the listener, and under the certificate, of the entry that has it: its own, or the wildcard that
stands for it. Names under the FQDN are not among them; admission refuses those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from decco.api.types import MAX_HTTP_HOSTNAMES, HttpHostname
from decco.desired.model import Claims, SpaceFacts
from decco.hostnames import canonical, in_zone

PROBE_LABEL = "decco-probe"
"""The label for which a wildcard is probed."""


def further_names(space: SpaceFacts) -> Mapping[str, str | None]:
    """The names of ``httpHostnames`` -> Secret with the certificate, None if there is none; sorted."""
    found = {canonical(each.name): each.cert_secret_name for each in space.spec.http_hostnames}
    return {name: secret for name, secret in sorted(found.items()) if not in_zone(name, space.fqdn)}


def entry_of(space: SpaceFacts, name: str) -> str | None:
    """The name whose listener and certificate serve ``name``: the FQDN or one of ``httpHostnames``; None if neither
    has it.
    """
    if name == space.fqdn:
        return name
    names = further_names(space)
    wildcard = f"*.{name.partition('.')[2]}"
    return name if name in names else wildcard if wildcard in names else None


def certificate_of(space: SpaceFacts, name: str) -> str | None:
    """The Secret whose certificate is shown for a name."""
    entry = entry_of(space, name)
    if entry is None or entry == space.fqdn:
        return space.spec.http_cert_secret_name if entry is not None else None
    return further_names(space)[entry]


def published_names(space: SpaceFacts) -> frozenset[str]:
    """Those of ``httpHostnames`` of which decco writes a DNS record."""
    return frozenset(canonical(each.name) for each in space.spec.http_hostnames if each.create_dns_record)


def with_former(space: SpaceFacts, former: Mapping[str, str]) -> SpaceFacts:
    """The Space with names (-> Secret) that it has removed from its spec, and that are served until their DNS record is
    gone; as many as fit beside the others.
    """
    left = max(0, MAX_HTTP_HOSTNAMES - len(space.spec.http_hostnames))
    listed = [
        HttpHostname(name=name, cert_secret_name=secret, create_dns_record=False)
        for name, secret in sorted(former.items())[:left]
    ]
    spec = space.spec.model_copy(update={"http_hostnames": (*space.spec.http_hostnames, *listed)})
    return replace(space, spec=spec) if listed else space


def names_with_record(space: SpaceFacts, claims: Claims) -> tuple[str, ...]:
    """The desired DNS names of a Space: the FQDN and those of ``httpHostnames`` with a record, if it has them."""
    return tuple(name for name in (space.fqdn, *sorted(published_names(space))) if claims.holds(name))


def server_name(name: str) -> str:
    """The name with which a client is served at ``name``, which may be a wildcard."""
    return f"{PROBE_LABEL}.{name[2:]}" if name.startswith("*.") else name
