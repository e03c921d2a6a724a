"""Kubernetes objects from files: YAML or JSON, one or more per file, folders, standard input.

Files are read as kubectl reads them: a folder is read without its subfolders, and text that looks like a timestamp
stays text. Each object has its location, for messages about it. Fields of a Space or App that decco does not know are
found as well: the API server prunes them with a warning that is easily missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import yaml

from decco.api.rules import PRESERVE
from decco.errors import ConfigError
from decco.frozen import frozen
from decco.objects import Key, Obj, key_of
from decco.suggest import did_you_mean
from decco.yamlform import Loader, check_depth

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"


@frozen
class Document:
    """One object and its location, as ``file:line``."""

    obj: Obj
    location: str

    @property
    def kind(self) -> str:
        return str(self.obj["kind"])

    @property
    def key(self) -> Key:
        return key_of(self.obj)


def read(names: Iterable[str], stdin: TextIO) -> list[Document]:
    """All objects of these files and folders, in their order; "-" is ``stdin``.

    Raises ConfigError, with the location, for input that cannot be read, or is not YAML or not a Kubernetes object.
    """
    found: list[Document] = []
    for name in names:
        if name == STDIN:
            found += _documents(stdin.read(), "standard input")
            continue
        for path in _files(Path(name)):
            try:
                text = path.read_text(encoding="utf-8")
            except OSError as error:
                raise ConfigError(
                    f"{path}: cannot be read ({error.strerror}): name another, or let it be read"
                ) from error
            except UnicodeDecodeError as error:
                raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
            found += _documents(text, str(path))
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES and each.is_file())
    if not files:
        raise ConfigError(f"{path}: the folder has no file that ends in {', '.join(SUFFIXES)}: name the files")
    return files


def _documents(text: str, source: str) -> Iterator[Document]:
    loader = Loader(text)
    try:
        check_depth(text, source)
        while loader.check_node():
            node = loader.get_node()
            location = f"{source}:{node.start_mark.line + 1}" if node is not None else source
            yield from _objects(loader.construct_document(node), location)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        location = f"{source}:{mark.line + 1}" if mark is not None else source
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{location}: is not YAML: {problem}") from error
    finally:
        loader.dispose()


def _objects(value: Any, location: str) -> Iterator[Document]:
    if value is None:
        return
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or "apiVersion" not in value:
        raise ConfigError(f"{location}: is not a Kubernetes object: give it apiVersion and kind, or leave the file out")
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for item in value["items"]:
            yield from _objects(item, location)
        return
    meta = value.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not meta["name"]:
        raise ConfigError(f"{location}: {value['kind']} has no metadata.name: give it one (a quoted text)")
    yield Document(value, location)


def unknown_fields(value: Any, schema: Obj, path: str = "spec") -> Iterator[tuple[str, str]]:
    """(path, hint) of each field that is not in the schema; the hint suggests a similar field.

    Only decco's own fields are checked; the API server checks a PodSpec.
    """
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from unknown_fields(item, schema.get("items") or {}, f"{path}[{number}]")
        return
    properties = schema.get("properties")
    if not isinstance(value, dict) or not properties:
        return
    for name, inner in value.items():
        if name in properties:
            yield from unknown_fields(inner, properties[name], f"{path}.{name}")
        elif not schema.get(PRESERVE):
            yield f"{path}.{name}", did_you_mean(str(name), properties)
