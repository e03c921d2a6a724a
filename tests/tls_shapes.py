"""Contents of TLS Secrets, good and bad in every way that is known, for comparisons with real TLS libraries."""

from __future__ import annotations

import base64
import datetime as dt
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

HOST = "acme.decco.test"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
Data = dict[str, bytes]


@dataclass(frozen=True)
class Shape:
    name: str
    data: Data
    """As in a Secret, not in base64."""
    root: bytes
    """In PEM: whom clients trust."""


# -- keys --------------------------------------------------------------------------------------------------------------

KEYS: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "RSA-1024": lambda: rsa.generate_private_key(65537, 1024),
    "RSA-1536": lambda: rsa.generate_private_key(65537, 1536),
    "RSA-2047": lambda: rsa.generate_private_key(65537, 2047),
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA-2048-e3": lambda: rsa.generate_private_key(3, 2048),
    "RSA-3072": lambda: rsa.generate_private_key(65537, 3072),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(2048),
}


@cache
def key_of(kind: str, place: str = "leaf") -> Any:
    """One key of each kind and place, because RSA keys take long."""
    del place
    return KEYS[kind]()


def key_pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> bytes:
    locked = BestAvailableEncryption(password) if password else NoEncryption()
    return bytes(key.private_bytes(Encoding.PEM, form, locked))


# -- certificates ------------------------------------------------------------------------------------------------------


@dataclass
class Made:
    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def usage(*named: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{each: each in named for each in every})


Extensions = list[tuple[x509.ExtensionType, bool]]


@dataclass
class Template:
    """A certificate to be made."""

    name: str = HOST
    key: Any = None
    issuer: Made | None = None
    since: dt.datetime = NOW - 30 * DAY
    until: dt.datetime = NOW + 30 * DAY
    ca: bool | None = False
    path_length: int | None = None
    sans: tuple[str, ...] | None = (HOST,)
    hash: Any = field(default_factory=hashes.SHA256)
    pss: bool = False
    signer: Any = None
    issuer_name: str = ""
    key_ids: bool = True
    serial: int = 0
    more: Extensions = field(default_factory=list)

    def make(self) -> Made:
        key = self.key if self.key is not None else key_of("P-256", self.name)
        signer = self.signer or (self.issuer.key if self.issuer else key)
        issuer = self.issuer.certificate.subject if self.issuer else _name(self.issuer_name or self.name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(self.name))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(self.serial or x509.random_serial_number())
            .not_valid_before(self.since)
            .not_valid_after(self.until)
        )
        extensions: Extensions = list(self.more)
        if self.ca is not None:
            length = self.path_length if self.ca else None
            extensions.append((x509.BasicConstraints(ca=self.ca, path_length=length), True))
        if self.sans is not None:
            extensions.append((x509.SubjectAlternativeName([x509.DNSName(each) for each in self.sans]), False))
        if self.key_ids:
            above = self.issuer.key if self.issuer else key
            extensions.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
            extensions.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        bare = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        scheme = padding.PSS(padding.MGF1(self.hash), padding.PSS.DIGEST_LENGTH) if self.pss and self.hash else None
        signed = builder.sign(signer, None if bare else self.hash, rsa_padding=scheme)
        return Made(signed, key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def authority(name: str = "root", issuer: Made | None = None, **template: Any) -> Made:
    template = {"more": [(usage("key_cert_sign", "crl_sign"), True)], **template}
    return Template(name=name, issuer=issuer, ca=template.pop("ca", True), sans=None, **template).make()


def damaged(certificate: Made) -> bytes:
    """The certificate with the last byte of its signature changed, in PEM."""
    der = bytearray(certificate.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_certificate(bytes(der)).public_bytes(Encoding.PEM)


def signed_again(made: Made, issuer: Made, algorithm: hashes.SHA1 | hashes.MD5) -> Made:
    """The same certificate, signed by an RSA key with another hash, which cryptography no longer does by itself."""
    der = made.certificate.public_bytes(Encoding.DER)
    with_sha256, last = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", {"sha1": b"\x05", "md5": b"\x04"}[algorithm.name]
    body = made.certificate.tbs_certificate_bytes.replace(with_sha256, with_sha256[:-1] + last)
    signature = issuer.key.sign(body, padding.PKCS1v15(), algorithm)
    der = der.replace(made.certificate.tbs_certificate_bytes, body).replace(with_sha256, with_sha256[:-1] + last)
    der = der.removesuffix(made.certificate.signature) + signature
    return Made(x509.load_der_x509_certificate(der), made.key)


def secret(leaf: Made, *issuers: Made, **more: bytes) -> Data:
    crt = leaf.pem + b"".join(each.pem for each in issuers)
    return {"tls.crt": crt, "tls.key": key_pem(leaf.key), **{name.replace("_", "."): pem for name, pem in more.items()}}


# -- texts -------------------------------------------------------------------------------------------------------------

Mangle = Callable[[bytes], bytes]


def _lines(text: bytes, width: int) -> bytes:
    def again(match: re.Match[bytes]) -> bytes:
        body = match[2].replace(b"\n", b"")
        return match[1] + b"".join(body[at : at + width] + b"\n" for at in range(0, len(body), width)) + match[3]

    return re.sub(rb"(-----BEGIN [^-]+-----\n)([^-]+)(-----END)", again, text)


def _each_line(change: Mangle) -> Mangle:
    return lambda text: b"".join(change(line) for line in text.splitlines(keepends=True))


def _in_body(change: Mangle) -> Mangle:
    return _each_line(lambda line: line if line.startswith(b"-----") else change(line))


def _changed(text: bytes) -> bytes:
    return re.sub(
        rb"\n(.{30})(.)", lambda found: b"\n" + found[1] + (b"B" if found[2] == b"A" else b"A"), text, count=1
    )


TEXTS: dict[str, Mangle] = {
    "as it is": lambda text: text,
    "glued": lambda text: text.replace(b"-----\n-----", b"----------"),
    "without a final line feed": lambda text: text.rstrip(b"\n"),
    "indented": _each_line(lambda line: b"  " + line),
    "indented by tabs": _each_line(lambda line: b"\t" + line),
    "indented body": _in_body(lambda line: b"  " + line),
    "indented first line": lambda text: b" " + text,
    "one line": lambda text: text.replace(b"\n", b" "),
    "no line feeds": lambda text: text.replace(b"\n", b""),
    "escaped line feeds": lambda text: text.replace(b"\n", b"\\n"),
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "CR": lambda text: text.replace(b"\n", b"\r"),
    "CRCRLF": lambda text: text.replace(b"\n", b"\r\r\n"),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "quoted": lambda text: b'"' + text + b'"',
    "text before": lambda text: b"Bag Attributes\n    friendlyName: x\n" + text,
    "text behind": lambda text: text + b"that was all\n",
    "text between": lambda text: text.replace(b"-----END CERTIFICATE-----\n", b"-----END CERTIFICATE-----\nnext\n"),
    "empty lines around": lambda text: b"\n\n" + text + b"\n\n",
    "empty lines between": lambda text: text.replace(b"-----\n-----", b"-----\n\n-----"),
    "empty line in the body": _in_body(lambda line: line + b"\n" if len(line) < 65 else line),
    "empty line at the beginning": lambda text: re.sub(rb"(-----BEGIN [^-]+-----\n)", rb"\1\n", text),
    "empty line at the end": lambda text: text.replace(b"\n-----END", b"\n\n-----END"),
    "spaces at the end": _each_line(lambda line: line.replace(b"\n", b"  \n")),
    "lines of 76": lambda text: _lines(text, 76),
    "lines of 32": lambda text: _lines(text, 32),
    "lines of 63": lambda text: _lines(text, 63),
    "lines of 128": lambda text: _lines(text, 128),
    "lines of 300": lambda text: _lines(text, 300),
    "body in one line": lambda text: _lines(text, 1_000_000),
    "one character in a line": lambda text: _lines(text, 1),
    "cut off": lambda text: text[: len(text) - 40],
    "cut in the middle": lambda text: text[: len(text) // 2],
    "without its beginning": lambda text: text.partition(b"\n")[2],
    "four hyphens": lambda text: text.replace(b"-----END", b"----END"),
    "six hyphens": lambda text: text.replace(b"-----BEGIN", b"------BEGIN"),
    "small letters": lambda text: text.replace(b"BEGIN", b"begin"),
    "spaces in the label": lambda text: text.replace(b"BEGIN ", b"BEGIN  "),
    "other end": lambda text: re.sub(rb"-----END [^-]+-----", b"-----END OTHER-----", text),
    "X509 CERTIFICATE": lambda text: text.replace(b"N CERT", b"N X509 CERT").replace(b"D CERT", b"D X509 CERT"),
    "TRUSTED CERTIFICATE": lambda text: text.replace(b"N CERT", b"N TRUSTED CERT").replace(
        b"D CERT", b"D TRUSTED CERT"
    ),
    "zero byte": lambda text: text.replace(b"\n", b"\n\0", 1),
    "character that is none": lambda text: text.replace(b"\nMI", b"\nM!", 1),
    "equals sign inside": lambda text: text.replace(b"\nMI", b"\nM=", 1),
    "url-safe base64": lambda text: text.replace(b"/", b"_").replace(b"+", b"-"),
    "character missing": lambda text: re.sub(rb"\n(.{60}).", rb"\n\1", text, count=1),
    "header": lambda text: re.sub(rb"(-----BEGIN [^-]+-----\n)", rb"\1Comment: x\n\n", text),
    "in base64 once more": lambda text: base64.b64encode(text),
    "twice": lambda text: text + text,
    "a wrong block behind": lambda text: text + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "a block of another kind before": lambda text: b"-----BEGIN X-----\nAAAA\n-----END X-----\n" + text,
    "a wrong block of another kind": lambda text: b"-----BEGIN X-----\n!!!!\n-----END X-----\n" + text,
    "an end before": lambda text: b"-----END PRIVATE KEY-----\n" + text,
    "empty": lambda _text: b"",
    "a byte of DER changed": _changed,
}


# -- shapes ------------------------------------------------------------------------------------------------------------


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
