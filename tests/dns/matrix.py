"""The matrix provider x case that ends the suite, from what the tests themselves reported.

Results travel in the reports of pytest, so it is the same whether the tests ran in this process or in several.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROPERTY = "dns"
"""Name of the user property of a report that says which cell of the matrix it is about: ``case|kind``."""
OK, FAIL, SKIP, NOT_FOR = "ok", "FAIL", "skip", "-"
_WORSE = (NOT_FOR, OK, SKIP, FAIL)
MISSING = "MISSING "


@dataclass
class Matrix:
    """Cells by (case, kind); several tests of one cell show the worst of them."""

    kinds: Sequence[str]
    models: Sequence[str]
    cells: dict[tuple[str, str], str] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why a case is not for a kind."""
    missing: dict[str, str] = field(default_factory=dict)
    """Kind -> what to install."""

    def take(self, report: pytest.TestReport) -> None:
        place = dict(report.user_properties).get(PROPERTY)
        if place is None or (report.when != "call" and report.passed):
            return
        case, kind = str(place).split("|")
        reason = ""
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
        cell = OK if report.passed else FAIL if report.failed else NOT_FOR if reason.startswith("not for") else SKIP
        before = self.cells.get((case, kind), cell)
        self.cells[case, kind] = max(before, cell, key=_WORSE.index)
        if cell == NOT_FOR:
            self.reasons[case, kind] = reason.partition(": ")[2]
        if reason.startswith(MISSING):
            self.missing[kind] = reason.removeprefix(MISSING)

    def rows(self) -> Iterable[tuple[str, list[str]]]:
        for case in dict.fromkeys(case for case, _ in sorted(self.cells)):
            yield case, [self.cells.get((case, kind), "") for kind in self.kinds]

    def notes(self) -> list[str]:
        """One line for each reason of a "-", with the cases and kinds that it is about."""
        found: dict[tuple[str, str], list[str]] = {}
        for (case, kind), reason in sorted(self.reasons.items()):
            if self.cells[case, kind] == NOT_FOR:
                found.setdefault((kind, reason), []).append(case)
        return [f"- {kind}: {reason} ({', '.join(cases)})" for (kind, reason), cases in found.items()]

    def text(self) -> list[str]:
        wide = max(len(case) for case, _ in self.cells)
        lines = [" " * wide + "".join(f"  {kind:>8}" for kind in self.kinds)]
        for case, cells in self.rows():
            lines.append(
                f"{case:<{wide}}"
                + "".join(f"  {cell:>{max(8, len(kind))}}" for cell, kind in zip(cells, self.kinds, strict=True))
            )
        return [*lines, f"models, not the real service: {', '.join(self.models)}", *self.notes()]

    def write(self, path: Path) -> None:
        """Write it as Markdown."""
        rows = [
            ["case", *self.kinds],
            ["---"] * (len(self.kinds) + 1),
            *([case, *cells] for case, cells in self.rows()),
        ]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"# DNS: case x provider\n\nModels, not the real service: {', '.join(self.models)}. "
            f'"-": the case does not apply.\n\n{table}\n\n' + "\n".join(self.notes()) + "\n"
        )
