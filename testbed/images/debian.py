"""Parts of images that come from this machine's packages, by the description of the sidecar's image."""

from __future__ import annotations

import shutil
import subprocess
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


def versions(*packages: str) -> str:
    """Name and version of each package, a line each.

    Raises:
        AssetsMissing: one of them is not installed, or this is not Debian.
    """
    query = shutil.which("dpkg-query")
    if query is None:
        raise AssetsMissing(f"this needs Debian with the packages {' '.join(packages)}")
    argv = [query, "--show", "--showformat=${binary:Package} ${Version} ${db:Status-Status}\n", *packages]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0 or any(not line.endswith(" installed") for line in done.stdout.splitlines()):
        raise AssetsMissing(f"install the packages {' '.join(packages)} (as root: apt-get install)")
    return done.stdout
