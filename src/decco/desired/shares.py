"""How the traffic of an HTTP endpoint is shared between an App and its canaries.

The primary's reconcile writes the shares into its route, and a canary's reconcile reports why it has none. Both use the
function ``split``, so that they agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

from decco.api.types import AppProtocol
from decco.frozen import frozen

WHOLE = 100
"""Weights are of a hundred."""


class Sharing(StrEnum):
    """How an edge shares traffic."""

    NONE = "None"
    BY_PATH = "ByPath"  # each path of an endpoint on its own, between any number of Apps
    BY_ENDPOINT = "ByEndpoint"  # all paths of an endpoint together, with one canary


@frozen
class HttpEndpoint:
    """An HTTP endpoint of another App of the Space, by one of its paths."""

    name: str
    path: str
    """Without a slash at the end."""
    service_port: int
    protocol: AppProtocol | None = None
    backend_tls: bool = False
    """Whether the edge speaks TLS to its pods."""


@frozen
class Canary:
    """An App with a share of another App's traffic."""

    name: str
    weight: int
    endpoints: tuple[HttpEndpoint, ...]
    serving: bool
    """Whether a pod is ready, and the edge has all that it needs to connect to it. Without one, Envoy answers the
    requests of the share with 503."""
    uid: str = ""


@frozen
class Primary:
    """The App whose traffic a canary shares."""

    name: str
    canary_of: str | None
    endpoints: tuple[HttpEndpoint, ...]
    canaries: tuple[Canary, ...]
    """All that name it, the oldest first, the reader itself among them."""
    carried: frozenset[str] = frozenset()
    """Services that its routes in the cluster send a share to."""


@frozen
class Share:
    """The part of a canary's endpoint in a route; ``refusal`` says why it has none, for its owner."""

    canary: Canary
    endpoint: HttpEndpoint
    refusal: str = ""

    @property
    def weight(self) -> int:
        return self.canary.weight

    @property
    def carried(self) -> bool:
        """Whether it belongs into the route now."""
        return not self.refusal and self.canary.serving and self.weight > 0


def split(
    path: str, protocol: AppProtocol | None, canaries: Sequence[Canary], together: Collection[str] = ()
) -> Iterator[Share]:
    """What the canaries, the oldest first, get of the endpoint with this path and protocol. ``together``: all paths of
    the endpoint, where the edge shares by endpoint.

    Older ones first: of weights that are more than a hundred together, the youngest goes without.
    """
    left, only = WHOLE, ""
    for canary in canaries:
        for endpoint in canary.endpoints:
            if endpoint.path != path:
                continue
            refusal = ""
            if _spoken(endpoint.protocol) is not _spoken(protocol):
                refusal = (
                    f"its appProtocol is {_spoken(endpoint.protocol)}, and that of the other App is "
                    f"{_spoken(protocol)}; the edge speaks one of them to all pods of a route"
                )
            elif missing := sorted(set(together) - _paths_of(canary, endpoint)):
                refusal = (
                    f"the edge shares all paths of an endpoint or none, and it has no {', '.join(missing)}; add that, "
                    "or have the path served by another endpoint there"
                )
            elif together and only and canary.weight:
                refusal = f"the edge knows one canary of an endpoint, and App {only} is older; set its weight to 0"
            elif canary.weight > left:
                refusal = f"older canaries have {WHOLE - left} of {WHOLE} already; lower a weight"
            else:
                left -= canary.weight
                only = only or (canary.name if canary.weight else "")
            yield Share(canary, endpoint, refusal)


def _paths_of(canary: Canary, endpoint: HttpEndpoint) -> set[str]:
    return {each.path for each in canary.endpoints if each.name == endpoint.name}


def _spoken(protocol: AppProtocol | None) -> AppProtocol:
    if protocol is None:
        return AppProtocol.HTTP
    return AppProtocol.H2C if protocol is AppProtocol.GRPC else protocol
