"""The recipe (bench/recipe.py) as the peers use it: texts with tokens. It imports nothing of decco."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SPACE, APP, PROJECT = "spacetoken", "apptoken", "projecttoken"
OWN_UID, NAMESPACE_UID, VERSION = "own-uid-token", "namespace-uid-token", "version-token"
NAMESPACES = "/api/v1/namespaces/"


class Recipe:
    def __init__(self, path: Path) -> None:
        content = json.loads(path.read_text())
        self._lines = {kind: content[kind] for kind in ("Space", "App")}
        self._projects = content["projects"]

    def children(self, obj: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        """(method, path, body) of each child in order, but for the UID of the Space's namespace, see ``with_uid``."""
        for line in self._lines[obj["kind"]][:-1]:
            yield self._filled(line, obj)

    def status(self, obj: dict[str, Any]) -> tuple[str, str, str]:
        """(method, path, body) of the whole object with its status."""
        return self._filled(self._lines[obj["kind"]][-1], obj)

    def _filled(self, line: list[str], obj: dict[str, Any]) -> tuple[str, str, str]:
        meta = obj["metadata"]
        space = meta.get("namespace") or meta["name"]
        method, path, body = line
        path = path.replace(SPACE, space).replace(APP, meta["name"])
        body = body.replace(SPACE, space).replace(APP, meta["name"]).replace(PROJECT, self._projects[space])
        return method, path, body.replace(OWN_UID, meta["uid"]).replace(VERSION, meta["resourceVersion"])


def is_namespace(path: str) -> bool:
    """Whether that is the request for the Space's namespace itself; its answer has the UID that ``with_uid`` needs."""
    return path.startswith(NAMESPACES) and "/" not in path.removeprefix(NAMESPACES).partition("?")[0]


def with_uid(body: str, namespace_uid: str) -> str:
    return body.replace(NAMESPACE_UID, namespace_uid)
