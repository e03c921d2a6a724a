"""Which content of ``ca.crl`` is accepted, until when it is in force; tests/images has what stunnel does with it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from decco.desired import reasons
from decco.desired.ca_change import SPREAD, LiveCopy, plan_copy
from decco.desired.model import SecretFacts, SecretSource
from decco.desired.pem import blocks
from decco.desired.revocation import MAX_LISTS
from decco.desired.secret_content import inspect
from decco.desired.secret_use import LISTS_EXPIRED, LISTS_NOT_YET_VALID, NO_USE, Use, defects
from tests.tls_certificates import DAY, Made, Template, authority, key_of, key_pem, usage
from tests.tls_certificates import NOW as MOMENT

NOW = MOMENT.replace(microsecond=0)
"""Lists have whole seconds."""
ROOT, OTHER = authority("root"), authority("other")
BETWEEN = authority("between", ROOT, key=key_of("P-256", "between"))
VERIFIES = Use(verifies=True)


def lists(
    issuer: Made,
    *revoked: int,
    since: Any = NOW - DAY,
    until: Any = NOW + DAY,
    more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    signer: Any = None,
    key_id: bool = True,
) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject).last_update(since)
    builder = builder.next_update(until)
    if key_id:
        named = x509.AuthorityKeyIdentifier.from_issuer_public_key((signer or issuer.key).public_key())
        builder = builder.add_extension(named, critical=False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer or issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def secret(crl: bytes | None, *trusted: Made, issuer: Made = ROOT) -> dict[str, str]:
    leaf = Template(issuer=issuer).make()
    shown = leaf.pem + (issuer.pem if issuer is BETWEEN else b"")
    content = {
        "tls.crt": shown,
        "tls.key": key_pem(leaf.key),
        "ca.crt": b"".join(each.pem for each in trusted or (ROOT,)),
    }
    if crl is not None:
        content["ca.crl"] = crl
    return {key: base64.b64encode(value).decode() for key, value in content.items()}


def problem(data: dict[str, str]) -> str:
    found = inspect("Opaque", data).problem
    if found is None:
        return ""
    assert found.reason == reasons.SECRET_INVALID
    return found.message


GOOD: dict[str, Callable[[], dict[str, str]]] = {
    "none": lambda: secret(None),
    "empty list": lambda: secret(lists(ROOT)),
    "a revoked certificate": lambda: secret(lists(ROOT, 5)),
    "two authorities": lambda: secret(lists(ROOT) + lists(OTHER, 7), ROOT, OTHER),
    "in any order": lambda: secret(lists(OTHER) + lists(ROOT), ROOT, OTHER),
    "an older one beside it": lambda: secret(lists(ROOT, since=NOW - 2 * DAY, until=NOW - DAY) + lists(ROOT)),
    "of an intermediate that is shown": lambda: secret(lists(ROOT) + lists(BETWEEN), issuer=BETWEEN),
    "of an intermediate that is trusted": lambda: secret(lists(ROOT) + lists(BETWEEN), ROOT, BETWEEN),
    "without key identifiers": lambda: secret(lists(ROOT, key_id=False)),
    "a number": lambda: secret(lists(ROOT, more=((x509.CRLNumber(5), False),))),
    "text around it": lambda: secret(b"issued by hand\n" + lists(ROOT)),
}
PARTIAL = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
NO_LISTS = authority("root", more=[(usage("key_cert_sign"), True)])
BAD: dict[str, tuple[Callable[[], dict[str, str]], str]] = {
    "garbage": (lambda: secret(b"garbage"), "holds no list"),
    "no content": (lambda: secret(b""), "is empty"),
    "no ca.crt": (lambda: {**secret(lists(ROOT)), "ca.crt": ""}, "without a ca.crt"),
    "cut off": (lambda: secret(lists(ROOT)[:-40]), "ca.crl: "),
    "not readable": (
        lambda: secret(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
        "is not a readable CRL",
    ),
    "a certificate": (lambda: secret(ROOT.pem), "a block that is not a CRL"),
    "a key": (lambda: secret(lists(ROOT) + key_pem(ROOT.key)), "a block that is not a CRL"),
    "of another authority": (lambda: secret(lists(OTHER)), "signed by no authority of ca.crt"),
    "of another key of the name": (
        lambda: secret(lists(ROOT, signer=key_of("P-256", "evil"), key_id=False)),
        "signed by no authority of ca.crt",
    ),
    "with another key identifier": (lambda: secret(lists(ROOT, signer=key_of("P-256", "evil"))), "signed by no"),
    "not for all": (lambda: secret(lists(ROOT), ROOT, OTHER), "no list of the authority that is certificate 2"),
    "not for the intermediate": (lambda: secret(lists(ROOT), ROOT, BETWEEN), "no list of the authority that is cert"),
    "for a part": (lambda: secret(lists(ROOT, more=((PARTIAL, True),))), "a part of the certificates only"),
    "a delta": (lambda: secret(lists(ROOT, more=((x509.DeltaCRLIndicator(5), True),))), "a part of the certificates"),
    "critical extension": (
        lambda: secret(
            lists(ROOT, more=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True),))
        ),
        "critical extension 1.2.3",
    ),
    "an authority that may not sign lists": (lambda: secret(lists(NO_LISTS), NO_LISTS, issuer=NO_LISTS), "cRLSign"),
    "too many": (lambda: secret(lists(ROOT) * (MAX_LISTS + 1)), "decco reads at most"),
}


@pytest.mark.parametrize("case", GOOD)
def test_accepted(case: str) -> None:
    assert problem(GOOD[case]()) == ""


@pytest.mark.parametrize("case", BAD)
def test_refused(case: str) -> None:
    make, says = BAD[case]
    found = problem(make())
    assert says in found
    assert found.startswith("ca.crl")


def test_a_list_in_another_key_is_still_refused() -> None:
    data = secret(None)
    for key in ("tls.crt", "ca.crt"):
        text = base64.b64decode(data[key]) + lists(ROOT)
        assert "a block of an unknown kind" in problem({**data, key: base64.b64encode(text).decode()})


def test_when_they_are_in_force() -> None:
    both = lists(ROOT, since=NOW - 3 * DAY, until=NOW + 5 * DAY) + lists(OTHER, since=NOW - DAY, until=NOW + 2 * DAY)
    facts = inspect("Opaque", secret(both, ROOT, OTHER))
    assert (facts.lists_from, facts.lists_until) == (NOW - DAY, NOW + 2 * DAY)
    assert inspect("Opaque", secret(None)).lists_until is None
    newer = lists(ROOT, since=NOW - 3 * DAY, until=NOW - 2 * DAY) + lists(ROOT, until=NOW + DAY)
    assert inspect("Opaque", secret(newer)).lists_until == NOW + DAY


@pytest.mark.parametrize(
    ("since", "until", "use", "wanted"),
    [
        (-DAY, DAY, VERIFIES, {}),
        (-2 * DAY, -DAY, VERIFIES, {LISTS_EXPIRED: reasons.CRL_EXPIRED}),
        (-2 * DAY, timedelta(0), VERIFIES, {LISTS_EXPIRED: reasons.CRL_EXPIRED}),
        (DAY, 2 * DAY, VERIFIES, {LISTS_NOT_YET_VALID: reasons.CRL_NOT_YET_VALID}),
        # Where nobody is verified, nobody is refused.
        (-2 * DAY, -DAY, NO_USE, {}),
    ],
)
def test_what_is_reported(since: timedelta, until: timedelta, use: Use, wanted: dict[str, str]) -> None:
    facts = inspect("Opaque", secret(lists(ROOT, since=NOW + since, until=NOW + until)))
    assert {name: each.reason for name, each in defects(facts, use, NOW).items()} == wanted


# -- while the authority changes --------------------------------------------------------------------------------------


def plan(live: dict[str, str], source: dict[str, str]) -> Any:
    facts: SecretFacts = inspect("Opaque", source)
    assert facts.problem is None, facts.problem
    given = SecretSource("tcp", "Opaque", source, frozenset({"*"}))
    return plan_copy(given, facts, LiveCopy(inspect("Opaque", live), live, ""), NOW, between_pods=True)


def test_the_lists_of_the_former_authority_stay_with_it() -> None:
    old, new = lists(ROOT, 5), lists(OTHER, 7)
    found = plan(secret(old), secret(new, OTHER, issuer=OTHER))
    assert found.in_force == NOW + SPREAD
    copied = [block.der for block in blocks(base64.b64decode(found.copy.data["ca.crl"]))]
    assert copied == [block.der for block in blocks(new + old)]
    assert problem(dict(found.copy.data)) == "", "the copy is complete in itself"


def test_without_lists_of_the_former_authority_it_is_replaced_at_once() -> None:
    source = secret(lists(OTHER), OTHER, issuer=OTHER)
    found = plan(secret(None), source)
    assert (found.in_force, dict(found.copy.data)) == (None, source)


def test_lists_that_are_removed_with_the_authority_are_gone_at_once() -> None:
    found = plan(secret(lists(ROOT)), secret(None, OTHER, issuer=OTHER))
    assert "ca.crl" not in found.copy.data
    assert found.in_force == NOW + SPREAD


def test_new_lists_alone_are_copied_at_once() -> None:
    one = secret(lists(ROOT))
    other = {**one, "ca.crl": base64.b64encode(lists(ROOT, 5)).decode()}
    found = plan(one, other)
    assert (found.in_force, dict(found.copy.data)) == (None, other)


def test_a_list_in_der_is_named_so() -> None:
    """As authorities publish it; only its own bytes are meant, not a list whose text is spoilt."""
    [block] = blocks(lists(ROOT))
    facts = inspect("Opaque", secret(block.der))
    assert facts.problem is not None
    assert facts.problem.message == (
        "ca.crl: it is DER, the binary form, and servers read PEM; convert it: openssl crl -inform DER -in <file> "
        "-out ca.crl"
    )
