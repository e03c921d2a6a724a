"""Wheel, source archive, manifests and chart: what is packed from the checkout without a container engine."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from decco import __version__
from testbed import assets, helm
from testbed.versions import kubernetes_version

CHECKOUT = Path(__file__).resolve().parents[2]
MANIFESTS = CHECKOUT / "manifests"
FIRST_OF_ZIP = 315532800
"""1980-01-01: a wheel is a zip file, which knows no earlier time."""


class ReleaseFailed(RuntimeError):
    """A part cannot be built; the message has what the program said."""


def run(
    *argv: str | Path, cwd: Path = CHECKOUT, with_errors: bool = False, variables: Mapping[str, str] | None = None
) -> bytes:
    """What a program prints, ``with_errors`` also what it reports, run with further environment variables. Raises
    ReleaseFailed.
    """
    # Programs of the environment of developers must not find this checkout by the path of its tools.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603 - no user's text
        [str(each) for each in argv],
        cwd=cwd,
        env={**environment, **(variables or {})},
        input=b"",
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise ReleaseFailed(f"{argv[0]} ended with status {done.returncode}:\n{said}")
    return done.stdout + (done.stderr if with_errors else b"")


def commit_time() -> int:
    """Seconds since 1970 of the commit: the time of everything that needs one. ``$SOURCE_DATE_EPOCH`` overrides it."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    return int(run("git", "log", "-1", "--format=%ct"))


def commit() -> str:
    """The commit's hash, with ``-dirty`` if the checkout has changes: such a release is for tests only."""
    changed = run("git", "status", "--porcelain").strip()
    return run("git", "rev-parse", "HEAD").decode().strip() + ("-dirty" if changed else "")


def python(folder: Path, epoch: int) -> list[Path]:
    """Wheel and source archive."""
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    run(*build, variables={"SOURCE_DATE_EPOCH": str(max(epoch, FIRST_OF_ZIP))})
    return sorted([*folder.glob("*.whl"), *folder.glob("decco-*.tar.gz")])


def manifests(folder: Path) -> list[Path]:
    """``kubectl apply -f`` of the first is the same as ``apply -k manifests`` of this checkout; the second has the
    policies alone, for installations that bring the rest by another way.
    """
    kubectl = assets.provide(kubernetes_version(), ["kubectl"]).kubernetes["kubectl"]
    whole = folder / f"decco-{__version__}.yaml"
    whole.write_bytes(run(kubectl, "kustomize", MANIFESTS))
    policies = folder / f"decco-{__version__}-policies.yaml"
    policies.write_text("---\n".join(path.read_text() for path in sorted((MANIFESTS / "policies").glob("*.yaml"))))
    return [whole, policies]


def chart(folder: Path, epoch: int) -> Path:
    """The chart's archive, as Helm packs it but for the times, which it takes from the clock."""
    with tempfile.TemporaryDirectory(prefix="decco-chart-") as scratch:
        run(helm.provide(), "package", MANIFESTS / "chart", "--destination", scratch)
        [packed] = Path(scratch).iterdir()
        target = folder / packed.name
        target.write_bytes(_of_one_time(packed.read_bytes(), epoch))
    # Helm takes the time of the artifact in a registry from that of the file.
    os.utime(target, (epoch, epoch))
    return target


def _of_one_time(archive: bytes, epoch: int) -> bytes:
    raw = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as source,
        tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda each: each.name):
            info = tarfile.TarInfo(member.name)
            info.size, info.mode, info.mtime = member.size, 0o644, epoch
            target.addfile(info, source.extractfile(member))
    return gzip.compress(raw.getvalue(), mtime=0)
