"""TLS contexts for the connection to the API server, from certificates and keys in memory.

Trust is what kubectl's is (Go's crypto/tls): every certificate in the CA bundle is an anchor, also an intermediate
one, and old cluster CAs without key identifiers are good enough. Python's defaults since 3.13 would refuse both.

Private keys never reach a disk: OpenSSL can only load them from a file, so they go through an anonymous file in memory
(memfd_create(2)); where the system has none, through a private temporary file that is gone before the context is used.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from decco.errors import ConfigError


def client_context(
    *, ca: bytes | None, certificate: bytes | None, key: bytes | None, verify: bool, where: str
) -> ssl.SSLContext:
    """A context for a client; all material is PEM. ``ca`` None: the system's authorities. ``where`` is for errors."""
    if (certificate is None) != (key is None):
        present, absent = ("client-certificate", "client-key") if key is None else ("client-key", "client-certificate")
        raise ConfigError(f"{where} has a {present} but no {absent}: it needs both or neither")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        try:
            context.load_verify_locations(cadata=ca.decode("ascii", "ignore"))
        except ssl.SSLError as error:
            raise ConfigError(f"certificate-authority of {where} must be PEM certificates: {_reason(error)}") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if certificate is not None and key is not None:
        # OpenSSL does not find what follows a byte order mark.
        pair = b"\n".join(part.removeprefix(b"\xef\xbb\xbf") for part in (key, certificate))
        with _file_in_memory(pair) as path:
            try:
                # An encrypted key must be an error, not a question on the terminal.
                context.load_cert_chain(path, password="")
            except ssl.SSLError as error:
                raise ConfigError(
                    f"client-certificate and client-key of {where} cannot be used: {_reason(error)}; "
                    "log in again, or name two that belong together"
                ) from error
    return context


@contextmanager
def _file_in_memory(content: bytes) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("decco")
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile(prefix="decco-") as file:  # mode 0600
            file.write(content)
            file.flush()
            yield file.name


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
