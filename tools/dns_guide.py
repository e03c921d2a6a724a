"""Inserts the guide of each DNS provider into docs/dns.md.

    python -m tools.dns_guide [--check]

A provider's guide is the file guide.md of its package, so a new provider needs no change of the page by hand.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from decco.dns import providers

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "dns.md"
BEGIN = "<!-- providers:begin, made by `make generate` from src/decco/dns/providers/*/guide.md -->\n"
END = "<!-- providers:end -->\n"


def guides() -> str:
    """The sections of all providers, in the order of their names."""
    files = (resources.files(f"{providers.__name__}.{name}") / "guide.md" for name in providers.names())
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def page(text: str) -> str:
    """The page with the guides of today."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{guides()}{END}{after}"


def main(arguments: list[str]) -> int:
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--check" not in arguments:
        PAGE.write_text(new, encoding="utf-8")
    elif old != new:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)} is stale: run `make generate`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
