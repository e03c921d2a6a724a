"""Rules at the root of a Space or App: those that need metadata.name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from decco.api.formats import MAX_DNS_NAME, OBJECT_NAME
from decco.api.reserved_names import RESERVED, RESERVED_PREFIXES, is_reserved
from decco.api.rules import Rule, all_different, cel_string, unique
from decco.hostnames import in_zone

if TYPE_CHECKING:
    from decco.api.types import AppSpec, SpaceSpec

T = TypeVar("T")

PODS_SUFFIX = "-pods"
"""The name of the Service that gives the pods of a StatefulSet their DNS names is the App's with this."""
MAX_STATEFUL_SET_NAME = 52
"""The label controller-revision-hash of its pods has the name and at most 11 characters more."""


class Named(NamedTuple, Generic[T]):
    """Input of the rules at the root of a Space or App."""

    name: str
    spec: T


def _hostnames_are_outside(space: Named[SpaceSpec]) -> bool:
    fqdn = f"{space.name}.{space.spec.domain_name}"
    return not any(in_zone(hostname, fqdn) for hostname in space.spec.hostnames)


def _http_hostnames_are_outside(space: Named[SpaceSpec]) -> bool:
    fqdn = f"{space.name}.{space.spec.domain_name}"
    return not any(in_zone(each.name, fqdn) for each in space.spec.http_hostnames)


_RESERVED_LIST = f"[{', '.join(cel_string(name) for name in RESERVED)}]"
_RESERVED_PREFIX = " || ".join(f"self.metadata.name.startsWith({cel_string(prefix)})" for prefix in RESERVED_PREFIXES)

SPACE_RULES: tuple[Rule[Named[SpaceSpec]], ...] = (
    Rule(
        # A list map refuses this too, but its message has only the duplicate.
        cel=f"!has(self.spec.egressCidrs) || {all_different('self.spec.egressCidrs.map(e, e.cidr)')}",
        holds=lambda space: unique([each.cidr for each in space.spec.egress_cidrs]),
        at=".spec.egressCidrs",
        message="two items have the same cidr: put all ports of a network into one item",
    ),
    Rule(
        cel=OBJECT_NAME.cel("self.metadata.name"),
        holds=lambda space: OBJECT_NAME.matches(space.name),
        at=".metadata.name",
        message=OBJECT_NAME.message,
    ),
    Rule(
        cel=f"!(self.metadata.name in {_RESERVED_LIST} || {_RESERVED_PREFIX})",
        holds=lambda space: not is_reserved(space.name),
        at=".metadata.name",
        message="is a top-level domain, a word of cluster DNS, or a system namespace's name: its Services would answer "
        "for names that others ask for; choose another name",
        at_creation=True,
    ),
    Rule(
        cel=f"size(self.metadata.name) + 1 + size(self.spec.domainName) <= {MAX_DNS_NAME}",
        holds=lambda space: len(space.name) + 1 + len(space.spec.domain_name) <= MAX_DNS_NAME,
        at=".spec.domainName",
        message=f"is too long: the FQDN <name>.<domainName> may have at most {MAX_DNS_NAME} characters",
    ),
    Rule(
        # The suffix is built once: Kubernetes 1.34 does not bound the length of metadata.name, so its cost estimate
        # rejects a rule that builds it for each hostname.
        cel="!has(self.spec.hostnames) || ['.' + self.metadata.name + '.' + self.spec.domainName].all(fqdn, "
        "self.spec.hostnames.all(h, !('.' + h).endsWith(fqdn)))",
        holds=_hostnames_are_outside,
        at=".spec.hostnames",
        message="holds the Space's own FQDN or a name below it, which the Space has anyway: keep only names outside "
        "<name>.<domainName>",
    ),
    Rule(
        cel="!has(self.spec.httpHostnames) || ['.' + self.metadata.name + '.' + self.spec.domainName].all(fqdn, "
        "self.spec.httpHostnames.all(h, !('.' + h.name).endsWith(fqdn)))",
        holds=_http_hostnames_are_outside,
        at=".spec.httpHostnames",
        message="holds the Space's own FQDN, whose certificate is httpCertSecretName, or a name below it, where TCP "
        "endpoints are reached: keep only names outside <name>.<domainName>",
    ),
)

APP_RULES: tuple[Rule[Named[AppSpec]], ...] = (
    Rule(
        cel="!has(self.spec.canaryOf) || self.spec.canaryOf != self.metadata.name",
        holds=lambda app: app.spec.canary_of != app.name,
        at=".spec.canaryOf",
        message="is this App itself: name the App whose traffic is to be shared",
    ),
    Rule(
        cel="has(self.spec.endpoints) || size(self.spec.pod.containers) == 0 || "
        "size(self.spec.pod.containers[0].?ports.orValue([])) == 0 || "
        f"{OBJECT_NAME.cel('self.metadata.name')}",
        holds=lambda app: (
            app.spec.endpoints is not None or app.spec.first_port is None or OBJECT_NAME.matches(app.name)
        ),
        at=".metadata.name",
        message="is also the name of the App's one endpoint and of its Service, so it must be a DNS label that starts "
        "with a letter, such as web-1: rename the App, or list its endpoints",
    ),
    Rule(
        cel=f"!has(self.spec.statefulSet) || size(self.metadata.name) <= {MAX_STATEFUL_SET_NAME} && "
        f"{OBJECT_NAME.cel('self.metadata.name')}",
        holds=lambda app: (
            app.spec.stateful_set is None or (len(app.name) <= MAX_STATEFUL_SET_NAME and OBJECT_NAME.matches(app.name))
        ),
        at=".metadata.name",
        message="is also the name of the App's StatefulSet and the beginning of its pods' host names, so it must be a "
        f"DNS label that starts with a letter, of at most {MAX_STATEFUL_SET_NAME} characters: rename the App",
    ),
    Rule(
        cel="!has(self.spec.statefulSet) || !has(self.spec.endpoints) || "
        f"[self.metadata.name + '{PODS_SUFFIX}'].all(n, self.spec.endpoints.all(e, e.name != n))",
        holds=lambda app: (
            app.spec.stateful_set is None
            or all(each.name != app.name + PODS_SUFFIX for each in app.spec.endpoints or ())
        ),
        at=".spec.endpoints",
        message=f"the Service of a StatefulSet's pod names is <App>{PODS_SUFFIX}, and an endpoint has that name: "
        "rename the endpoint",
    ),
)
