"""YAML as kubectl writes it: every value where it stands (no anchors), no line broken."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(value: Any, *, sort: bool = False) -> str:
    """``sort``: keys in the order of the alphabet, as ``kubectl get -o yaml`` has them."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=sort, width=10_000, allow_unicode=True)
    return text
