"""The guides of the DNS providers in docs/dns.md, each from the file guide.md of the provider's package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from decco.dns import providers

PAGE = "docs/dns.md"
BEGIN = "<!-- providers:begin, generated from src/decco/dns/providers/*/guide.md by `python -m tools.generate` -->\n"
END = "<!-- providers:end -->\n"


def outputs() -> dict[str, str]:
    text = (Path(__file__).resolve().parents[1] / PAGE).read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return {PAGE: f"{before}{BEGIN}{guides()}{END}{after}"}


def guides() -> str:
    """The sections of all providers, in the order of their names."""
    files = (resources.files(f"{providers.__name__}.{name}") / "guide.md" for name in providers.names())
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
