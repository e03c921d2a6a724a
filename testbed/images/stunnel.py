"""The image of the TLS sidecar, the same as the Dockerfile's: its content by build_root.py, its configuration read out
of the Dockerfile itself, so that there is nothing to drift apart.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from images.stunnel import build_root
from testbed.found import AssetsMissing
from testbed.images import debian, oci
from testbed.images.recipe import config_of
from testbed.images.shelf import Image, provide


def stunnel() -> Image:
    """The sidecar that decco puts into pods.

    Raises:
        AssetsMissing: this is not a Debian with the packages that build_root.py names.
    """
    ingredients: list[str | bytes | Path] = [Path(__file__), build_root.HERE, debian.versions(*build_root.PACKAGES)]
    ingredients += [_compiler(), build_root.STUNNEL, *debian.libraries(build_root.STUNNEL)]

    def layers(scratch: Path) -> list[oci.Layer]:
        root = scratch / "root"
        try:
            build_root.build_root(root)
        except build_root.BuildError as error:
            raise AssetsMissing(f"the sidecar's image cannot be made: {error}") from error
        return [oci.tree(root)]

    return provide("stunnel", config_of((build_root.HERE / "Dockerfile").read_text()), ingredients, layers)


def _compiler() -> str:
    """Its own version, which the package gcc does not contain: that package only depends on it."""
    return subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout
