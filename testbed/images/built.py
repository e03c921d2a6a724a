"""The images of this repository's Dockerfiles, the controller's and the sidecar's: as an operator builds them.

python -m testbed.images.built        builds both (make images), prints their names, archives and sizes
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from testbed.found import AssetsMissing
from testbed.images import engine
from testbed.images.shelf import Image, kept
from testbed.progress import step

CHECKOUT = Path(__file__).resolve().parents[2]
SIDECAR = CHECKOUT / "images" / "stunnel"
COPIED = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)


def controller() -> Image:
    """decco-controller, with ``decco`` beside it, of this checkout as it is now.

    Raises:
        AssetsMissing: there is no engine, or the build failed.
    """
    return _built("controller", CHECKOUT)


def stunnel() -> Image:
    """The TLS sidecar that decco puts into pods; raises as ``controller``."""
    return _built("stunnel", SIDECAR)


def inputs(context: Path) -> Iterator[str | Path]:
    """The Dockerfile of a folder, and all that it copies from there, each with its name."""
    dockerfile = context / "Dockerfile"
    yield dockerfile
    for names in COPIED.findall(dockerfile.read_text()):
        for name in names.split():
            yield name
            yield context / name


def _built(name: str, context: Path) -> Image:
    def write(reference: str, archive: Path) -> None:
        with step(f"building the image {name}"):
            engine.build(context, reference, archive)

    return kept(name, inputs(context), write)


def main(names: Sequence[str] = ()) -> int:
    """Builds the named images, without names both. Exit status 2 if one cannot be built here."""
    known = {"controller": controller, "stunnel": stunnel}
    try:
        for image in (known[name]() for name in names or known):
            print(f"{image.reference}  {image.archive}  {image.size / 1e6:.1f} MB")
    except AssetsMissing as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
