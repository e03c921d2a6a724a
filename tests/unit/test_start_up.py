"""What the start of the controller imports: libraries of DNS providers and of developers' tools cost memory and time.

In a process of its own, because an import cannot be undone.
"""

from __future__ import annotations

import subprocess
import sys

from tests.sample import thorough

pytestmark = thorough

UNUSED = {
    *("aiobotocore", "boto3", "botocore", "cryptography", "dns", "google"),
    *("kubernetes_asyncio", "pygments", "rich", "structlog"),
}
"""Where they are installed, some libraries import them for the case that they are wanted."""


def test_the_controller_imports_no_library_that_it_does_not_use() -> None:
    code = "import sys, decco.cli.controller, decco.daemon; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "aiohttp" in loaded
    assert UNUSED & {*loaded} == set()


def test_the_public_certificate_authorities_are_read_when_a_connection_needs_them() -> None:
    code = """
import ssl, sys, decco.cli.controller, decco.daemon, aiohttp.connector
context = aiohttp.connector._SSL_CONTEXT_VERIFIED
usual = ssl.create_default_context()
assert ssl.create_default_context.__module__ == "ssl", "the patch ends with the import"
for name in ("verify_mode", "check_hostname", "verify_flags", "options", "minimum_version"):
    assert getattr(context, name) == getattr(usual, name), name
before = context.cert_store_stats()
context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="example.com")
print(before["x509_ca"], context.cert_store_stats() == usual.cert_store_stats())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["0", "True"]
