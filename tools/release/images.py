"""The images as OCI archives, of this machine's architecture: built by the Dockerfiles, converted by buildah.

``testbed.images.built`` builds them in the format of Docker, with times of 1970, so that the layers of a release are
those of ``make images`` on the same files. Here they get the format of OCI and annotations with version and commit.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decco import __version__
from testbed import bareroot, cache
from testbed.found import AssetsMissing
from testbed.images import built, oci
from testbed.images.shelf import Image
from tools.release.parts import ReleaseFailed, run

REGISTRY = "ghcr.io/decco-project"
"""As the manifests and the settings have it; a unit test compares them."""
IMAGES = {"controller": built.controller, "stunnel": built.stunnel}


def build(folder: Path, annotations: Mapping[str, str]) -> dict[str, Path]:
    """Name of the image -> its archive, of this machine's architecture.

    Raises:
        ReleaseFailed: there is no buildah, or an image cannot be built.
    """
    try:
        images = {name: make() for name, make in IMAGES.items()}
    except AssetsMissing as error:
        raise ReleaseFailed(str(error)) from error
    return {name: _convert(name, image, folder, annotations) for name, image in images.items()}


def digest(archive: Path) -> str:
    """By which a registry serves the archive's image: of its manifest."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        return str(json.load(index)["manifests"][0]["digest"])


def _convert(name: str, image: Image, folder: Path, annotations: Mapping[str, str]) -> Path:
    program = shutil.which("buildah", path=bareroot.PATH)
    if program is None or os.geteuid() != 0:
        raise ReleaseFailed("OCI archives are written by buildah as root (Debian: apt-get install buildah)")
    architecture = cache.go_platform()[1]
    with tempfile.TemporaryDirectory(prefix=".release-", dir=folder) as scratch:
        argv = [program, "--storage-driver=vfs", f"--root={scratch}/storage", f"--runroot={scratch}/run"]
        where = {"TMPDIR": scratch}
        identifier = run(*argv, "pull", "--quiet", f"docker-archive:{image.archive}", variables=where).decode().strip()
        layout = Path(scratch) / "layout"
        run(*argv, "push", "--quiet", "--format=oci", identifier, f"oci:{layout}:{__version__}", variables=where)
        _annotate(layout, f"{REGISTRY}/{name}:{__version__}", architecture, annotations)
        target = folder / f"decco-{name}-{__version__}-linux-{architecture}.oci.tar"
        oci.write_tar(target, oci.tree(layout))
    return target


def _annotate(layout: Path, reference: str, architecture: str, annotations: Mapping[str, str]) -> None:
    index = json.loads((layout / "index.json").read_text())
    [listed] = index["manifests"]
    blobs = layout / "blobs" / "sha256"
    old = blobs / listed["digest"].removeprefix("sha256:")
    manifest: dict[str, Any] = {**json.loads(old.read_text()), "annotations": dict(annotations)}
    content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    old.unlink()
    name = hashlib.sha256(content).hexdigest()
    (blobs / name).write_bytes(content)
    listed |= {
        "digest": f"sha256:{name}",
        "size": len(content),
        "platform": {"architecture": architecture, "os": "linux"},
        "annotations": {oci.FULL_NAME: reference, oci.TAG: __version__},
    }
    (layout / "index.json").write_text(json.dumps(index, sort_keys=True, separators=(",", ":")))
