"""Reads an image's archive in the form of ``docker save``: its layers as a folder, and how its containers start."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import IO, Any

WHITEOUT = ".wh."


def unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Fills a folder with an image's files, and returns its configuration.

    The words of the configuration are those of a Dockerfile: ``Entrypoint``, ``Cmd``, ``User``, ``Healthcheck``. Root
    gets the files with their owners.

    Raises:
        ValueError: a layer removes what a lower one has, which no image of ours does.
    """
    with tarfile.open(archive) as tar:
        [manifest] = json.load(_member(tar, "manifest.json"))
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=_member(tar, name)) as layer:
                if removed := [each.name for each in layer if Path(each.name).name.startswith(WHITEOUT)]:
                    raise ValueError(f"{archive} removes {removed[0]}")
                layer.extractall(folder, filter="fully_trusted")
        document: dict[str, Any] = json.load(_member(tar, manifest["Config"]))
    return dict(document["config"])


def digest(archive: Path) -> str:
    """The digest of an image's configuration, which names the digests of its layers."""
    with tarfile.open(archive) as tar:
        [manifest] = json.load(_member(tar, "manifest.json"))
    return str(manifest["Config"])


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None
    return file
