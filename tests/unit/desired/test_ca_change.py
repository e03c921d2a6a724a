"""A copy of a Secret while its authority changes: whom it trusts, and which certificate it shows, at each moment."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from decco.desired.ca_change import (
    FORMER_TRUSTED,
    MAX_FORMER,
    SPREAD,
    CopyPlan,
    LiveCopy,
    authorities,
    can_be_combined,
    plan_copy,
)
from decco.desired.model import SecretSource
from decco.desired.secret_content import inspect

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
Data = dict[str, bytes]


def certify(name: str, issuer: Pair | None = None, *, days: float = 30, key_ids: bool = True) -> Pair:
    """A certificate and its key; without ``issuer`` it is self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer[1] if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=3650))
        .not_valid_after(NOW + timedelta(days=days))
    )
    authority = x509.BasicConstraints(ca=issuer is None, path_length=None)
    builder = builder.add_extension(authority, critical=True)
    if key_ids:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    return builder.sign(signer, hashes.SHA256()), key


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def secret(leaf: Pair, *trusted: x509.Certificate) -> Data:
    key = leaf[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    data = {"tls.crt": pem(leaf[0]), "tls.key": key}
    return {**data, "ca.crt": pem(*trusted)} if trusted else data


def self_signed(**how: bool) -> Data:
    leaf = certify("acme.example.net", **how)  # type: ignore[arg-type]
    return secret(leaf, leaf[0])


def signed_by(authority: Pair, *others: Pair, days: float = 30) -> Data:
    return secret(certify("acme.example.net", authority, days=days), authority[0], *(other[0] for other in others))


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in data.items()}


class Story:
    """A source and its copy as time goes by."""

    def __init__(self, content: Data, *, between_pods: bool = True) -> None:
        self.now = NOW
        self.between_pods = between_pods
        self.at_once = False
        self.source = content
        self.data: Mapping[str, str] = encoded(content)
        self.record = ""
        self.type = "kubernetes.io/tls"

    def reconcile(self, *, after: timedelta | None = None, reliable: bool = True) -> CopyPlan:
        """Plans the copy, ``after`` so long, and writes it."""
        if after is not None:
            self.now += after
        data = encoded(self.source)
        source = SecretSource("tls", self.type, data, frozenset({"*"}), self.at_once)
        live = LiveCopy(inspect("kubernetes.io/tls", self.data), self.data, self.record) if reliable else None
        plan = plan_copy(source, inspect(self.type, data), live, self.now, between_pods=self.between_pods)
        self.data, self.record = plan.copy.data, plan.copy.ca_changed
        return plan

    def trusts(self, content: Data) -> bool:
        return set(authorities(encoded(content))) <= set(authorities(self.data))

    def shows(self, content: Data) -> bool:
        """The certificate and the key."""
        return all(self.data[name] == encoded(content)[name] for name in ("tls.crt", "tls.key"))

    def is_the_source(self) -> bool:
        return self.data == encoded(self.source)


def authority(name: str) -> Pair:
    return certify(name)


KINDS = {
    "self-signed": (self_signed(), self_signed()),
    "two authorities": (signed_by(authority("one")), signed_by(authority("other"))),
    "two authorities of one name": (signed_by(authority("one")), signed_by(authority("one"))),
    "bundles": (signed_by(authority("one"), authority("old")), signed_by(authority("two"), authority("new"))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_authority_is_trusted_before_its_certificate_is_shown_and_the_former_one_for_long_after(
    kind: str,
) -> None:
    old, new = KINDS[kind]
    story = Story(old)
    story.source = new
    plan = story.reconcile()
    assert (story.shows(old), story.trusts(old), story.trusts(new)) == (True, True, True)
    assert plan.in_force == plan.due == NOW + SPREAD
    assert story.reconcile(after=SPREAD - SECOND) == plan
    plan = story.reconcile(after=SECOND)
    assert (story.shows(new), story.trusts(old), story.trusts(new)) == (True, True, True)
    assert (plan.in_force, plan.due) == (None, NOW + FORMER_TRUSTED)
    assert story.reconcile(after=FORMER_TRUSTED - SPREAD - SECOND) == plan
    plan = story.reconcile(after=SECOND)
    assert story.is_the_source()
    assert (plan.in_force, plan.due) == (None, None)
    assert story.reconcile(after=timedelta(days=9)) == plan, "a settled copy is not written again"


def test_a_renewal_by_the_same_authority_is_copied_at_once() -> None:
    issuer = authority("one")
    story = Story(signed_by(issuer))
    story.source = signed_by(issuer)
    assert story.reconcile() == CopyPlan(story.reconcile().copy)
    assert story.is_the_source()
    assert story.record == ""


def test_a_renewal_by_the_new_authority_during_the_change_is_not_delayed_further() -> None:
    issuer = authority("two")
    story = Story(self_signed())
    story.source = signed_by(issuer)
    story.reconcile()
    story.source = signed_by(issuer)
    assert story.reconcile(after=SPREAD / 2).in_force == NOW + SPREAD
    story.reconcile(after=SPREAD / 2)
    assert story.shows(story.source)
    story.source = signed_by(issuer)
    story.reconcile(after=SECOND)
    assert story.shows(story.source), "all have the authority by now"


def test_three_authorities_in_quick_succession_are_trusted_together() -> None:
    first, second, third = self_signed(), self_signed(), self_signed()
    story = Story(first)
    story.source = second
    story.reconcile()
    story.source = third
    story.reconcile(after=SPREAD / 2)
    assert story.shows(first)
    assert all(story.trusts(each) for each in (first, second, third))
    story.reconcile(after=SPREAD)
    assert story.shows(third)
    assert story.trusts(first)
    story.reconcile(after=FORMER_TRUSTED)
    assert story.is_the_source()


def test_an_authority_that_changes_all_the_time_is_bounded() -> None:
    """The first one is not trusted any longer than promised, and its certificate is replaced before that."""
    first = self_signed()
    story = Story(first)
    switched = None
    story.source = self_signed()
    story.reconcile()
    while story.now < NOW + FORMER_TRUSTED:
        story.source = self_signed()
        story.reconcile(after=SPREAD / 4)
        if switched is None and not story.shows(first):
            switched = story.now
        assert len(authorities(story.data)) <= FORMER_TRUSTED / (SPREAD / 4) + 2
    assert not story.trusts(first)
    assert switched is not None
    assert NOW + SPREAD <= switched <= NOW + FORMER_TRUSTED - 2 * SPREAD + SPREAD / 2


def test_a_second_change_while_the_first_one_is_remembered_is_waited_for_too() -> None:
    first, second, third = self_signed(), self_signed(), self_signed()
    story = Story(first)
    story.source = second
    story.reconcile()
    story.reconcile(after=FORMER_TRUSTED - 1.5 * SPREAD)
    story.source = third
    assert story.reconcile().in_force == story.now + SPREAD
    assert story.shows(second)
    assert all(story.trusts(each) for each in (first, second, third))
    story.reconcile(after=1.5 * SPREAD)
    assert story.shows(third)
    assert (story.trusts(first), story.trusts(second)) == (False, True)


def test_a_change_that_is_taken_back_changes_no_certificate() -> None:
    old = self_signed()
    story = Story(old)
    story.source = self_signed()
    story.reconcile()
    story.source = old
    plan = story.reconcile(after=SECOND)
    assert story.shows(old)
    assert plan.in_force is None


def test_who_adds_the_new_authority_first_waits_for_nothing() -> None:
    """The order of a careful owner: add the authority, then renew, then remove the former one."""
    one, two = authority("one"), authority("two")
    first = signed_by(one)
    story = Story(first)
    story.source = {**first, "ca.crt": pem(one[0], two[0])}
    story.reconcile()
    assert story.is_the_source()
    story.source = signed_by(two, one)
    story.reconcile(after=2 * SPREAD)
    assert story.is_the_source()
    story.source = {**story.source, "ca.crt": pem(two[0])}
    story.reconcile(after=SECOND)
    assert story.is_the_source(), "an authority that is removed without a new certificate goes at once"


def test_an_authority_that_was_added_a_moment_ago_is_waited_for() -> None:
    one, two = authority("one"), authority("two")
    first = signed_by(one)
    story = Story(first)
    story.source = {**first, "ca.crt": pem(one[0], two[0])}
    story.reconcile()
    story.source = signed_by(two, one)
    assert story.reconcile(after=SECOND).in_force == NOW + SPREAD
    assert story.shows(first)


@pytest.mark.parametrize("at", [timedelta(0), SPREAD / 2, 2 * SPREAD])
def test_who_must_revoke_an_authority_can_do_it_at_once(at: timedelta) -> None:
    story = Story(self_signed())
    story.source = self_signed()
    if at:
        story.reconcile()
        story.reconcile(after=at)
    story.at_once = True
    story.reconcile(after=SECOND)
    assert story.is_the_source()


def test_a_certificate_that_is_about_to_expire_is_replaced_at_once() -> None:
    soon = SPREAD / 2 / timedelta(days=1)
    old = signed_by(authority("one"), days=soon)
    story = Story(old)
    story.source = self_signed()
    story.reconcile()
    assert story.shows(story.source)
    assert story.trusts(old)


def test_a_certificate_that_expires_during_the_change_is_replaced_before() -> None:
    story = Story(signed_by(authority("one"), days=1.5 * SPREAD / timedelta(days=1)))
    story.source = self_signed()
    assert story.reconcile().in_force == NOW + SPREAD / 2


def test_an_authority_that_has_expired_is_not_trusted_any_longer() -> None:
    old = secret(leaf := certify("x", days=-0.5), leaf[0])
    story = Story(old)
    story.source = self_signed()
    story.reconcile()
    assert story.is_the_source()


ALONE: dict[str, dict[str, Any]] = {
    "no pod reads the ca.crt of a Secret that only the edge shows": {"between_pods": False},
    "a copy that somebody else may have changed": {"reliable": False},
    "a former copy without ca.crt": {"before": secret(certify("x"))},
    "a source without ca.crt": {"after": secret(certify("x"))},
    "a former copy that is not a pair": {"before": {**self_signed(), "tls.key": self_signed()["tls.key"]}},
    "another type": {"type": "Opaque"},
    "authorities that cannot be distinguished": {
        "before": self_signed(key_ids=False),
        "after": self_signed(key_ids=False),
    },
    "what does not fit into a Secret": {"after": {**self_signed(), "more": b"x" * 999_500}},
    "too many authorities": {
        "before": secret(certify("x"), *(certify(f"a{number}")[0] for number in range(MAX_FORMER + 1)))
    },
}


@pytest.mark.parametrize("why", ALONE)
def test_the_source_is_copied_as_it_is(why: str) -> None:
    given = ALONE[why]
    story = Story(given.get("before") or self_signed(), between_pods=bool(given.get("between_pods", True)))
    story.source = given.get("after") or self_signed()
    story.type = str(given.get("type", story.type))
    plan = story.reconcile(reliable=bool(given.get("reliable", True)))
    assert story.is_the_source()
    assert (plan.in_force, plan.due) == (None, None)


RECORDS = {
    "text": "yesterday",
    "an impossible date": "2026-13-45T00:00:00Z",
    "the future": "2027-01-01T00:00:00Z",
    "a former authority from the future": f"2026-06-01T11:59:00Z {'0' * 64}@2027-01-01T00:00:00Z",
    "more than one line": "2026-06-01T11:59:00Z\n",
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_record_that_decco_cannot_have_written_is_none(what: str) -> None:
    story = Story(self_signed())
    story.record = RECORDS[what]
    assert story.reconcile().copy.ca_changed == ""


def test_a_clock_that_is_a_little_behind_that_of_the_former_leader_forgets_nothing() -> None:
    old, new = KINDS["self-signed"]
    story = Story(old)
    story.source = new
    plan = story.reconcile()
    assert story.reconcile(after=-5 * SECOND) == plan


def test_certificates_are_combined_only_if_every_peer_finds_their_issuers() -> None:
    one, other = authority("one"), authority("one")
    named = encoded(signed_by(one)), encoded(signed_by(other))
    assert can_be_combined(*named)
    leaf = certify("acme.example.net", other, key_ids=False)
    assert not can_be_combined(named[0], encoded(secret(leaf, other[0]))), "its certificate does not name the key"
    plain = certify("one", key_ids=False)
    assert not can_be_combined(named[0], encoded(secret(certify("x", plain), plain[0]))), "an authority has no key id"
    assert can_be_combined(named[0], named[0])


# -- what OpenSSL makes of it -----------------------------------------------------------------------------------------


def accepts(folder: Path, trusted: bytes, shown: Data) -> bool:
    """Whether a client that trusts these certificates accepts a server that shows this one, as stunnel verifies."""
    files = {"ca.crt": trusted, "tls.crt": shown["tls.crt"], "tls.key": shown["tls.key"]}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags &= ~(ssl.VerifyFlags.VERIFY_X509_STRICT | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN)
    client.load_verify_locations(folder / "ca.crt")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)
    done: set[int] = set()
    while len(done) < 2:
        for number, side in enumerate(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
            done.add(number)
    return True


LASTING = 36_500.0
COMBINED = {
    "self-signed, of one name": (True, True),
    "self-signed, without key identifiers": (False, True),
    "authorities of one name": (True, False),
    "authorities of one name, without key identifiers": (False, False),
}


@pytest.mark.parametrize("what", COMBINED)
def test_openssl_agrees_on_what_can_be_combined(tmp_path: Path, what: str) -> None:
    key_ids, selfish = COMBINED[what]

    def made() -> Data:
        issuer = certify("one", days=LASTING, key_ids=key_ids)
        leaf = issuer if selfish else certify("leaf", issuer, days=LASTING, key_ids=key_ids)
        return secret(leaf, issuer[0])

    one, other = made(), made()
    both = one["ca.crt"] + other["ca.crt"]
    assert accepts(tmp_path, one["ca.crt"], one), "the certificates as such are good"
    assert not accepts(tmp_path, one["ca.crt"], other)
    accepted = [accepts(tmp_path, both, each) for each in (one, other)]
    assert all(accepted) == can_be_combined(encoded(one), encoded(other)) == key_ids
