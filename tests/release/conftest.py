"""A release of this commit, built once for all tests: minutes, and root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 1800
"""With images that are not cached, and programs that are built first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(2 * SECONDS))


def build(folder: Path, **variables: str) -> str:
    """``make release`` into a folder; what it prints."""
    argv = [sys.executable, "-m", "tools.release", "--to", str(folder)]
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.geteuid() != 0:
        pytest.skip("OCI archives are written by buildah as root")
    folder = tmp_path_factory.mktemp("release") / "dist"
    print(build(folder))
    return folder
