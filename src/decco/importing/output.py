"""The converted objects as YAML, each with its remarks as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from decco.importing.result import Imported, Result
from decco.text import escape
from decco.yamlform import to_yaml

WIDTH = 120
_PERMISSIONS = "2-permissions.yaml"
"""ServiceAccounts, Roles and RoleBindings that the first decco created itself."""
_SERVICES = "2-services.yaml"
_AUTOSCALERS = "4-autoscalers.yaml"
_EXTRAS = {"Service": _SERVICES, "HorizontalPodAutoscaler": _AUTOSCALERS}


def yaml_files(result: Result) -> dict[str, str]:
    """Streams of YAML by the names of their files, in the order to apply; "" for one without objects."""
    extras: dict[str, list[str]] = {}
    for each in result.all:
        for obj in each.extras:
            text = _comment([f"of {each.source}"]) + to_yaml(obj, width=WIDTH)
            extras.setdefault(_EXTRAS.get(obj["kind"], _PERMISSIONS), []).append(text)
    return {
        "1-spaces.yaml": join(_documents(result.spaces)),
        **{name: join(extras.get(name, ())) for name in (_PERMISSIONS, _SERVICES)},
        "3-apps.yaml": join(_documents(result.apps)),
        _AUTOSCALERS: join(extras.get(_AUTOSCALERS, ())),
    }


def join(streams: Iterable[str]) -> str:
    return "---\n".join(stream for stream in streams if stream)


def left_out(result: Result) -> str:
    """Comments about the objects that were left out, or of which a part was; "" without such objects."""
    return "".join(
        _head(imported, "into other objects:" if imported.merged else "left out")
        for imported in result.all
        if imported.obj is None and (imported.remarks or not imported.merged)
    )


def lines(result: Result) -> Iterator[str]:
    """One line for each remark, for a terminal or a log."""
    for imported in result.all:
        for remark in imported.remarks:
            yield escape(f"{imported.source}: {remark}")


def _documents(imported: Iterable[Imported]) -> Iterator[str]:
    return (_head(each, "from") + to_yaml(each.obj, width=WIDTH) for each in imported if each.obj is not None)


def _head(imported: Imported, how: str) -> str:
    return _comment([f"{how} {imported.source}", *map(str, imported.remarks)])


def _comment(texts: Iterable[str]) -> str:
    """Each text is escaped to one line before it is wrapped, so that it cannot end its comment."""
    wrap = textwrap.TextWrapper(WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
    return "".join(f"{line}\n" for text in texts for line in wrap.wrap(escape(text)))
