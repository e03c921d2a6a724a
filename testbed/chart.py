"""Copies into the chart what it shares with manifests/, or says that a copy is stale.

A chart can only read files inside its own folder, and symbolic links do not survive every archive and checkout. So the
chart has copies, byte for byte, of all that it renders as it is; ``make check`` fails if one has drifted.

python -m testbed.chart            write manifests/chart/files
python -m testbed.chart --check    exit status 1, and one line per file, if it is not what manifests/ says
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed.manifests import MANIFESTS

SHARED = (
    "crds/*.yaml",
    "rbac/*.yaml",
    "policies/*.yaml",
    "monitoring/alerts/prometheusrule.yaml",
    "monitoring/dashboard/decco.json",
)


def stale(manifests: Path) -> dict[str, bytes | None]:
    """Copies that are not as they should be: path below the chart's ``files`` -> content, None for one too many."""
    wanted = {str(path.relative_to(manifests)): path.read_bytes() for glob in SHARED for path in manifests.glob(glob)}
    folder = manifests / "chart" / "files"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: wanted.get(name) for name in sorted(wanted.keys() | found) if wanted.get(name) != found.get(name)}


def main(argv: Sequence[str] | None = None, manifests: Path = MANIFESTS) -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.chart", description="Copy manifests into the chart.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a copy is stale")
    check = parser.parse_args(argv).check
    drifted = stale(manifests)
    for name, content in drifted.items():
        target = manifests / "chart" / "files" / name
        if check:
            sys.stderr.write(f"manifests/chart/files/{name} is stale: run `make generate` and commit the result\n")
        elif content is None:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return 1 if drifted and check else 0


if __name__ == "__main__":
    sys.exit(main())
