"""Connections out of a Space and of an App, as its policies permit them."""

from __future__ import annotations

from decco.api.egress import EgressPolicy
from decco.api.parse import parse_app
from decco.desired import names
from decco.desired.address_rules import address_order
from decco.desired.model import SpaceFacts
from decco.desired.outgoing import parse_record
from decco.hostnames import canonical
from decco.kube.entry import Entry
from decco.objects import ANNOTATION_EGRESS_ADDRESSES, NETWORK_POLICIES, Key, annotations_of
from decco.text import abbreviated
from decco.views.explanation.parts import World
from decco.views.findings import Finding, Findings

_SHOWN = 5


def egress_of(space: SpaceFacts) -> str:
    """What a Space says of connections out of it."""
    if space.spec.egress_policy is EgressPolicy.OPEN:
        return "open: its pods may connect to everything"
    listed = ", ".join(each.cidr for each in space.spec.egress_cidrs) or "no egressCidrs"
    return f"declared: DNS, the Space itself, {listed}, and for each App its tlsEgresses (decco graph {space.name})"


def permitted(world: World, app: Entry, space: SpaceFacts) -> Findings:
    """The host names in an App's egresses with the addresses that its live policy permits."""
    if space.spec.egress_policy is EgressPolicy.OPEN:
        return
    policy = world.snapshot.caches.children[NETWORK_POLICIES].get(
        Key(app.key.namespace, names.app_policy(app.key.name))
    )
    record = annotations_of(policy.obj()).get(ANNOTATION_EGRESS_ADDRESSES) if policy is not None else None
    known = parse_record(record or "")
    for egress in parse_app(app.obj()).tls_egresses:
        if egress.fqdn is None or (addresses := known.get(canonical(egress.fqdn))) is None:
            continue  # what is not permitted is in the condition NetworkReady
        permitted = abbreviated(sorted(addresses, key=address_order), _SHOWN)
        text = f"{egress.fqdn}:{egress.target_port} is permitted at {permitted}"
        yield Finding(f"egress {egress.local_port}", text)
