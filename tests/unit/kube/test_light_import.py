"""That decco's start does not pay for the whole of kubernetes_asyncio, and that others are not affected.

Each in a process of its own, because an import cannot be undone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.sample import thorough

pytestmark = thorough

REPORT = """
import json, sys
from pathlib import Path
def resident(): return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
import aiohttp, yaml, structlog, orjson  # what decco needs anyway
modules, memory = len(sys.modules), resident()
{imports}
print(json.dumps(dict(modules=len(sys.modules) - modules, mb=resident() - memory, {more})))
"""
IS_USED = "__import__('decco.kube.config').kube.config.KubeConfigLoader is k.config.kube_config.KubeConfigLoader"


def report(imports: str, more: str = "") -> dict[str, Any]:
    code = REPORT.replace("{imports}", imports).replace("{more}", more)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_most_modules_and_memory_are_saved() -> None:
    light = report(
        "import decco.kube.config as c", "ok=c.KubeConfigLoader.__name__, left='kubernetes_asyncio' in sys.modules"
    )
    plain = report("import kubernetes_asyncio as k", f"same={IS_USED}")
    assert light["ok"] == "KubeConfigLoader"
    assert light["left"] is False
    assert plain["modules"] - light["modules"] > 500, (light, plain)
    assert plain["mb"] - light["mb"] > 30, (light, plain)
    assert plain["same"] is True  # what is there already is not imported twice


def test_a_later_import_gets_the_whole_package() -> None:
    both = report(
        "import decco.kube.config as c\nimport kubernetes_asyncio as k",
        "api=k.client.CoreV1Api.__name__, client=k.client.ApiClient.__module__, "
        "config=k.config.kube_config.ApiClient.__module__",
    )
    assert both["api"] == "CoreV1Api"
    assert both["client"] == both["config"] == "kubernetes_asyncio.client.api_client"


def test_another_layout_is_imported_whole() -> None:
    """If ``client.configuration`` were elsewhere one day, the names would still be found."""
    both = report(
        "import decco.kube._light_import as light\n"
        "light._prepare = lambda: (light._bare('kubernetes_asyncio', None), light._bare('kubernetes_asyncio.x', []))\n"
        "import decco.kube.config as c\n",
        "ok=c.KubeConfigLoader.__name__, whole=hasattr(sys.modules['kubernetes_asyncio'].client, 'CoreV1Api')",
    )
    assert both["ok"] == "KubeConfigLoader"
    assert both["whole"] is True
