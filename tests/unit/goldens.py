"""Golden files: the objects that a case must give, as YAML that a person reads in review.

``check_golden("space/plain", objs)`` compares with ``tests/golden/space/plain.yaml``. After an intended change run the
tests with ``UPDATE_GOLDEN=1`` and read the diff in git; a test that wrote a file fails, so that writing is never green.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from decco.objects import Obj

GOLDEN = Path(__file__).parent.parent / "golden"
UPDATE = "UPDATE_GOLDEN"


class _Dumper(yaml.SafeDumper):
    """No anchors, lists indented under their key, text of several lines as a block."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(objs: Sequence[Obj], *, sort_keys: bool = False) -> str:
    """The objects as one YAML stream, in the given order."""
    return yaml.dump_all(
        objs, Dumper=_Dumper, sort_keys=sort_keys, width=120, explicit_start=True, default_flow_style=False
    )


def check_golden(path: str, objs: Sequence[Obj]) -> None:
    """Fails unless ``objs`` equal, in order, the documents of ``tests/golden/<path>.yaml`` (order of keys is free).

    Also fails if two objects have the same address: one of the two would overwrite the other in a cluster.
    """
    address = Counter(
        (obj.get("apiVersion"), obj.get("kind"), obj["metadata"].get("namespace"), obj["metadata"]["name"])
        for obj in objs
        if "metadata" in obj
    )
    twice = [key for key, count in address.items() if count > 1]
    assert not twice, f"given twice: {twice}"
    file = GOLDEN / f"{path}.yaml"
    want = list(yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader)) if file.exists() else None
    if want == list(objs):
        return
    if os.environ.get(UPDATE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dump(objs))
        pytest.fail(f"{path}.yaml written because {UPDATE} is set; read its diff, then run again without")
    if want is None:
        pytest.fail(f"no golden file {path}.yaml; make it with {UPDATE}=1")
    diff = difflib.unified_diff(
        dump(want, sort_keys=True).splitlines(),
        dump(objs, sort_keys=True).splitlines(),
        "golden",
        "got",
        lineterm="",
        n=8,
    )
    pytest.fail(f"{path}.yaml differs; if that is intended: {UPDATE}=1\n" + "\n".join(diff))
