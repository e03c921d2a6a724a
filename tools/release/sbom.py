"""The list of what is in an image, by ``spdx.py`` in the environment of releases, ``.venv-release``."""

from __future__ import annotations

from pathlib import Path

from decco import __version__
from tools.release.parts import CHECKOUT, ReleaseFailed, run

PYTHON = CHECKOUT / ".venv-release" / "bin" / "python"


def write(name: str, archive: Path, epoch: int) -> Path:
    """Writes the document beside an image's archive, and returns its path.

    Raises:
        ReleaseFailed: the environment is missing, the image cannot be read, or the document would be invalid.
    """
    if not PYTHON.exists():
        raise ReleaseFailed(f"{PYTHON} is missing: run make release, which makes it")
    target = archive.with_name(archive.name.removesuffix(".oci.tar") + ".spdx.json")
    run(PYTHON, Path(__file__).with_name("spdx.py"), archive, f"decco-{name}", __version__, str(epoch), target)
    return target
