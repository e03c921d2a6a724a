"""The image of the controller, the same as the Dockerfile's: its content by build_root.py, its configuration read out
of the Dockerfile itself.
"""

from __future__ import annotations

from pathlib import Path

from images.controller import build_root
from images.stunnel import build_root as base
from testbed.found import AssetsMissing
from testbed.images import debian, oci
from testbed.images.recipe import config_of
from testbed.images.shelf import Image, provide


def controller() -> Image:
    """decco-controller, with ``decco`` beside it, of this checkout as it is now.

    Raises:
        AssetsMissing: this is not a Debian with the packages that build_root.py names, or no package index answers.
    """
    checkout = build_root.CHECKOUT
    python = build_root.PYTHON.resolve().name
    packages = [part.format(python=python) for part in build_root.PARTS]
    ingredients: list[str | bytes | Path] = [Path(__file__), build_root.HERE, base.HERE / "build_root.py"]
    ingredients += [debian.versions(*build_root.PACKAGES, *packages), *(checkout / name for name in build_root.SOURCES)]

    def layers(scratch: Path) -> list[oci.Layer]:
        root = scratch / "root"
        try:
            build_root.build_root(root)
        except build_root.BuildError as error:
            raise AssetsMissing(f"the controller's image cannot be made: {error}") from error
        return [oci.tree(root)]

    return provide("controller", config_of((checkout / "Dockerfile").read_text()), ingredients, layers)
