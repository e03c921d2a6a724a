"""A copy of a Secret while its certificate authority changes.

Pods read a changed Secret when their kubelet updates the volume, up to 90 seconds later and at different times. If
the new certificate comes from another authority, pods that verify each other by the same Secret, and an edge that
verifies pods, refuse one another during that time. So a change of ``ca.crt`` goes through phases:

1. The copy has the former certificate and key, and trusts the former and the new authorities, for SPREAD.
2. The copy has the new certificate and key, and still trusts both, until FORMER_TRUSTED after the change.
3. The copy is the source.

The state is in the copy itself: the former authorities are in its ``ca.crt``, and one annotation says when the change
began and when each of them left the source. There is no other state, so a restart changes nothing.

A renewal by an authority that the copy trusts already is copied at once. So is what cannot be combined: a Secret that
has no ``ca.crt`` before or after, because peers cannot trust the system's authorities and others at the same time, and
authorities that cannot be distinguished: OpenSSL and BoringSSL look an issuer up by its name and take the first
certificate whose key identifier does not contradict; they do not go back if its signature turns out wrong. So of two
authorities of one name only one is found unless key identifiers distinguish them (RFC 5280, sections 4.2.1.1 and
4.2.1.2).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from decco.api.conditions import timestamp
from decco.desired.certificates import UNREADABLE, may_be_trusted
from decco.desired.model import SecretCopy, SecretFacts, SecretSource
from decco.desired.revocation import lists_of
from decco.desired.secret_content import certificates, lists
from decco.desired.secrets import CA_CRL, CA_CRT, TLS_CRT, TLS_KEY
from decco.frozen import frozen

SPREAD = timedelta(seconds=120)
"""Until all pods trust a new authority: a kubelet needs up to 90 s to update a Secret's volume, stunnel a moment."""
FORMER_TRUSTED = timedelta(seconds=600)
"""How long an authority is trusted after it has left the source, if it does not expire before.

A former certificate is replaced 2 * SPREAD before its authority is no longer trusted, however often the authority
changes meanwhile, and SPREAD before it expires.
"""
CLOCK_SKEW = timedelta(seconds=60)
"""The clock of the previous leader may be ahead by this much."""
MAX_FORMER = 100
"""Former authorities in one copy; a bundle of more is replaced at once."""
MAX_BYTES = 1_000_000
"""Of the values together; the API server takes 1 MiB."""

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_FORMER = rf"[0-9a-f]{{64}}@{_TIME}"
_RECORD = re.compile(rf"({_TIME})(?: ({_FORMER}(?:,{_FORMER}){{0,{MAX_FORMER - 1}}}))?")


@frozen
class LiveCopy:
    """A copy that decco wrote into the Space's namespace, not a Secret of another owner."""

    facts: SecretFacts
    data: Mapping[str, str] = field(repr=False)
    record: str
    """Value of the annotation ca-changed; "" if there is none."""


@frozen
class CopyPlan:
    """The copy as it must be now."""

    copy: SecretCopy
    in_force: datetime | None = None
    """When the source's certificate will be in the copy; None if it is."""
    due: datetime | None = None
    """When the copy must change although nothing else does."""


@frozen
class _Record:
    changed: datetime | None = None
    """When an authority last came that the copy did not have."""
    left: Mapping[str, datetime] = field(default_factory=dict)
    """Fingerprint of a former authority -> when it left the source."""

    def text(self) -> str:
        if self.changed is None:
            return ""
        former = ",".join(f"{fingerprint}@{timestamp(moment)}" for fingerprint, moment in self.left.items())
        return f"{timestamp(self.changed)} {former}".strip()


def plan_copy(
    source: SecretSource, facts: SecretFacts, live: LiveCopy | None, now: datetime, *, between_pods: bool
) -> CopyPlan:
    """The copy of a usable ``source``; ``live`` is None if there is no copy, or no reliable one.

    ``between_pods``: whether pods show the certificate to each other or to the edge, so that ``ca.crt`` matters.
    """
    record = _parse(live.record, now) if live is not None else _Record()
    whole = CopyPlan(_copy(source, source.data, _Record(record.changed)))
    if live is None or not between_pods or source.replace_at_once or live.facts.digest == facts.digest:
        return whole
    if live.facts.problem is not None or not (live.facts.has_ca and facts.has_ca) or live.facts.type != facts.type:
        return whole
    now = now.replace(microsecond=0)
    new, old = authorities(source.data), authorities(live.data)
    same_certificate = all(live.data.get(key) == source.data.get(key) for key in (TLS_CRT, TLS_KEY))
    # A source that drops an authority and keeps the certificate completes a change, or revokes the authority.
    left = {
        fingerprint: record.left.get(fingerprint, now)
        for fingerprint in old
        if fingerprint not in new and (fingerprint in record.left or not same_certificate)
    }
    ends = {each: min(moment + FORMER_TRUSTED, _not_after(old[each])) for each, moment in left.items()}
    left = {fingerprint: moment for fingerprint, moment in left.items() if now < ends[fingerprint]}
    changed = record.changed if new.keys() <= old.keys() else now
    deferred_until = None
    if changed is not None and not same_certificate:
        limits = [changed + SPREAD, *(ends[each] - 2 * SPREAD for each in left if _issued(live.data, old[each]))]
        if live.facts.not_after is not None:
            limits.append(live.facts.not_after - SPREAD)
        deferred_until = min(limits)
    deferred = deferred_until is not None and now < deferred_until
    if not left and not deferred:
        return CopyPlan(_copy(source, source.data, _Record(changed)))
    changed = changed or now
    former = [old[fingerprint] for fingerprint in left]
    data = {**source.data, CA_CRT: _with_former(source.data[CA_CRT], former)}
    if source.data.get(CA_CRL) is not None:
        revoked = lists_of(lists(live.data), [each for each in former if may_be_trusted(each)])
        if revoked is None:
            return whole  # with a list for one authority, OpenSSL demands one for each
        data[CA_CRL] = _appended(source.data[CA_CRL], [block.as_pem() for block in revoked])
    if deferred:
        data |= {key: live.data[key] for key in (TLS_CRT, TLS_KEY)}
    if len(left) > MAX_FORMER or sum(len(b64decode(value)) for value in data.values()) > MAX_BYTES:
        return whole
    if not can_be_combined(live.data, source.data):
        return whole
    return CopyPlan(
        _copy(source, data, _Record(changed, left)),
        in_force=deferred_until if deferred else None,
        due=deferred_until if deferred else min(ends[each] for each in left),
    )


def _copy(source: SecretSource, data: Mapping[str, str], record: _Record) -> SecretCopy:
    return SecretCopy(source.name, source.type, data, record.text())


def _with_former(ca_crt: str, former: list[x509.Certificate]) -> str:
    """``ca.crt`` in base64, with these certificates in PEM behind it."""
    return _appended(ca_crt, [certificate.public_bytes(Encoding.PEM) for certificate in former])


def _appended(text: str, blocks: Iterable[bytes]) -> str:
    """A value in base64 with these blocks of PEM behind it."""
    return b64encode(b64decode(text).rstrip(b"\n") + b"\n" + b"".join(blocks)).decode()


def _parse(text: str, now: datetime) -> _Record:
    """The record of a copy; an empty one if the text is not valid, or has a time in the future."""
    found = _RECORD.fullmatch(text)
    if found is None:
        return _Record()
    try:
        changed = datetime.fromisoformat(found[1])
        pairs = [each.split("@") for each in (found[2] or "").split(",") if each]
        left = {fingerprint: datetime.fromisoformat(moment) for fingerprint, moment in pairs}
    except ValueError:
        return _Record()
    if any(moment > now + CLOCK_SKEW for moment in (changed, *left.values())):
        return _Record()
    return _Record(changed, left)


# -- authorities -------------------------------------------------------------------------------------------------------


def authorities(data: Mapping[str, str]) -> dict[str, x509.Certificate]:
    """SHA-256 fingerprint in hex -> certificate, of the ``ca.crt`` of a Secret that ``inspect`` accepted."""
    return {certificate.fingerprint(hashes.SHA256()).hex(): certificate for certificate in certificates(data, CA_CRT)}


def _not_after(certificate: x509.Certificate) -> datetime:
    """When it expires; datetime.max if that cannot be read."""
    try:
        return certificate.not_valid_after_utc
    except UNREADABLE:
        return datetime.max.replace(tzinfo=UTC)


def _issued(data: Mapping[str, str], authority: x509.Certificate) -> bool:
    """Whether a certificate of the ``tls.crt`` may be signed by this authority; no signature is verified."""
    own = _key_identifier(authority)
    for certificate in certificates(data, TLS_CRT):
        if certificate.issuer == authority.subject:
            named = _issuers_key_identifier(certificate)
            if own is None or named is None or own == named:
                return True
    return False


def can_be_combined(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether a peer that trusts the ``ca.crt`` of both Secrets accepts the ``tls.crt`` of both."""
    by_name: dict[bytes, dict[str, x509.Certificate]] = {}
    for fingerprint, certificate in {**authorities(one), **authorities(other)}.items():
        by_name.setdefault(certificate.subject.public_bytes(), {})[fingerprint] = certificate
    ambiguous = {name: found for name, found in by_name.items() if len(found) > 1}
    if not all(_key_identifier(each) for found in ambiguous.values() for each in found.values()):
        return False
    shown = [*certificates(one, TLS_CRT), *certificates(other, TLS_CRT)]
    return all(_issuers_key_identifier(each) for each in shown if each.issuer.public_bytes() in ambiguous)


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None


def _issuers_key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None
