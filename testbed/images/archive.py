"""An image's archive in the form of ``docker save``: its layers as a folder, and how its containers start."""

from __future__ import annotations

import hashlib
import io
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
                # As an attribute: Python before 3.11.4, as Debian 12 has it, knows no argument "filter".
                layer.extraction_filter = lambda member, _: member
                layer.extractall(folder)
        document: dict[str, Any] = json.load(_member(tar, manifest["Config"]))
    return dict(document["config"])


def digest(archive: Path) -> str:
    """The digest of an image's configuration, which names the digests of its layers."""
    with tarfile.open(archive) as tar:
        [manifest] = json.load(_member(tar, "manifest.json"))
    return str(manifest["Config"])


def without_build_container(saved: Path, archive: Path) -> None:
    """Copies an archive without the random names that buildah gives to the container in which it builds.

    They are in the configuration of an image in the format of Docker, which is the one that has HEALTHCHECK, and would
    make each build another image.
    """
    with tarfile.open(saved) as source, tarfile.open(archive, "w") as target:
        [manifest] = json.load(_member(source, "manifest.json"))
        document = json.load(_member(source, manifest["Config"]))
        for name in ("container", "container_config"):
            document.pop(name, None)
        document["config"].pop("Hostname", None)
        content = json.dumps(document, sort_keys=True).encode()
        manifest["Config"] = f"{hashlib.sha256(content).hexdigest()}.json"
        for name in manifest["Layers"]:
            target.addfile(source.getmember(name), _member(source, name))
        for name, text in ((manifest["Config"], content), ("manifest.json", json.dumps([manifest]).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            target.addfile(info, io.BytesIO(text))


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None
    return file
