"""The converted objects as YAML, each with its remarks as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

import yaml

from decco.importing.convert import Imported, Result
from decco.objects import Obj
from decco.text import escape

WIDTH = 120


def spaces_yaml(result: Result) -> str:
    return _stream(_documents(result.spaces))


def permissions_yaml(result: Result) -> str:
    """ServiceAccounts, Roles and RoleBindings that the first decco created itself."""
    made = [(f"of {each.source}", extra) for each in result.all for extra in each.extras]
    return _stream(_comment([text]) + _yaml(obj) for text, obj in made)


def apps_yaml(result: Result) -> str:
    return _stream(_documents(result.apps))


def left_out(result: Result) -> str:
    """Comments about the objects that were left out, "" without such objects."""
    absent = [imported for imported in result.all if imported.obj is None]
    return "".join(_head(imported, "left out") for imported in absent)


def lines(result: Result) -> Iterator[str]:
    """One line for each remark, for a terminal or a log."""
    for imported in result.all:
        for remark in imported.remarks:
            yield escape(f"{imported.source}: {remark.level}: {remark}")


def join(*streams: str) -> str:
    return "---\n".join(stream for stream in streams if stream)


def _documents(imported: Iterable[Imported]) -> Iterator[str]:
    for each in imported:
        if each.obj is not None:
            yield _head(each, "from") + _yaml(each.obj)


def _stream(documents: Iterable[str]) -> str:
    return "---\n".join(documents)


def _head(imported: Imported, how: str) -> str:
    return _comment([f"{how} {imported.source}", *(f"{each.level}: {each}" for each in imported.remarks)])


def _comment(texts: Iterable[str]) -> str:
    """Each text is escaped to one line before it is wrapped, so that it cannot end its comment."""
    wrapped = (
        textwrap.wrap(escape(text), WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
        for text in texts
    )
    return "".join(f"{line}\n" for lines in wrapped for line in lines)


def _yaml(obj: Obj) -> str:
    return yaml.dump(obj, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: repeated values are written in full."""

    def ignore_aliases(self, data: object) -> bool:
        return True
