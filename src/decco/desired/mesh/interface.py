"""What a service mesh provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from decco.desired.endpoints import EndpointKind, ResolvedApp
from decco.desired.model import AppInputs, Child, SpaceInputs
from decco.frozen import frozen
from decco.objects import Obj, Resource


class Mesh(ABC):
    """One mesh. Its policies say the same as the NetworkPolicies, of identities instead of addresses."""

    kinds: tuple[Resource, ...]
    """The kinds of its policies, in the version that is written."""
    crds: str
    """What to install if these kinds are missing."""
    label: tuple[str, str]
    """Key and value, of a namespace whose pods are in the mesh."""
    tunnel_port: int
    """Where the mesh delivers the traffic for all ports of a pod."""
    probes: tuple[str, ...]
    """Networks from which the mesh sends the probes of the kubelet."""

    @abstractmethod
    def is_member(self, labels: Mapping[str, str]) -> bool:
        """Whether the pods of a namespace with these labels are in the mesh."""

    @abstractmethod
    def is_own_edge(self, gateway_controller: str | None) -> bool:
        """Whether the proxies of this gateway controller are in the mesh without a label."""

    @abstractmethod
    def space(self, inputs: SpaceInputs) -> list[Child]:
        """The policies of a Space, in the order of writing; ``inputs.mesh`` has the phase."""

    @abstractmethod
    def permitted(self, policy: Obj) -> Iterator[tuple[Identity, frozenset[int]]]:
        """Whom one of its objects permits by identity, and the ports."""

    @abstractmethod
    def app(self, inputs: AppInputs, resolved: ResolvedApp) -> list[Child]:
        """The policies of an App, in the order of writing; [] if nothing is open to other namespaces."""


@frozen
class Identity:
    """Whom a policy permits. ``namespace`` is "" for everybody in the mesh, ``account`` is "" for all of the
    namespace.
    """

    namespace: str = ""
    account: str = ""


@frozen
class PlainPort:
    """A container's own port behind a TLS endpoint that other namespaces may reach by the mesh alone, which encrypts
    the traffic and knows who connects.
    """

    port: int
    allowed_clients: tuple[str, ...]
    """As of the endpoint; () for all clients of the App."""


def plain_ports(resolved: ResolvedApp, *, tunnel: int | None) -> list[PlainPort]:
    """Those behind a clear text Service, sorted. A client that needs a certificate and no special name is known by
    nothing but its certificate, so that endpoint has none.
    """
    shown = {endpoint.pod_port for endpoint in resolved.endpoints} | {tunnel}
    found = {
        endpoint.container_port: PlainPort(endpoint.container_port, endpoint.allowed_clients)
        for endpoint in resolved.endpoints
        if endpoint.clear_text_service
        and endpoint.kind is not EndpointKind.METRICS
        and (endpoint.allowed_clients or not endpoint.verify_client)
        and endpoint.container_port not in shown
    }
    return [found[port] for port in sorted(found)]


def open_ports(resolved: ResolvedApp, *, monitoring: bool, tunnel: int | None = None) -> list[int]:
    """The ports of an App's pods that are open to monitoring, or to clients. In a mesh the port of its ``tunnel`` is no
    port of the pod. Sorted and without duplicates, so that a new order of the endpoints causes no write.
    """
    found = {
        endpoint.pod_port
        for endpoint in resolved.endpoints
        if endpoint.pod_port is not None and (endpoint.kind is EndpointKind.METRICS) is monitoring
    }
    return sorted(found - {tunnel})
