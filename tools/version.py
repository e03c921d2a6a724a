"""Writes the version of decco, ``__version__`` of src/decco, to the files that need it as text.

The Python package reads it from there itself (pyproject.toml); manifests, the chart and the guides cannot.
``python -m tools.generate`` runs this with all other generators.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from decco import __version__

CHECKOUT = Path(__file__).resolve().parents[1]
MINOR = __version__.rpartition(".")[0]
"""The sidecar's image by default: its fixes reach pods without a new version of decco."""
PLACES = (
    ("manifests/chart/Chart.yaml", r"(?m)(?<=^version: ).+", __version__),
    ("manifests/chart/Chart.yaml", r"(?m)(?<=^appVersion: ).+", __version__),
    ("manifests/controller/deployment.yaml", r"(?<=ghcr\.io/decco-project/controller:)\S+", __version__),
    ("docs/install.md", r"(?<=newName: registry\.example\.com/decco/controller, newTag: )[^}]+", __version__),
    ("src/decco/settings/model.py", r"(?<=ghcr\.io/decco-project/stunnel:)[^\"]+", MINOR),
)
"""File, pattern of the text to replace, and what it is to be."""


def outputs(root: Path = CHECKOUT) -> Mapping[str, str]:
    """Path in the checkout -> content.

    Raises:
        ValueError: a file no longer has the place, so that its version would stay behind.
    """
    files: dict[str, str] = {}
    for name, pattern, text in PLACES:
        found = files.get(name) or (root / name).read_text(encoding="utf-8")
        files[name], count = re.subn(pattern, text, found)
        if count != 1:
            raise ValueError(f"{name} has {count} places of {pattern}: correct PLACES in tools/version.py")
    return files
