"""Pictures of docs/performance.md, drawn from bench/results.json as plain SVG: bars, with the range of all repeats.

Each has a background of its own, so that it can be read on light and on dark pages, whichever a reader has switched to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape

FOLDER: Final = "docs/assets/performance"
COLUMNS: Final = (("seconds", "Seconds"), ("cpu_seconds", "CPU of the program, s"), ("settled_mb", "Memory, MB"))
"""Those that are drawn of a comparison of programs."""
_WIDTH, _LABEL, _ROW, _TOP = 720, 190, 26, 58
_STYLE = """<style>
rect.page { fill: #ffffff; stroke: #cbd5e1 }
text { font: 13px "DejaVu Sans", "Helvetica", "Arial", sans-serif; fill: #1f2933 }
text.title { font-weight: bold }
text.label { text-anchor: end }
rect.met { fill: #0f766e }
rect.missed { fill: #b45309 }
rect.other { fill: #94a3b8 }
line.range { stroke: #1f2933; stroke-width: 1.5 }
line.goal { stroke: #b91c1c; stroke-width: 1.5; stroke-dasharray: 5 3 }
text.goal { fill: #b91c1c }
@media (prefers-color-scheme: dark) {
rect.page { fill: #1e2129; stroke: #475569 }
text { fill: #e2e8f0 }
rect.met { fill: #2dd4bf }
rect.missed { fill: #f59e0b }
rect.other { fill: #64748b }
line.range { stroke: #e2e8f0 }
line.goal { stroke: #f87171 }
text.goal { fill: #f87171 }
}
</style>"""


class Bar(NamedTuple):
    """``least`` and ``most`` are the range; ``kind`` is a class of the style."""

    label: str
    value: float
    least: float
    most: float
    kind: str


def outputs(results: Mapping[str, Any]) -> dict[str, str]:
    """Path in the checkout -> content."""
    found = {f"{FOLDER}/goals.svg": goals(results)} if results else {}
    for name, entry in results.items():
        contenders = entry.get("contenders", {})
        for column, title in drawn(contenders):
            bars = [_of_contender(who, each, column) for who, each in contenders.items() if column in each]
            found[f"{FOLDER}/{name}-{column.replace('_', '-')}.svg"] = bar_chart(f"{title}, {name}", bars)
    return found


def drawn(contenders: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Key and title of each column of which there is a picture."""
    return [(key, title) for key, title in COLUMNS if any(key in each for each in contenders.values())]


def goals(results: Mapping[str, Any]) -> str:
    """The ratio of each benchmark as a share of its goal."""
    bars = []
    for name, entry in results.items():
        share = entry["ratio"] / entry["goal"]
        met = entry.get("met", entry["ratio"] <= entry["goal"])
        bars.append(Bar(name, share, share, share, "met" if met else "missed"))
    return bar_chart("Ratio of each benchmark, as a multiple of its goal", bars, goal=1.0, most=4.0)


def alt(name: str, entry: Mapping[str, Any], column: str) -> str:
    """What the picture shows, in words."""
    values = ", ".join(
        f"{who} {each[column]['median']:.3g}" for who, each in entry["contenders"].items() if column in each
    )
    return f"{dict(COLUMNS)[column]} in {name}: {values}"


def bar_chart(title: str, bars: Sequence[Bar], *, goal: float | None = None, most: float | None = None) -> str:
    """Horizontal bars; those that are longer than ``most`` are cut off, and their numbers say so."""
    end = max([bar.most for bar in bars] + ([goal] if goal is not None else [])) or 1.0
    end = min(end, most) if most is not None else end
    scale = (_WIDTH - _LABEL - 90) / end
    height = _TOP + _ROW * len(bars) + 14
    return "\n".join([*_lines(title, bars, goal, end, scale, height), "</svg>", ""])


def _lines(title: str, bars: Sequence[Bar], goal: float | None, end: float, scale: float, height: int) -> Iterator[str]:
    head = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {head}>'
    words = ", ".join(f"{bar.label} {bar.value:.3g}" for bar in bars)
    yield f"<title>{escape(title)}: {escape(words)}</title>"
    yield _STYLE
    yield f'<rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>'
    yield f'<text class="title" x="16" y="26">{escape(title)}</text>'
    for number, bar in enumerate(bars):
        top = _TOP + _ROW * number
        width = min(bar.value, end) * scale
        yield f'<text class="label" x="{_LABEL - 10}" y="{top + 14}">{escape(bar.label)}</text>'
        yield f'<rect class="{bar.kind}" x="{_LABEL}" y="{top}" width="{width:.1f}" height="18" rx="2"/>'
        last = width
        if bar.most > bar.least:
            least, last = (min(each, end) * scale for each in (bar.least, bar.most))
            y = top + 9
            yield f'<line class="range" x1="{_LABEL + least:.1f}" x2="{_LABEL + last:.1f}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{_LABEL + max(width, last) + 8:.1f}" y="{top + 14}">{bar.value:.3g}</text>'
    if goal is not None:
        x = _LABEL + goal * scale
        yield f'<line class="goal" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{height - 8}"/>'
        yield f'<text class="goal" x="{x + 4:.1f}" y="{_TOP - 10}">goal</text>'


def _of_contender(who: str, each: Mapping[str, Any], column: str) -> Bar:
    values = each[column]
    kind = "met" if who == "decco" else "other"
    return Bar(who, values["median"], values["least"], values["most"], kind)
