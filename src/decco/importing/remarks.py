"""Remarks about converted objects, with a severity."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from decco.objects import Key


class Level(StrEnum):
    NOTE = "note"  # it works as before; an information, or a task besides the import
    LOST = "lost"  # it has no counterpart: the object was converted without it
    ERROR = "error"  # the object was left out


@dataclass(frozen=True, slots=True)
class Remark:
    """A message about one field (``path``, as spec.endpoints[0].port) or, with an empty path, the whole object."""

    level: Level
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of an object: ``document`` is its number in the file, from 1."""

    file: str
    document: int
    kind: str
    key: Key

    def __str__(self) -> str:
        return f"{self.file}: document {self.document}: {self.kind} {self.key}"


class Remarks:
    """Collects the remarks about one object."""

    def __init__(self) -> None:
        self.all: list[Remark] = []

    def note(self, path: str, message: str) -> None:
        self._add(Level.NOTE, path, message)

    def lost(self, path: str, message: str) -> None:
        self._add(Level.LOST, path, message)

    def error(self, path: str, message: str) -> None:
        self._add(Level.ERROR, path, message)

    @property
    def failed(self) -> bool:
        return any(remark.level is Level.ERROR for remark in self.all)

    def _add(self, level: Level, path: str, message: str) -> None:
        self.all.append(Remark(level, path, message))
