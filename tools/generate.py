"""Writes the files that are generated from the code into a checkout, or reports that the checkout is stale.

python -m tools.generate            write the CRDs, the pages of docs/reference and the list of message codes
python -m tools.generate --check    exit status 1, and one line per file, if they differ from the code
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools import cli_page, dns_page, first_hour_page, messages_page, metrics_page, picture, settings_page, version
from tools.crd import kinds

CHECKOUT = Path(__file__).resolve().parents[1]

GENERATORS: tuple[Callable[[], Mapping[str, str]], ...] = (
    version.outputs,
    kinds.outputs,
    settings_page.outputs,
    dns_page.outputs,
    cli_page.outputs,
    messages_page.outputs,
    first_hour_page.outputs,
    metrics_page.outputs,
    picture.outputs,
)
"""Each returns path in the checkout -> content. They run in this order: a later one may read what an earlier wrote."""


def main(argv: Sequence[str] | None = None, root: Path = CHECKOUT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description="Write the generated files.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a file is stale")
    check = parser.parse_args(argv).check
    if not (root / "manifests").is_dir():
        sys.stderr.write(f"{root} is not a checkout of decco: it has no folder manifests\n")
        return 2
    stale = False
    for generator in GENERATORS:
        for name, text in generator().items():
            path = root / name
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            stale = True
            if check:
                sys.stderr.write(f"{name} is stale: run `make generate` and commit the result\n")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                sys.stdout.write(f"{name} written\n")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
