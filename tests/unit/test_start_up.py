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

PARTS_NOT_USED = {"importlib.metadata", "zipfile", "frozenlist._frozenlist"}


def test_the_controller_imports_no_library_that_it_does_not_use() -> None:
    loaded = _printed_by("import sys, decco.cli.controller, decco.daemon; print(*sys.modules)").split()
    assert "aiohttp" in loaded
    assert UNUSED & {name.partition(".")[0] for name in loaded} == set()
    assert PARTS_NOT_USED & {*loaded} == set()


def test_programs_get_the_environment_that_the_controller_was_started_with() -> None:
    code = "import os; before = dict(os.environ); import decco.daemon; print(before == dict(os.environ))"
    assert _printed_by(code) == "True\n"


def test_what_pydantic_expects_besides_plugins_comes_from_its_own_module() -> None:
    code = """
import decco.daemon
from pydantic.plugin._loader import get_plugins
print(get_plugins(), get_plugins.__module__)
from pydantic.plugin._loader import PYDANTIC_ENTRY_POINT_GROUP
print(PYDANTIC_ENTRY_POINT_GROUP)
"""
    assert _printed_by(code) == "() decco.pydantic_plugins\npydantic\n"


def _printed_by(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


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
    found = _printed_by(code).split()
    assert found == ["0", "True"]
