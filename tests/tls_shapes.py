"""Contents of TLS Secrets, good and bad in every way that is known, for comparisons with real TLS libraries."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from tests.tls_certificates import (
    DAY,
    HOST,
    KEYS,
    NOW,
    Data,
    Made,
    Template,
    authority,
    damaged,
    key_of,
    key_pem,
    secret,
    signed_again,
    usage,
)
from tests.tls_texts import TEXTS


@dataclass(frozen=True)
class Shape:
    name: str
    data: Data
    """As in a Secret, not in base64."""
    root: bytes
    """In PEM: whom clients trust."""


def shapes(seed: int = 1) -> Iterator[Shape]:
    """At least 300; the same for the same seed, but for keys and times."""
    root = authority()
    between = authority("between", root)
    leaf = Template(issuer=between).make()
    good = secret(leaf, between)
    for name, mangle in TEXTS.items():
        for part in ("tls.crt", "tls.key"):
            yield Shape(f"{part}: {name}", {**good, part: mangle(good[part])}, root.pem)
        chain_of_one = {**secret(Template(issuer=root).make()), "ca.crt": mangle(root.pem)}
        yield Shape(f"ca.crt: {name}", chain_of_one, root.pem)
    yield from _keys(root)
    yield from _chains(root)
    yield from _leaves(root)
    yield from _authorities(root)
    yield from _mixed(random.Random(seed), root)


def _keys(root: Made) -> Iterator[Shape]:
    for kind in KEYS:
        key = key_of(kind)
        made = Template(issuer=root, key=key).make()
        yield Shape(f"key {kind}", secret(made), root.pem)
        own = Template(key=key, hash=hashes.SHA256()).make()
        yield Shape(f"self-signed {kind}", secret(own), own.pem)
        above = authority(f"root {kind}", key=key)
        yield Shape(f"root {kind}", secret(Template(issuer=above).make(), ca_crt=above.pem), above.pem)
        between = authority(f"between {kind}", root, key=key)
        yield Shape(f"between {kind}", secret(Template(issuer=between).make(), between), root.pem)
        forms = {"PKCS8": PrivateFormat.PKCS8}
        if not kind.startswith("Ed"):
            forms["PKCS1 or SEC1"] = PrivateFormat.TraditionalOpenSSL
        for name, form in forms.items():
            yield Shape(f"{kind} as {name}", {"tls.crt": made.pem, "tls.key": key_pem(key, form)}, root.pem)
            locked = key_pem(key, form, b"secret")
            yield Shape(f"{kind} as {name}, locked", {"tls.crt": made.pem, "tls.key": locked}, root.pem)
    made = Template(issuer=root).make()
    other = Template(issuer=root, name="other.decco.test").make()
    text = key_pem(made.key)
    sec1 = key_pem(made.key, PrivateFormat.TraditionalOpenSSL)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    ssh = made.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    for name, pem in {
        "of another": key_pem(other.key),
        "of another first": key_pem(other.key) + text,
        "of another behind": text + key_pem(other.key),
        "EC PARAMETERS before": parameters + sec1,
        "EC PARAMETERS behind": sec1 + parameters,
        "EC PARAMETERS alone": parameters,
        "OpenSSH": ssh,
        "OpenSSH before": ssh + text,
        "certificate before": made.pem + text,
        "certificate": made.pem,
        "EC label on PKCS#8": text.replace(b"PRIVATE", b"EC PRIVATE"),
        "PKCS#8 label on SEC1": sec1.replace(b"EC PRIVATE", b"PRIVATE"),
        "RSA label on SEC1": sec1.replace(b"EC PRIVATE", b"RSA PRIVATE"),
        "ENCRYPTED label": text.replace(b"PRIVATE", b"ENCRYPTED PRIVATE"),
        "unknown label": text.replace(b"PRIVATE", b"MY PRIVATE"),
        "DSA before": key_pem(key_of("DSA"), PrivateFormat.TraditionalOpenSSL) + text,
    }.items():
        yield Shape(f"private key: {name}", {"tls.crt": made.pem, "tls.key": pem}, root.pem)


def _chains(root: Made) -> Iterator[Shape]:
    one, two = authority("one", root), None
    two = authority("two", one)
    three = authority("three", two)
    leaf = Template(issuer=two).make()
    stranger = authority("stranger")
    again = authority("two", stranger, key=two.key)
    imitation = authority("two", one, key=key_of("P-256", "imitation"), key_ids=False)
    plain = Template(issuer=imitation, key_ids=False).make()
    own = Template().make()
    for name, data in {
        "complete": secret(leaf, two, one),
        "complete with the root": secret(leaf, two, one, root),
        "without the upper": secret(leaf, two),
        "without the lower": secret(leaf, one),
        "without any": secret(leaf),
        "reversed": {**secret(leaf), "tls.crt": root.pem + one.pem + two.pem + leaf.pem},
        "issuers in reverse order": secret(leaf, one, two),
        "leaf last": {**secret(leaf), "tls.crt": two.pem + one.pem + leaf.pem},
        "leaf in the middle": {**secret(leaf), "tls.crt": two.pem + leaf.pem + one.pem},
        "leaf twice": secret(leaf, leaf, two, one),
        "issuer twice": secret(leaf, two, two, one),
        "a stranger behind": secret(leaf, two, one, stranger),
        "a stranger between": secret(leaf, two, stranger, one),
        "one too many": secret(leaf, three, two, one),
        "issued twice": secret(leaf, two, again, one),
        "issuer damaged": {**secret(leaf), "tls.crt": leaf.pem + damaged(two) + one.pem},
        "leaf damaged": {**secret(leaf), "tls.crt": damaged(leaf) + two.pem + one.pem},
        "another of the same name": {**secret(leaf), "tls.crt": leaf.pem + again.pem + one.pem},
        "imitation": {**secret(plain), "tls.crt": plain.pem + authority("two", one, key_ids=False).pem + one.pem},
        "self-signed and another": secret(own, stranger),
    }.items():
        # Which certificates clients have of their own is known to nobody else.
        theirs = root.pem + one.pem + two.pem if name.startswith("without") else root.pem
        yield Shape(f"chain: {name}", data, own.pem if name.startswith("self") else theirs)
    issuers: dict[str, dict[str, Any]] = {
        "expired": {"until": NOW - DAY},
        "not yet valid": {"since": NOW + DAY},
        "no authority": {"ca": False},
        "without basicConstraints": {"ca": None},
        "without keyCertSign": {"more": [(usage("digital_signature"), True)]},
        "without key usage": {"more": []},
        "pathLen 0": {"path_length": 0},
        "SHA-224": {"hash": hashes.SHA224()},
        "SHA-512": {"hash": hashes.SHA512()},
        "for clients": {"more": [(x509.ExtendedKeyUsage([Usage.CLIENT_AUTH]), False)]},
        "for servers": {"more": [(x509.ExtendedKeyUsage([Usage.SERVER_AUTH]), False)]},
        "for code": {"more": [(x509.ExtendedKeyUsage([Usage.CODE_SIGNING]), False)]},
        "names permitted": {"more": [_names(permitted=["decco.test"])]},
        "names permitted with a dot": {"more": [_names(permitted=[".decco.test"])]},
        "other names permitted": {"more": [_names(permitted=["example.com"])]},
        "names excluded": {"more": [_names(excluded=["decco.test"])]},
        "other names excluded": {"more": [_names(excluded=["example.com"])]},
        "unknown critical extension": {"more": [(_unknown(), True)]},
        "unknown extension": {"more": [(_unknown(), False)]},
        "without key identifiers": {"key_ids": False},
    }
    for name, template in issuers.items():
        upper = authority("upper", root, **template)
        lower = authority("lower", upper)
        yield Shape(f"issuer: {name}", secret(Template(issuer=upper).make(), upper), root.pem)
        yield Shape(f"issuer's issuer: {name}", secret(Template(issuer=lower).make(), lower, upper), root.pem)
        top = authority("top", **template)
        yield Shape(f"root: {name}", secret(Template(issuer=top).make(), ca_crt=top.pem), top.pem)
        if "until" not in template and "since" not in template:
            yield Shape(f"root in the chain: {name}", secret(Template(issuer=top).make(), top), top.pem)


def _names(permitted: list[str] | None = None, excluded: list[str] | None = None) -> tuple[x509.ExtensionType, bool]:
    def subtrees(names: list[str] | None) -> list[x509.GeneralName] | None:
        return [x509.DNSName(each) for each in names] if names is not None else None

    return x509.NameConstraints(subtrees(permitted), subtrees(excluded)), True


def _unknown() -> x509.ExtensionType:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")


def _policy() -> x509.ExtensionType:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])


def _netscape(value: bytes) -> x509.ExtensionType:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.1"), value)


LEAVES: dict[str, dict[str, Any]] = {
    "plain": {},
    "expired": {"until": NOW - DAY},
    "expires today": {"until": NOW + dt.timedelta(minutes=5)},
    "not yet valid": {"since": NOW + DAY},
    "without names": {"sans": None},
    "without any names": {"sans": None, "name": "x"},
    "other name": {"sans": ("other.decco.test",)},
    "several names": {"sans": ("other.decco.test", HOST)},
    "wildcard": {"sans": ("*.decco.test",)},
    "wildcard in another case": {"sans": ("*.DECCO.test",)},
    "wildcard two levels up": {"sans": ("*.test",)},
    "wildcard below": {"sans": (f"*.{HOST}",)},
    "wildcard inside": {"sans": ("acme.*.test",)},
    "part of a label": {"sans": ("a*.decco.test",)},
    "all": {"sans": ("*",)},
    "two wildcards": {"sans": ("*.*.test",)},
    "dot at the end": {"sans": (f"{HOST}.",)},
    "dot at the beginning": {"sans": (".decco.test",)},
    "authority": {"ca": True},
    "without basicConstraints": {"ca": None},
    "without key identifiers": {"key_ids": False},
    "digitalSignature": {"more": [(usage("digital_signature"), True)]},
    "keyEncipherment": {"more": [(usage("key_encipherment"), True)]},
    "keyAgreement": {"more": [(usage("key_agreement"), True)]},
    "keyCertSign": {"more": [(usage("key_cert_sign"), True)]},
    "both usages": {"more": [(usage("digital_signature", "key_encipherment"), False)]},
    "serverAuth": {"more": [(x509.ExtendedKeyUsage([Usage.SERVER_AUTH]), False)]},
    "serverAuth, critical": {"more": [(x509.ExtendedKeyUsage([Usage.SERVER_AUTH]), True)]},
    "clientAuth": {"more": [(x509.ExtendedKeyUsage([Usage.CLIENT_AUTH]), False)]},
    "server and client": {"more": [(x509.ExtendedKeyUsage([Usage.SERVER_AUTH, Usage.CLIENT_AUTH]), False)]},
    "any": {"more": [(x509.ExtendedKeyUsage([Usage.ANY_EXTENDED_KEY_USAGE]), False)]},
    "codeSigning": {"more": [(x509.ExtendedKeyUsage([Usage.CODE_SIGNING]), False)]},
    "unknown extension": {"more": [(_unknown(), False)]},
    "unknown critical extension": {"more": [(_unknown(), True)]},
    "must staple": {"more": [(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)]},
    "must staple, critical": {"more": [(x509.TLSFeature([x509.TLSFeatureType.status_request]), True)]},
    "OCSP no check, critical": {"more": [(x509.OCSPNoCheck(), True)]},
    "policy": {
        "more": [(x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)]), True)]
    },
    "Netscape server": {"more": [(_netscape(b"\x03\x02\x06\x40"), False)]},
    "Netscape both": {"more": [(_netscape(b"\x03\x02\x06\xc0"), False)]},
    "Netscape mail": {"more": [(_netscape(b"\x03\x02\x05\x20"), False)]},
    "SHA-224": {"hash": hashes.SHA224()},
    "SHA-384": {"hash": hashes.SHA384()},
    "SHA-512": {"hash": hashes.SHA512()},
    "SHA3": {"hash": hashes.SHA3_256()},
    "signed by a stranger": {"signer": key_of("P-256", "stranger")},
    "serial 1": {"serial": 1},
    "long serial": {"serial": (1 << 159) - 1},
    "a thousand names": {"sans": (*(f"n{each}.decco.test" for each in range(1000)), HOST)},
}


def _leaves(root: Made) -> Iterator[Shape]:
    between = authority("between", root)
    above = authority("RSA", key=key_of("RSA-2048", "root"))
    for name, template in LEAVES.items():
        yield Shape(f"leaf: {name}", secret(Template(issuer=between, **template).make(), between), root.pem)
        yield Shape(
            f"leaf under RSA: {name}", secret(Template(issuer=above, **template).make(), ca_crt=above.pem), above.pem
        )
        made = Template(**template).make()
        yield Shape(f"self-signed: {name}", secret(made, ca_crt=made.pem), made.pem)
    pss = Template(issuer=above, pss=True).make()
    yield Shape("leaf signed by PSS", secret(pss), above.pem)
    lower = authority("lower", above)
    algorithms: dict[str, hashes.SHA1 | hashes.MD5] = {"SHA-1": hashes.SHA1(), "MD5": hashes.MD5()}
    for name, weak in algorithms.items():
        leaf = signed_again(Template(issuer=above).make(), above, weak)
        yield Shape(f"leaf signed with {name}", secret(leaf), above.pem)
        issuer = signed_again(lower, above, weak)
        yield Shape(f"issuer signed with {name}", secret(Template(issuer=lower).make(), issuer), above.pem)
        top = signed_again(above, above, weak)
        yield Shape(f"root signed with {name}", secret(Template(issuer=above).make(), top, ca_crt=top.pem), top.pem)


def _authorities(root: Made) -> Iterator[Shape]:
    leaf = Template(issuer=root).make()
    for name, ca in {
        "another": authority("another").pem,
        "two": root.pem + authority("another").pem,
        "the leaf": leaf.pem,
        "a leaf of another": Template(name="x.decco.test").make().pem,
        "with a private key": key_pem(root.key) + root.pem,
        "junk": b"junk",
        "expired and good": authority("old", until=NOW - DAY).pem + root.pem,
        "not an authority and good": Template(name="x.decco.test").make().pem + root.pem,
    }.items():
        yield Shape(f"authorities: {name}", secret(leaf, ca_crt=ca), root.pem)


def _mixed(rng: random.Random, root: Made) -> Iterator[Shape]:
    """Several at once."""
    kinds = [kind for kind in KEYS if kind != "DSA"]
    for number in range(120):
        kind, template = rng.choice(kinds), rng.choice(list(LEAVES))
        issuers = [root]
        for depth in range(rng.randrange(3)):
            issuers.insert(0, authority(f"mixed {depth}", issuers[0], key=key_of(rng.choice(kinds), f"mixed {depth}")))
        made = Template(issuer=issuers[0], **{**LEAVES[template], "key": key_of(kind)}).make()
        sent = issuers[:-1] if rng.random() < 0.7 else issuers
        data = secret(made, *sent, **({"ca_crt": root.pem} if rng.random() < 0.5 else {}))
        part, text = rng.choice(("tls.crt", "tls.key")), rng.choice((*TEXTS, *["as it is"] * len(TEXTS)))
        data[part] = TEXTS[text](data[part])
        yield Shape(f"mixed {number}: {kind}, {template}, {len(sent)} issuers, {part} {text}", data, root.pem)
