"""What a Secret is used for, and what of its content is a defect for that use at this time.

The facts of a Secret (``secret_content.py``) know neither the time, nor the names under which the certificate is shown,
nor the edge. A defect has a name of its own, so that two contents can be compared: a copy is not replaced by a content
with a defect that the copy does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from decco.desired import reasons
from decco.desired.edge_keys import SIDECAR_KEYS
from decco.desired.model import Problem, SecretFacts
from decco.frozen import frozen
from decco.text import abbreviated

SERVER, CLIENT = "server", "client"
REFUSED, CONTENT, NOT_YET_VALID, EXPIRED = "refused", "content", "not yet valid", "expired"
LISTS_EXPIRED, LISTS_NOT_YET_VALID = "lists expired", "lists not yet valid"
_CA_CRL = "ca.crl"
MAX_NAMES = 5


@frozen
class Use:
    """Of one Secret, by a Space or an App."""

    names: frozenset[str] = frozenset()
    """Host names under which its certificate is shown; in their canonical form."""
    purposes: frozenset[str] = frozenset()
    """SERVER, CLIENT."""
    keys: frozenset[str] = SIDECAR_KEYS
    """The kinds of keys that can serve, see ``edge_keys.py``."""
    verifies: bool = False
    """Whether peers are verified by its ``ca.crt``, and by its ``ca.crl`` if there is one."""
    certificate: bool = True
    """Whether it is used as a certificate; otherwise any content is right."""

    def __or__(self, other: Use) -> Use:
        return Use(
            self.names | other.names,
            self.purposes | other.purposes,
            self.keys & other.keys,
            self.verifies or other.verifies,
            self.certificate or other.certificate,
        )


NO_USE = Use()
"""Of a certificate for no name."""
ANY_CONTENT = Use(certificate=False)
"""By the pods of a Space, in a way that decco does not know."""


def defects(facts: SecretFacts, use: Use, now: datetime) -> dict[str, Problem]:
    """What is wrong with a content, by the name of the defect; {} if nothing is."""
    if facts.refusal is not None:
        return {REFUSED: facts.refusal}
    if not use.certificate:
        return {}
    if facts.problem is not None:
        return {CONTENT: facts.problem}
    found: dict[str, Problem] = {}
    if facts.not_after is not None and facts.not_after <= now:
        whose = facts.ends_first or "the certificate"
        cure = "put the issuer's present one in its place" if facts.ends_first else "renew it"
        message = f"{whose} expired on {facts.not_after:%Y-%m-%d}; {cure}"
        found[EXPIRED] = Problem(reasons.CERTIFICATE_EXPIRED, message)
    if facts.not_before is not None and now < facts.not_before:
        message = f"the certificate is not valid before {facts.not_before:%Y-%m-%d %H:%M:%S} UTC; wait, or renew it"
        found[NOT_YET_VALID] = Problem(reasons.CERTIFICATE_NOT_YET_VALID, message)
    if use.verifies and facts.lists_until is not None and facts.lists_until <= now:
        message = (
            f"a list of revoked certificates in {_CA_CRL} expired on {facts.lists_until:%Y-%m-%d %H:%M:%S} UTC, so all "
            "peers that it is about are refused; renew it"
        )
        found[LISTS_EXPIRED] = Problem(reasons.CRL_EXPIRED, message)
    if use.verifies and facts.lists_from is not None and now < facts.lists_from:
        message = (
            f"a list of revoked certificates in {_CA_CRL} is not in force before {facts.lists_from:%Y-%m-%d %H:%M:%S} "
            "UTC; wait, or renew it"
        )
        found[LISTS_NOT_YET_VALID] = Problem(reasons.CRL_NOT_YET_VALID, message)
    if facts.key_kind and facts.key_kind not in use.keys:
        message = f"the edge cannot serve a key of the kind {facts.key_kind}; change it to P-256 or RSA"
        found[f"key {facts.key_kind}"] = Problem(reasons.SECRET_INVALID, message)
    for purpose in sorted(use.purposes - facts.usages):
        message = (
            f"the certificate may not be used by a {purpose} (extended key usage {purpose}Auth); renew it with that"
        )
        found[f"for a {purpose}"] = Problem(reasons.SECRET_INVALID, message)
    if facts.dns_names is not None:
        missing = sorted(name for name in use.names if not covers(facts.dns_names, name))
        found |= {f"name {name}": _mismatch(missing, facts.dns_names) for name in missing}
    return found


def covers(dns_names: Iterable[str], hostname: str) -> bool:
    """Whether a certificate with these names is for this one: "*" is exactly one label, the first (RFC 9525, 6.3), and
    at least two follow it (``X509_check_host``).
    """
    _, _, parent = hostname.partition(".")
    wanted = {hostname, f"*.{parent}"} if "." in parent else {hostname}
    return not wanted.isdisjoint(each.lower() for each in dns_names)


def worse(source: Mapping[str, Problem], copy: Mapping[str, Problem]) -> bool:
    """Whether a content has a defect that the copy in place does not have."""
    return not source.keys() <= copy.keys()


def _mismatch(missing: list[str], dns_names: tuple[str, ...]) -> Problem:
    shown, present = abbreviated(missing, MAX_NAMES), abbreviated(dns_names, MAX_NAMES)
    has = f"has the DNS names {present} (subjectAltName)" if present else "has no DNS name (subjectAltName)"
    message = f"the certificate is shown for {shown} and {has}, so clients refuse it; renew it with the missing names"
    return Problem(reasons.CERTIFICATE_NAME_MISMATCH, message)
