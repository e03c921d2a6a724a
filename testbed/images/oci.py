"""Writes images as OCI archives, https://github.com/opencontainers/image-spec (v1.1): one tar file that holds an image
layout, as `ctr images import` and `docker load` read it.

The same content gives the same bytes: names are sorted, all times are 0, all files belong to root. Layers are not
compressed: they travel from one folder of a machine to another.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from testbed import cache

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

FULL_NAME = "io.containerd.image.name"
"""Annotation in the index from which containerd takes an image's name; the standard's own is for the tag only."""
TAG = "org.opencontainers.image.ref.name"

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NONROOT = "65532:65532"
"""Numbers, since the kubelet cannot derive ``runAsNonRoot`` from a name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is at one path: a file with these bytes or those of this file on disk, or a folder where that is None."""

    content: bytes | Path | None
    mode: int


Layer = Mapping[str, Entry]
"""Path below the root, as ``usr/bin/envoy``, to what is there. Folders on the way there need no entry of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How a container of the image starts, in the words of a Dockerfile; ``ports`` as ``8080/tcp``."""

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    user: str = NONROOT
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    ports: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self, diff_ids: Sequence[str]) -> dict[str, Any]:
        """The image's configuration for layers with these digests of their uncompressed bytes."""
        process: dict[str, Any] = {
            "User": self.user,
            "Env": [f"{name}={value}" for name, value in sorted({"PATH": PATH, **self.env}.items())],
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "WorkingDir": self.workdir,
            "ExposedPorts": {port: {} for port in self.ports},
            "Labels": dict(self.labels),
        }
        system, processor = cache.go_platform()
        return {
            "architecture": processor,
            "os": system,
            "config": {key: value for key, value in process.items() if value},
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        }


def file(content: bytes | str | Path, mode: int = 0o644) -> Entry:
    """A file: bytes, text, or a file on disk, whose own mode does not count."""
    return Entry(content.encode() if isinstance(content, str) else content, mode)


def program(content: bytes | Path) -> Entry:
    """A file that anybody may execute."""
    return Entry(content, 0o755)


def folder(mode: int = 0o755) -> Entry:
    """A folder; 0o1777 for one as /tmp."""
    return Entry(None, mode)


def tree(root: Path) -> dict[str, Entry]:
    """All files and folders below a folder on disk, with their modes.

    Raises:
        ValueError: there is something else, as a link or a device.
    """
    found: dict[str, Entry] = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        mode = stat.S_IMODE(info.st_mode)
        name = path.relative_to(root).as_posix()
        if stat.S_ISREG(info.st_mode):
            found[name] = Entry(path, mode)
        elif stat.S_ISDIR(info.st_mode):
            found[name] = Entry(None, mode)
        else:
            raise ValueError(f"{path} is neither a file nor a folder: an image here holds nothing else")
    return found


def write(target: Path, reference: str, layers: Iterable[Layer], config: Config) -> None:
    """Writes an archive.

    Args:
        target: the file to write.
        reference: the image's full name with a tag, as ``testbed.decco.invalid/echo:1``.
        layers: lowest first; a path in a later one covers that of an earlier one.
        config: how a container starts.

    Raises:
        ValueError: a name without a registry or a tag, or a path that leads out of the image.
    """
    name, colon, tag = reference.rpartition(":")
    if not colon or not tag or "/" in tag or "/" not in name:
        raise ValueError(f"image reference {reference!r}: write it as registry/name:tag")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".layers-") as scratch:
        blobs: dict[str, bytes | Path] = {}
        descriptors = [_layer(layer, Path(scratch), blobs) for layer in layers]
        document = config.document([descriptor["digest"] for descriptor in descriptors])
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _json_blob(CONFIG, document, blobs),
            "layers": descriptors,
        }
        listed = {
            **_json_blob(MANIFEST, manifest, blobs),
            "platform": {key: document[key] for key in ("architecture", "os")},
            "annotations": {FULL_NAME: reference, TAG: tag},
        }
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]}
        archive: dict[str, Entry] = {
            "oci-layout": file(_json({"imageLayoutVersion": "1.0.0"})),
            "index.json": file(_json(index)),
            **{f"blobs/sha256/{digest.removeprefix('sha256:')}": file(blob) for digest, blob in blobs.items()},
        }
        write_tar(target, archive)


def write_tar(target: Path, entries: Layer) -> None:
    """Writes a tar file: sorted, all of root, of 1970. Raises ValueError for a path that leads out of it."""
    with target.open("wb") as output:
        _tar(output, entries)


def _layer(layer: Layer, scratch: Path, blobs: dict[str, bytes | Path]) -> dict[str, Any]:
    path = scratch / str(len(blobs))
    with path.open("wb") as output:
        _tar(output, layer)
    with path.open("rb") as written:
        digest = f"sha256:{hashlib.file_digest(written, 'sha256').hexdigest()}"
    blobs[digest] = path
    return {"mediaType": LAYER, "digest": digest, "size": path.stat().st_size}


def _json_blob(media_type: str, document: Mapping[str, Any], blobs: dict[str, bytes | Path]) -> dict[str, Any]:
    content = _json(document)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blobs[digest] = content
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _tar(output: IO[bytes], entries: Layer) -> None:
    """Writes entries and the folders that they are in, sorted, so that each folder comes before its content."""
    whole: dict[PurePosixPath, Entry] = {}
    for name, entry in entries.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"{name!r} is no path below the root of an image")
        for parent in path.parents[:-1]:
            whole.setdefault(parent, folder())
        whole[path] = entry
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, entry in sorted(whole.items(), key=lambda pair: pair[0].parts):
            _add(tar, str(path), entry)


def _add(tar: tarfile.TarFile, name: str, entry: Entry) -> None:
    # A new TarInfo has owner 0, no owner's name and time 0.
    info = tarfile.TarInfo(name)
    info.mode = entry.mode
    match entry.content:
        case None:
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        case bytes() as content:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        case path:
            with path.open("rb") as source:
                info.size = os.fstat(source.fileno()).st_size
                tar.addfile(info, source)
