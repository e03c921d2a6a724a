"""Programs that are already installed on this machine, and the error when one is not."""

from __future__ import annotations

import os
from pathlib import Path

GIVEN = "KUBEBUILDER_ASSETS"
"""Environment variable with a folder of programs, as `setup-envtest` prints it."""


class AssetsMissing(RuntimeError):
    """A program is neither here nor can be had; the message says what was tried and what to install."""


def program(path: Path) -> Path | None:
    """The path itself if there is an executable file."""
    return path if path.is_file() and os.access(path, os.X_OK) else None


def given(name: str) -> Path | None:
    """The program in ``$KUBEBUILDER_ASSETS``, if that is set and has it."""
    folder = os.environ.get(GIVEN)
    return program(Path(folder) / name) if folder else None
