"""All certificates of one run, and the TLS contexts of its clients; made before anything is created."""

from __future__ import annotations

import ssl
from datetime import timedelta

from decco.frozen import frozen
from decco.verify.names import SPACES, Names
from decco.verify.pki import DAY, Authority, Leaf, context, self_signed

TLS_SPACES = tuple(space for space in SPACES if space not in "dg")
"""Those with TCP endpoints."""
BILLING = "billing"
"""``allowedClients`` of the endpoint listed: this, under the Space's FQDN."""


@frozen
class Material:
    """``web`` and ``tcp`` are by Space, as last renewed; ``further`` by name of httpHostnames; ``clients`` by what is
    right or wrong with them, and so are ``contexts``, where "" is a client without a certificate.
    """

    authorities: dict[str, Authority]
    stranger: Authority
    web: dict[str, Leaf]
    tcp: dict[str, Leaf]
    further: dict[str, Leaf]
    lent: Leaf
    clients: dict[str, Leaf]
    contexts: dict[str, ssl.SSLContext]


def make(names: Names) -> Material:
    """Takes some milliseconds for each certificate; blocking."""
    authorities = {space: Authority(f"decco verify, Space {space}") for space in SPACES}
    stranger = Authority("decco verify, stranger")
    own, fqdn = authorities["a"], names.fqdn("a")
    billing = names.host("a", BILLING)
    clients = {
        "right": own.leaf(names.host("a", "client")),
        "stranger": stranger.leaf(names.host("a", "client")),
        "other-space": authorities["c"].leaf(names.host("a", "client")),
        "self-signed": self_signed(names.host("a", "client")),
        "revoked": authorities["c"].leaf(names.host("c", "client")),
        "expired": own.leaf(names.host("a", "client"), starts=-3 * DAY, ends=-DAY),
        "not-yet-valid": own.leaf(names.host("a", "client"), starts=timedelta(hours=12)),
        "listed": own.leaf(billing),
        "other-name": own.leaf(names.host("a", "intruder")),
        "common-name": own.leaf(common_name=billing[:64]),
        "wildcard": own.leaf(f"*.{fqdn}"),
        "listed-stranger": stranger.leaf(billing),
    }
    return Material(
        authorities=authorities,
        stranger=stranger,
        web={space: authorities[space].leaf(names.fqdn(space)) for space in SPACES},
        tcp={space: authorities[space].leaf(f"*.{names.fqdn(space)}", names.extra) for space in TLS_SPACES},
        further={name: authorities["e"].leaf(name) for name in (names.further, names.wildcard)},
        lent=authorities["c"].leaf(f"*.{names.fqdn('c')}"),
        clients=clients,
        contexts={"": context(), **{name: context(leaf) for name, leaf in clients.items()}},
    )
