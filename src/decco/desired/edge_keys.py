"""The keys of certificates that each edge can use.

An edge that cannot use a key reports the listener as ready all the same, and refuses each connection. The table has for
each program what its TLS library signs with and its own checks allow, and what common clients verify:

* OpenSSL (the sidecar stunnel, HAProxy, nginx): security level 2, which Debian and most others set, wants 112 bits, RSA
  of 2048 and more (``SSL_CTX_set_security_level(3)``). TLS 1.3 has P-256, P-384, P-521, Ed25519 and Ed448 only
  (RFC 8446, 4.2.3), and of TLS 1.2 clients offer no other curves.
* BoringSSL in Envoy: ``context_impl.cc`` refuses RSA below 2048 bits and, until 1.29, curves other than P-256.
  ``kVerifySignatureAlgorithms`` in BoringSSL's ``ssl/extensions.cc``, by which browsers verify the edge and the edge
  verifies pods, has neither Ed25519 nor, for most of its life, P-521. It has no Ed448 at all.
* Go (Traefik): ``crypto/tls`` has RSA, P-256, P-384, P-521 and Ed25519; it refuses RSA above 8192 bits.
"""

from __future__ import annotations

RSA_MIN, RSA_MAX = 2048, 8192
"""Bits; larger keys are refused by Go and cost each connection a quarter of a second."""

RSA, P256, P384, P521, ED25519, ED448 = "RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448"
CURVES = {"secp256r1": P256, "secp384r1": P384, "secp521r1": P521}
"""Name of a curve in cryptography -> kind of key."""

GO_KEYS = frozenset({RSA, P256, P384, P521, ED25519})
OPENSSL_KEYS = GO_KEYS | {ED448}
SIDECAR_KEYS = OPENSSL_KEYS
ENVOY_KEYS = frozenset({RSA, P256, P384})
