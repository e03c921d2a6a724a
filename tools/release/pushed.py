"""The chart as an artifact of a registry: pushed by Helm to one on loopback, and pulled back."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from decco import __version__
from testbed import helm
from tools.release.parts import ReleaseFailed, run

PATH = "decco-project/charts"
DIGEST = re.compile(r"^Digest: (sha256:[0-9a-f]{64})$", re.MULTILINE)


def chart(archive: Path, address: str) -> str:
    """Pushes the chart and pulls it back; returns the digest of its manifest, which every registry gives it.

    Raises:
        ReleaseFailed: Helm refused, or what comes back are other bytes.
    """
    program = helm.provide()
    with tempfile.TemporaryDirectory(prefix="decco-pull-") as scratch:
        # Its own folders: neither credentials nor repositories of whoever builds the release. The artifact has a time
        # in the local zone.
        where = {"HELM_CONFIG_HOME": scratch, "HELM_CACHE_HOME": scratch, "HELM_DATA_HOME": scratch, "TZ": "UTC"}
        repository = f"oci://{address}/{PATH}"
        run(program, "push", archive, repository, "--plain-http", variables=where)
        pull = ["pull", f"{repository}/decco", "--version", __version__, "--plain-http", "--destination", scratch]
        said = run(program, *pull, cwd=Path(scratch), with_errors=True, variables=where).decode()
        if (Path(scratch) / archive.name).read_bytes() != archive.read_bytes():
            raise ReleaseFailed(f"the registry returns another {archive.name} than was pushed")
    found = DIGEST.search(said)
    if found is None:
        raise ReleaseFailed(f"helm pull names no digest:\n{said}")
    return found[1]
