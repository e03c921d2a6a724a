"""Writes CommonMark, which the pages are in, so that Python-Markdown, which mkdocs uses, understands the same by it.

They differ in lists: there a list needs an empty line before it, and what belongs to an item an indent of four.
"""

from __future__ import annotations

import re

from tools.site.pages import FENCE

ITEM = re.compile(r"^(?P<indent> *)(?P<marker>[*+-]|\d+[.)])(?P<space> +)(?=\S)")
INFO = re.compile(r"((?:```+|~~~+) *[\w+-]*)[^`]*$")
"""A fence with the name of its language; further words are for the tests, which run what is marked so."""
ROW = re.compile(r"^ *\|")


def for_python_markdown(text: str) -> str:
    """The same page, with lists and tables as Python-Markdown reads them."""
    written: list[str] = []
    levels: list[int] = []
    """Columns at which the contents of the open items begin."""
    fence = ""
    previous = ""
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if fence:
            written.append(_indented(line, levels))
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            previous = line
            continue
        if not line.strip():
            written.append("")
            previous = line
            continue
        item = ITEM.match(line)
        in_list = bool(levels)
        while levels and indent < levels[-1] and (item or not previous.strip()):
            levels.pop()
        starts_list = item is not None and previous.strip() != "" and not in_list
        starts_table = ROW.match(line) is not None and previous.strip() != "" and not ROW.match(previous)
        if starts_list or starts_table:
            written.append("")
        if item and indent - (levels[-1] if levels else 0) < 4:
            marker = item["marker"].replace(")", ".")
            start = len(item[0])
            written.append(f"{' ' * 4 * len(levels)}{marker} {line[start:]}")
            levels.append(start)
        else:
            written.append(_indented(line, levels))
        if found := FENCE.match(line[len(item[0]) :] if item else line):
            fence = found["fence"]
            written[-1] = INFO.sub(r"\1", written[-1])
        previous = line
    return "\n".join(written) + "\n"


def _indented(line: str, levels: list[int]) -> str:
    if not levels or not line.strip():
        return line
    kept = len(line) - len(line.lstrip())
    return " " * (4 * len(levels) + max(0, kept - levels[-1])) + line.lstrip()
