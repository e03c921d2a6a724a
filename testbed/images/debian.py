"""Parts of images that come from this machine's packages, by the description of the sidecar's image."""

from __future__ import annotations

from pathlib import Path

from images.stunnel import build_root
from testbed.found import AssetsMissing


def authorities() -> str:
    """The authorities of the Web as one PEM file, those of the package ca-certificates alone.

    Raises:
        AssetsMissing: the package is not there.
    """
    if not build_root.AUTHORITIES.is_dir():
        raise AssetsMissing(f"{build_root.AUTHORITIES} is missing: install the package ca-certificates (Debian)")
    return build_root.authorities()


def libraries(program: Path) -> list[Path]:
    """The loader and the shared libraries of a program, by the paths at which the loader searches them.

    Raises:
        AssetsMissing: they are not to be found on this machine.
    """
    try:
        return build_root.libraries(program)
    except (build_root.BuildError, FileNotFoundError) as error:
        raise AssetsMissing(f"the libraries of {program} are not to be found: {error}") from error
