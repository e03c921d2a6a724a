"""Whether the owner of a shared Secret consents to a copy in a Space.

The annotation share-with lists identities that nobody can take: the FQDN of a Space that has been granted it,
``*.<domain>`` for all such Spaces of a domain, ``project:<project>``, or ``*`` for every Space. Admission lets only
those use a domain or project who have the permission.

The bare name of a Space is no such identity: whoever may use some domain can create a Space of that name, before the
right one exists or after it was deleted. It still counts where nothing is ambiguous, with a warning that contains the
FQDN:

* the certificate says which domain is meant: one of its names belongs to this Space, is its domain, or is directly in
  that, and none belongs to the same name in another domain;
* no name of the certificate says anything, and the Space was there before the Secret was created;
* the Space has a copy already. What runs goes on running; a Space that is created again has none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from decco.desired.model import Claims, SecretFacts, SecretSource, SpaceFacts
from decco.hostnames import canonical, in_zone

PROJECT = "project:"
_IN_CLUSTER = ("svc", "local", "localhost")
"""Last labels of names that say nothing about a domain."""


def parse_share_with(text: str | None) -> frozenset[str]:
    """The entries of the annotation share-with, which has commas between them; names of hosts in canonical form."""
    entries = (entry.strip() for entry in (text or "").split(","))
    return frozenset(canonical(entry) if "." in entry else entry for entry in entries if entry)


def consent(source: SecretSource, facts: SecretFacts, space: SpaceFacts, claims: Claims, *, copied: bool) -> str:
    """The entry of share-with by which the Space may have the Secret; "" if there is none. It is the Space's name if
    only its bare name counts. ``copied``: whether the Space has decco's copy.
    """
    listed = (*space.spec.hostnames, *(each.name for each in space.spec.http_hostnames))
    named = frozenset(map(canonical, listed))
    own = {name for name in (space.fqdn, *named) if claims.owns(name)}
    entries: list[str] = ["*", *([f"{PROJECT}{space.spec.project}"] if space.spec.project else ())]
    if space.fqdn in own:
        entries += [space.fqdn, f"*.{space.fqdn.partition('.')[2]}"]
    for entry in entries:
        if entry in source.shared_with:
            return entry
    if space.name not in source.shared_with:
        return ""
    names = facts.dns_names or ()
    meant = space.fqdn in own and _is_meant(names, space, own)
    older = space.created < source.created and not _public(names)
    return space.name if copied or meant or older else ""


def _is_meant(names: Iterable[str], space: SpaceFacts, own: Collection[str]) -> bool:
    """Whether a certificate's names are those of this Space, and not of one of the same name in another domain."""
    found = False
    for name in _public(names):
        host = name.removeprefix("*.")
        wildcard, domain = name != host, canonical(space.spec.domain_name)
        parent = "" if wildcard else host.partition(".")[2]
        if domain in (host, parent) or name in own or any(in_zone(host, each) for each in own):
            found = True
        elif wildcard or space.name in host.split("."):
            return False
    return found


def _public(names: Iterable[str]) -> list[str]:
    known = (canonical(name) for name in names)
    return [name for name in known if "." in name and name.rpartition(".")[2] not in _IN_CLUSTER]
