"""What is recorded of grants of host names (``claims.py``): in the annotations of the Space's namespace, which policies
read too, and in the status of the Space, for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field

from decco.desired.mesh_state import MeshRecord
from decco.frozen import frozen
from decco.hostnames import canonical, in_zone
from decco.objects import Obj

Claim = str
"""".example.com": the name and all below it; "*.example.com": one label below it; "example.com": this name. Canonical:
lower case, without a final dot."""


Transfers = Mapping[str, str]
"""Host name -> the Space that has to give it up. A Space's FQDN stands for all that is below it."""


@frozen
class Grant:
    """One granted claim."""

    since: str
    """RFC 3339 in UTC."""
    generation: int
    """Of the Space that claimed it."""
    recorded: bool = False

    released: bool = False
    """Not wanted and not served any more; ends when it is no longer recorded."""


@frozen
class Record:
    """What a namespace records of its Space."""

    grants: Mapping[Claim, Grant] = field(default_factory=dict)
    transferred: Transfers = field(default_factory=dict)
    """Those that the Space lists and that took place."""
    mesh: MeshRecord | None = None
    """How far the Space has entered its mesh."""
    restored: str = ""
    """When decco took the namespace over, RFC 3339 in UTC; "" if it made it."""


_RECORD = re.compile(r"((?:\.|\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)@([0-9TZ:.-]{1,40})/([0-9]{1,12})")


def restored_names(names: Iterable[str], grants: Mapping[Claim, Grant], restored: str) -> frozenset[str]:
    """Those of these names that the Space had before decco took its namespace over: the namespace came with their
    grants, which only decco, and who may label namespaces, can have written.
    """
    former = [claim for claim, grant in grants.items() if grant.since < restored]
    return frozenset(name for name in names if any(covers(claim, canonical(name)) for claim in former))


def covers(claim: Claim, name: str) -> bool:
    """Whether a canonical name is in a claim; a wildcard as a name is in the claim that is this wildcard."""
    if claim.startswith("."):
        return in_zone(name, claim[1:])
    return name == claim or (claim.startswith("*.") and name.partition(".")[2] == claim[2:])


def overlap(one: Claim, other: Claim) -> bool:
    """Whether some name is in both."""
    for a, b in ((one, other), (other, one)):
        root = b.lstrip("*.")
        if a[0] == "." and (root == a[1:] or root.endswith(a)):
            return True
        if a[:2] == "*." and b[0] != "." and b.partition(".")[2] == a[2:]:
            return True
        if a[:2] == "*." and b[0] == "." and root.partition(".")[2] == a[2:]:
            return True
    return one == other


def record_text(grants: Mapping[Claim, Grant]) -> str:
    """Grants as the annotation of a namespace has them: "<claim>@<time>/<generation>", separated by commas. Policies
    read the claims from it.
    """
    return ",".join(f"{claim}@{grant.since}/{grant.generation}" for claim, grant in sorted(grants.items()))


def parse_record(text: str) -> dict[Claim, Grant]:
    """The reverse of ``record_text``; what is not an entry is left out."""
    found = (_RECORD.fullmatch(entry) for entry in text.split(","))
    return {match[1]: Grant(match[2], int(match[3])) for match in found if match is not None}


def transfers_text(transfers: Transfers) -> str:
    """Transfers as annotations of Spaces and namespaces have them."""
    return ",".join(f"{name}={holder}" for name, holder in sorted(transfers.items()))


def parse_transfers(text: str) -> Transfers:
    """The reverse of ``transfers_text``; what is not an entry is left out."""
    entries = (entry.partition("=") for entry in text.split(","))
    return {canonical(name.strip()): holder.strip() for name, _, holder in entries if name.strip() and holder.strip()}


def status_grants(grants: Mapping[Claim, Grant]) -> list[Obj]:
    """Grants as ``status.hostnames`` of a Space has them."""
    return [
        {"name": claim, "since": each.since, "generation": each.generation} for claim, each in sorted(grants.items())
    ]


def parse_status_grants(status: Obj) -> dict[Claim, Grant]:
    """The reverse of ``status_grants``; what is not an entry is left out."""
    listed = status.get("hostnames")
    texts = (
        f"{each.get('name')}@{each.get('since')}/{each.get('generation')}"
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict)
    )
    return parse_record(",".join(texts))
