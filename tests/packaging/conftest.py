"""The real kubectl, Helm and promtool, and a control plane for what only an API server can judge."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed import assets, helm, promtool
from testbed.controlplane import ControlPlane
from testbed.found import AssetsMissing
from testbed.versions import kubernetes_version

FIXTURE_SECONDS = 900
"""A program that is not cached is built first, once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FIXTURE_SECONDS))


class Tool:
    """``tool("template", ...)`` gives what the program prints, or fails the test with what it said."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def __call__(self, *arguments: str | Path, text: bytes | None = None) -> str:
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, f"{self.program.name} {arguments}:\n{done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout.decode()

    def run(self, *arguments: str | Path, text: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        argv = [str(self.program), *map(str, arguments)]
        return subprocess.run(argv, input=text if text is not None else b"", capture_output=True, check=False)

    def refusal(self, *arguments: str | Path) -> str:
        """What it says when it refuses, which it must."""
        done = self.run(*arguments)
        assert done.returncode != 0, done.stdout.decode()
        return done.stderr.decode()


def _tool(provide: Callable[[], Path]) -> Tool:
    try:
        return Tool(provide())
    except AssetsMissing as error:
        warnings.warn(pytest.PytestWarning(f"PACKAGING IS NOT TESTED WHOLE: {error}"), stacklevel=1)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def helm_() -> Tool:
    return _tool(helm.provide)


@pytest.fixture(scope="session")
def kubectl() -> Tool:
    return _tool(lambda: assets.provide(kubernetes_version(), ["kubectl"]).kubernetes["kubectl"])


@pytest.fixture(scope="session")
def promtool_() -> Tool:
    return _tool(promtool.provide)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """One for the session; what a test installs in it stays for the others."""
    with ControlPlane() as cp:
        yield cp
