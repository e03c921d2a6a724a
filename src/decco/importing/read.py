"""Reads objects from files: YAML with the rules of ``kubectl``, with limits, and an error message for other input.

Files are untrusted: a few lines of YAML can expand to gigabytes (aliases of aliases) or refer to themselves. So each
document is copied with a limit on its expanded size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import yaml

from decco.errors import ConfigError
from decco.importing.fields import Source, as_object
from decco.objects import Key, Obj
from decco.text import escape, shown
from decco.yamlform import MAX_DEPTH, Loader, check_depth, too_deep

MAX_BYTES = 32 * 1024 * 1024
"""Limit of one file. etcd accepts objects of 1.5 MiB; this is enough for thousands of ordinary objects."""
MAX_NODES = 2_000_000
"""Limit of the values in one document, with expanded aliases."""
MAX_WORD = 253
STDIN = "-"


def read_objects(name: str, stdin: TextIO) -> list[tuple[Source, Obj]]:
    """The objects of a file, or of standard input for "-"; lists are split into their items.

    Raises ConfigError if it cannot be read as YAML of objects.
    """
    label = "standard input" if name == STDIN else escape(name)
    text = stdin.read(MAX_BYTES + 1) if name == STDIN else _text(Path(name), label)
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{label} has more than {MAX_BYTES >> 20} MiB: split it into several files")
    found: list[tuple[Source, Obj]] = []
    try:
        check_depth(text, label)
        for number, document in enumerate(yaml.load_all(text, Loader=Loader), 1):
            for obj in _items(_Copy(f"{label}: document {number}").of(document), f"{label}: document {number}"):
                meta = as_object(obj.get("metadata"))
                key = Key(_word(meta.get("namespace")), _word(meta.get("name")))
                found.append((Source(label, number, _word(obj.get("kind")), key), obj))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ConfigError(f"{label} is not YAML{position}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{label} is not YAML: {' '.join(str(error).split())}") from error
    return found


def _text(path: Path, label: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1).decode()
    except IsADirectoryError as error:
        raise ConfigError(f"{label} is a folder: name its files, as {label}/*.yaml") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{label} is not text in UTF-8 (byte {error.start + 1}): is it YAML?") from error
    except OSError as error:
        raise ConfigError(f"{label} cannot be read ({error.strerror}): name another file, or let it be read") from error


def _word(value: Any) -> str:
    """A name, escaped and truncated for use in a message."""
    return escape(str(value if value is not None else ""))[:MAX_WORD]


def _items(document: Any, where: str) -> Iterator[Obj]:
    if document is None:
        return
    if not isinstance(document, dict):
        raise ConfigError(f"{where} is not an object: it has to begin with apiVersion and kind")
    kind = document.get("kind")
    if not isinstance(kind, str) or not kind:
        raise ConfigError(f"{where} has no kind: objects of Kubernetes begin with apiVersion and kind")
    if not (kind == "List" or (kind.endswith("List") and "items" in document)):
        yield document
        return
    items = document.get("items") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ConfigError(f"{where}: items of a {shown(kind)} must be a list of objects")
    for item in items:
        # kubectl writes kind and apiVersion into the items, the API server does not.
        yield {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List"), **item}


class _Copy:
    """Copies one document with the types of JSON only and without shared values."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._left = MAX_NODES

    def of(self, node: Any, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ConfigError(
                f"{self._where} has more than {MAX_NODES} values with expanded aliases: write less into one document"
            )
        if depth > MAX_DEPTH:
            raise too_deep(f"{self._where} is")
        if isinstance(node, dict):
            if wrong := [key for key in node if not isinstance(key, str)]:
                raise ConfigError(f"{self._where}: the name of the field {shown(str(wrong[0]))} must be text: quote it")
            return {key: self.of(inner, depth + 1) for key, inner in node.items()}
        if isinstance(node, list):
            return [self.of(inner, depth + 1) for inner in node]
        if node is None or isinstance(node, str | bool | int) or (isinstance(node, float) and math.isfinite(node)):
            return node
        raise ConfigError(
            f"{self._where} holds {shown(str(node))}, which JSON, and so Kubernetes, has no word for: "
            "quote it, or write a number"
        )
