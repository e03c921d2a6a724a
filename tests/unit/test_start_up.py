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
