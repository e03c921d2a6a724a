"""Output: tables, YAML, JSON, and colour on terminals.

Names and messages from a cluster are untrusted text. All text for a terminal passes through ``clean``, so that it
cannot move the cursor or change earlier output.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from decco.frozen import frozen
from decco.messages import Severity
from decco.text import clean

if TYPE_CHECKING:
    from decco.views.findings import Finding

NARROW = 40
"""Minimum width of the last column of a table for wrapping its text."""


def wants_color(when: str, stream: TextIO) -> bool:
    """Whether to colour the output to ``stream``; NO_COLOR as defined by https://no-color.org."""
    if when != "auto":
        return when == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_SGR = {"ok": "32", "warning": "33", "failure": "31", "head": "1"}


@frozen
class Style:
    """SGR sequences (ECMA-48 8.3.117), or nothing."""

    enabled: bool

    def of(self, name: str, text: str) -> str:
        """The text in the colour of a severity, or as a head; dim for all other names."""
        return f"\033[{_SGR.get(name, '2')}m{text}\033[0m" if self.enabled and text else text

    def good(self, text: str) -> str:
        return self.of("ok", text)

    def bad(self, text: str) -> str:
        return self.of("failure", text)

    def head(self, text: str) -> str:
        return self.of("head", text)

    def dim(self, text: str) -> str:
        return self.of("dim", text)


def style_of(when: str) -> Style:
    return Style(wants_color(when, sys.stdout))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], style: Style, *, state: int | None = None) -> str:
    """Columns with two spaces between; the last one is wrapped on a terminal. ``state``: the column that has a state,
    which gives its colour.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    available = shutil.get_terminal_size().columns - before if sys.stdout.isatty() else 0
    lines = ["  ".join(word.ljust(width) for word, width in zip(header, widths, strict=True)).rstrip()]
    lines = [style.head(line) for line in lines]
    for row in cells:
        texts = textwrap.wrap(row[-1], available) if available >= NARROW and row[-1] else [row[-1]]
        first = [word.ljust(width) for word, width in zip(row[:-1], widths, strict=False)]
        if state is not None:
            first[state] = style.of(row[state], first[state])
        lines.append("  ".join([*first, texts[0]]).rstrip())
        lines += [" " * before + text for text in texts[1:]]
    return "\n".join(lines) + "\n"


def findings_table(findings: Sequence[Finding], about: str, style: Style) -> str:
    """``about``: the heading of the column with the parts that the findings are about."""
    rows = [(each.severity.value, each.code, each.about, each.text) for each in findings]
    return table(("STATE", "CODE", about, "WHAT"), rows, style, state=0) + _help(findings)


def _help(findings: Iterable[Finding]) -> str:
    """Where the failures are explained, one line for each code; nothing if there is none."""
    codes = list(dict.fromkeys(each.code for each in findings if each.code and each.severity is Severity.FAILURE))
    if not codes:
        return ""
    from decco.messages.remedies import page

    lines = [f"Causes and cures: decco help {' '.join(codes)}", *(f"  {page(code)}" for code in codes)]
    return "\n" + "\n".join(lines) + "\n"


def findings_data(findings: Iterable[Finding], about: str) -> list[dict[str, str]]:
    """``about``: the key of the part that a finding is about; "code" and "help" are absent if all is well."""
    from decco.messages.remedies import page

    return [
        {
            about: each.about,
            "state": each.severity.value,
            **({"code": each.code, "help": page(each.code)} if each.code else {}),
            "text": each.text,
        }
        for each in findings
    ]


def write(text: str) -> None:
    sys.stdout.write(text)


def write_data(value: Any, output: str) -> None:
    if output == "json":
        write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        from decco.yamlform import to_yaml

        write(to_yaml(value))


def report(program: str, remarks: Iterable[Finding]) -> None:
    """Write remarks to standard error, each with its code."""
    for remark in remarks:
        code = f" ({remark.code})" if remark.code else ""
        sys.stderr.write(f"{program}: {clean(remark.text)}{code}\n")
