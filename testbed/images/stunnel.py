"""The image of the TLS sidecar, the same as the Dockerfile's: its content by build_root.py, its configuration read out
of the Dockerfile itself, so that there is nothing to drift apart.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from images.stunnel import build_root
from testbed.found import AssetsMissing
from testbed.images import debian, oci
from testbed.images.shelf import Image, provide

BUILD_ONLY = {"COPY", "RUN"}
"""Instructions of the last stage that say nothing about how a container starts."""


def stunnel() -> Image:
    """The sidecar that decco puts into pods.

    Raises:
        AssetsMissing: this is no Debian with the packages that build_root.py names.
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
    """Its own version, which the package gcc does not tell: that one only depends on it."""
    return subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout


def config_of(dockerfile: str) -> oci.Config:
    """How a container starts according to the last stage of a Dockerfile, which must be made from scratch.

    Raises:
        ValueError: an instruction that is not known here.
    """
    logical = dockerfile.replace("\\\n", " ").splitlines()
    lines = [line.split(maxsplit=1) for line in logical if line.strip() and not line.lstrip().startswith("#")]
    start = max((number for number, line in enumerate(lines) if line[0] == "FROM"), default=None)
    if start is None or lines[start] != ["FROM", "scratch"]:
        raise ValueError("the Dockerfile's last stage is not FROM scratch, so this is not its image")
    found: dict[str, Any] = {}
    for instruction, rest in lines[start + 1 :]:
        match instruction:
            case "ENTRYPOINT" | "CMD":
                found[instruction.lower()] = tuple(json.loads(rest))
            case "USER":
                found["user"] = rest.strip()
            case "LABEL":
                pairs = (word.split("=", 1) for word in shlex.split(rest))
                found["labels"] = {**found.get("labels", {}), **dict(pairs)}
            case _ if instruction not in BUILD_ONLY:
                raise ValueError(f"{instruction} in the Dockerfile's last stage is not known to {__name__}")
    return oci.Config(**found)
