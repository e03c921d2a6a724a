"""YAML as kubectl reads and writes it: no dates, no anchors, no nesting that crashes the parser."""

from __future__ import annotations

from typing import Any

import yaml

from decco.errors import ConfigError

MAX_DEPTH = 64
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class Loader(yaml.CSafeLoader):
    """Reads 2018-01-02 as text, since JSON has no dates."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own name, and its own kind of value
        first: [(tag, form) for tag, form in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(value: Any, *, sort: bool = False, width: int = 10_000) -> str:
    """``sort``: sort the keys, as ``kubectl get -o yaml`` does."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=sort, width=width, allow_unicode=True)
    return text


def check_depth(text: str, label: str) -> None:
    """Raises ConfigError before a load that would crash: the loader recurses in C without a limit."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark = event.start_mark
                raise too_deep(f"{label} is", f" at line {mark.line + 1}" if mark is not None else "")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def too_deep(what: str, position: str = "") -> ConfigError:
    return ConfigError(f"{what} nested more than {MAX_DEPTH} levels deep{position}: no object of Kubernetes is")
