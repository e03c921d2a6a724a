"""The way to the pods that answer a certificate authority by HTTP (ACME's challenge HTTP-01, RFC 8555 8.3).

cert-manager runs them in the Space's namespace while it obtains or renews a certificate there: for a Certificate of
decco's, or for one of the Space's people, from which the Secret that the Space names is made. decco does not know when,
so the way is open as long as the Space has a name that is served over HTTPS.
"""

from __future__ import annotations

from decco.api.types import SpaceSpec
from decco.desired import names
from decco.desired.model import Child, SpaceFacts
from decco.desired.peers import edge_peers
from decco.objects import NETWORK_POLICIES, Obj
from decco.settings import EdgeSettings

SOLVER_POLICY = "decco.acme"
"""No App's policy has a dot after these letters: they begin with "app-"."""
SOLVER_LABELS = {"acme.cert-manager.io/http01-solver": "true"}
SOLVER_PORT = 8089


def solver_policy(space: SpaceFacts, edge: EdgeSettings, tunnel: int | None = None) -> list[Child]:
    """The edge alone may connect, if it is known; else everybody, unless the Space has a project. ``tunnel`` is the
    port of the Space's mesh, whose policies restrict it to the same.
    """
    if not _is_served_by_http(space.spec):
        return []
    peers = edge_peers(edge)
    if not peers and space.spec.project is not None:
        return []  # the Space has the condition EdgeUnknown
    ports = [SOLVER_PORT] if tunnel is None else [SOLVER_PORT, tunnel]
    rule: Obj = {"ports": [{"protocol": "TCP", "port": port} for port in ports]}
    if peers:
        rule = {"from": peers, **rule}
    spec = {"podSelector": {"matchLabels": SOLVER_LABELS}, "policyTypes": ["Ingress"], "ingress": [rule]}
    return [names.child(NETWORK_POLICIES, names.space_meta(space, SOLVER_POLICY), spec=spec)]


def _is_served_by_http(spec: SpaceSpec) -> bool:
    """A Space with an issuer has an issued Secret here, see ``issued.with_issuer``."""
    return spec.http_cert_secret_name is not None or bool(spec.http_hostnames)
