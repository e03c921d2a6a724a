"""Reading what kustomize and Helm render."""

from __future__ import annotations

from typing import Any

import yaml

Obj = dict[str, Any]
Identity = tuple[str, str, str, str]


def objects(text: str) -> dict[Identity, Obj]:
    """(apiVersion, kind, namespace, name) -> object; none may be there twice."""
    found: dict[Identity, Obj] = {}
    for obj in yaml.load_all(text, Loader=yaml.CSafeLoader):
        if obj:
            meta = obj["metadata"]
            identity = (obj["apiVersion"], obj["kind"], meta.get("namespace", ""), meta["name"])
            assert identity not in found, f"{identity} twice"
            found[identity] = obj
    return found


def one(found: dict[Identity, Obj], kind: str, name: str = "decco-controller") -> Obj:
    [obj] = [obj for (_, its_kind, _, its_name), obj in found.items() if (its_kind, its_name) == (kind, name)]
    return obj
