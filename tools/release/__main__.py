"""Builds a release: python -m tools.release [--to dist] [--without-images]

Prints each part with its size, and writes SHA256SUMS, and release.json with the digests by which registries serve the
images and the chart. Exit status 2 if a part cannot be built here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from decco import __version__
from testbed import registry
from testbed.found import AssetsMissing
from testbed.progress import step
from tools.release import bundle, images, parts, pushed, sbom

SUMS = "SHA256SUMS"
INDEX = "release.json"


def build(folder: Path, *, with_images: bool = True) -> dict[str, Any]:
    """Builds all parts into an empty folder; returns the content of release.json.

    Raises:
        ReleaseFailed: see the parts.
        AssetsMissing: a program that makes a part cannot be had.
    """
    epoch, commit = parts.commit_time(), parts.commit()
    index: dict[str, Any] = {"version": __version__, "commit": commit, "epoch": epoch, "images": {}}
    with step("packing wheel, source archive, manifests, chart and bundle"):
        parts.python(folder, epoch)
        parts.manifests(folder)
        chart = parts.chart(folder, epoch)
        archive = bundle.write(folder, epoch)
    index["images"][archive.name] = images.digest(archive)
    if with_images:
        annotations = {
            "org.opencontainers.image.version": __version__,
            "org.opencontainers.image.revision": commit,
            "org.opencontainers.image.source": bundle.REPOSITORY,
        }
        for name, image in images.build(folder, annotations).items():
            index["images"][image.name] = images.digest(image)
            with step(f"listing what is in the image {name}"):
                sbom.write(name, image, epoch)
    with tempfile.TemporaryDirectory(prefix="decco-registry-") as scratch, registry.serving(Path(scratch)) as address:
        index["chart"] = {chart.name: pushed.chart(chart, address)}
    return index


def checksums(folder: Path) -> str:
    """As ``sha256sum --check`` reads them."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != SUMS:
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder)}\n")
    return "".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description="Build a release.")
    parser.add_argument("--to", type=Path, default=parts.CHECKOUT / "dist", help="folder; what is in it is removed")
    parser.add_argument("--without-images", action="store_true", help="only what needs no container engine")
    arguments = parser.parse_args(argv)
    folder: Path = arguments.to.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / INDEX).exists():
        sys.stderr.write(f"{folder} is not a folder of an earlier release: name an empty one\n")
        return 2
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        index = build(folder, with_images=not arguments.without_images)
    except (parts.ReleaseFailed, AssetsMissing) as error:
        sys.stderr.write(f"release: {error}\n")
        return 2
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")
    (folder / SUMS).write_text(checksums(folder))
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        sys.stdout.write(f"{path.stat().st_size:>12,}  {os.path.relpath(path)}\n")
    for name, digest in sorted({**index["images"], **index["chart"]}.items()):
        sys.stdout.write(f"{digest}  {name}\n")
    if index["commit"].endswith("-dirty"):
        sys.stderr.write("release: the checkout has changes that are not committed: for tests only\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
