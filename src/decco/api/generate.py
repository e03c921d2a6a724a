"""Writes the files that are generated from the models into a checkout, or reports that the checkout is stale.

python -m decco.api.crd            write manifests/crds and docs/reference
python -m decco.api.crd --check    exit status 1, and one line per file, if they differ from the models
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from decco.api.crd import crds, to_yaml
from decco.api.reference import reference

CHECKOUT = Path(__file__).resolve().parents[3]


def outputs() -> dict[str, str]:
    """Path in the checkout -> content, of every generated file."""
    files = {}
    for crd in crds():
        names = crd["spec"]["names"]
        files[f"manifests/crds/{crd['spec']['group']}_{names['plural']}.yaml"] = to_yaml([crd])
        files[f"docs/reference/{names['singular']}.md"] = reference(crd)
    return files


def main(argv: Sequence[str] | None = None, root: Path = CHECKOUT) -> int:
    parser = argparse.ArgumentParser(prog="python -m decco.api.crd", description="Generate CRDs and their reference.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a file is stale")
    arguments = parser.parse_args(argv)
    if not (root / "manifests").is_dir():
        sys.stderr.write(f"{root} is not a checkout of decco: it has no folder manifests\n")
        return 2
    stale = {name: text for name, text in outputs().items() if _read(root / name) != text}
    for name, text in stale.items():
        if arguments.check:
            sys.stderr.write(f"{name} is stale: run `python -m decco.api.crd` and commit the result\n")
        else:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{name} written\n")
    return 1 if stale and arguments.check else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
