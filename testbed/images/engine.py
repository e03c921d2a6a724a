"""Builds a Dockerfile by a real engine: by Docker where its daemon answers, else by Debian's buildah, without a daemon.

Buildah runs each RUN by chroot, and keeps what it makes in a folder that is gone after the build. It needs no registry:
the base that the Dockerfile names, a Debian, is a bare one by debootstrap with this machine's package sources. Neither
is in the image, whose last stage is FROM scratch. Two builds of the same files and packages give the same bytes.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from pathlib import Path

from testbed import bareroot
from testbed.bareroot import StepFailed
from testbed.found import AssetsMissing
from testbed.images.archive import without_build_container

EPOCH = 0
"""Time of all files and of the image itself, seconds since 1970."""
BASE = re.compile(r"^ARG BASE=(debian:(\w+)-slim)$", re.MULTILINE)


@functools.cache
def has_docker() -> bool:
    """Whether a daemon of Docker answers: the client alone builds nothing."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    return bareroot.output_of([docker, "version", "--format", "{{.Server.Version}}"], seconds=30).returncode == 0


def build(context: Path, reference: str, archive: Path, *, epoch: int = EPOCH) -> None:
    """Builds the Dockerfile of a folder into an archive, as ``docker save`` writes it.

    Args:
        context: the folder.
        reference: the image's name in the archive, with a tag.
        archive: the file to write.
        epoch: time of all files.

    Raises:
        AssetsMissing: there is no engine, or the build failed; the message has its last lines.
    """
    try:
        if has_docker():
            _docker(context, reference, archive, epoch)
        else:
            _buildah(context, reference, archive, epoch)
    except StepFailed as error:
        raise AssetsMissing(f"the image of {context / 'Dockerfile'} cannot be built: {error}") from error


def _docker(context: Path, reference: str, archive: Path, epoch: int) -> None:
    # BuildKit takes the variable as the image's time, and passes it to the Dockerfile.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "DOCKER_BUILDKIT": "1"}
    bareroot.run(["docker", "build", "--tag", reference, str(context)], environment)
    bareroot.run(["docker", "save", "--output", str(archive), reference])


def _buildah(context: Path, reference: str, archive: Path, epoch: int) -> None:
    program = shutil.which("buildah", path=bareroot.PATH)
    if program is None or os.geteuid() != 0:
        raise AssetsMissing("images are built by Docker, or by root with buildah (Debian: apt-get install buildah)")
    base = BASE.search((context / "Dockerfile").read_text())
    if base is None or base[2] != bareroot.RELEASE:
        raise AssetsMissing(f"{context / 'Dockerfile'} must begin with ARG BASE=debian:{bareroot.RELEASE}-slim")
    with tempfile.TemporaryDirectory(prefix=".build-", dir=archive.parent) as folder:
        argv = [program, "--storage-driver=vfs", f"--root={folder}/storage", f"--runroot={folder}/run"]
        environment = {**os.environ, "TMPDIR": folder}

        def buildah(*arguments: str) -> str:
            return bareroot.run([*argv, *arguments], environment).strip()

        working = buildah("from", "scratch")
        variables = {"PATH": bareroot.PATH, **bareroot.copy_to(Path(buildah("mount", working)))}
        buildah("config", *(f"--env={name}={value}" for name, value in variables.items()), working)
        buildah("commit", "--quiet", "--rm", working, base[1])
        how = ["--isolation=chroot", "--network=host", "--pull-never", "--format=docker", "--identity-label=false"]
        how += [f"--timestamp={epoch}", f"--build-arg=SOURCE_DATE_EPOCH={epoch}", f"--tag={reference}"]
        buildah("build", *how, str(context))
        buildah("push", "--quiet", reference, f"docker-archive:{folder}/saved.tar:{reference}")
        without_build_container(Path(folder) / "saved.tar", archive)
