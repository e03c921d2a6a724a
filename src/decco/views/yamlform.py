"""YAML as kubectl writes it: without anchors and line wrapping."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(value: Any, *, sort: bool = False) -> str:
    """``sort``: sort the keys, as ``kubectl get -o yaml`` does."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=sort, width=10_000, allow_unicode=True)
    return text
