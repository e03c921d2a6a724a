"""Reads the fields of an object with the rules of the first decco, and collects remarks about them.

Its programs decoded JSON with Go's encoding/json: names of fields are case-insensitive, null and absent fields are the
zero value. Fields are taken out one by one; the remaining ones are reported, so that no field is lost silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from decco.frozen import frozen
from decco.messages import Category, Severity, messages
from decco.objects import Key, Obj
from decco.text import LONGEST_VALUE, escape

T = TypeVar("T")


class Level(StrEnum):
    NOTE = "note"  # it works as before; an information, or a task besides the import
    LOST = "lost"  # it has no counterpart: the object was converted without it
    ERROR = "error"  # the object was left out


_LEVELS = {Severity.OK: Level.NOTE, Severity.WARNING: Level.LOST, Severity.FAILURE: Level.ERROR}


@frozen
class Remark:
    """A message about one field (``path``, as spec.endpoints[0].port) or, with an empty path, the whole object."""

    path: str
    name: str
    """In the catalogue of messages, from which code and level come."""
    message: str

    @property
    def level(self) -> Level:
        return _LEVELS[messages(Category.IMPORT)[self.name].severity]

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.level}: {place}{self.message} ({messages(Category.IMPORT)[self.name].code})"


@frozen
class Source:
    """The origin of an object: ``document`` is its number in the file, from 1, and 0 in a cluster."""

    file: str
    document: int
    kind: str
    key: Key

    @classmethod
    def of_namespace(cls, file: str, name: str) -> Source:
        """All objects of one namespace together."""
        return cls(file, 0, "Namespace", Key("", name))

    def __str__(self) -> str:
        document = f" document {self.document}:" if self.document else ""
        return f"{self.file}:{document} {self.kind} {self.key}"


class Remarks(list[Remark]):
    def add(self, path: str, name: str, message: str) -> None:
        """What is said already, as of a path at each of three host names, is not said again."""
        remark = Remark(path, name, message)
        if remark not in self:
            self.append(remark)

    @property
    def failed(self) -> bool:
        return any(remark.level is Level.ERROR for remark in self)


class Fields:
    """The fields of one object at ``path``; a value of a wrong type is an error and is read as absent."""

    def __init__(self, value: Any, path: str, remarks: Remarks) -> None:
        self.path = path
        self.remarks = remarks
        self._left: dict[str, tuple[str, Any]] = {}
        if not isinstance(value, dict):
            if value is not None:
                remarks.add(path, "value-wrong", "must be an object")
            return
        for name, inner in value.items():
            if inner is not None:
                self._left.setdefault(name.lower(), (name, inner))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._left

    def at(self, name: str) -> str:
        return f"{self.path}.{name}"

    def remark(self, field: str, name: str, message: str) -> None:
        self.remarks.add(self.at(field), name, message)

    def take(self, name: str) -> Any:
        return self._left.pop(name.lower(), (name, None))[1]

    def text(self, name: str) -> str:
        """The text, "" if absent."""
        return self._typed(name, str, "text") or ""

    def flag(self, name: str) -> bool:
        return self._typed(name, bool, "true or false") or False

    def number(self, name: str) -> int | None:
        """The whole number, None if absent; whether 0 means absent depends on the field."""
        return self._typed(name, int, "a whole number")

    def objects(self, name: str) -> list[Obj]:
        value = self._typed(name, list, "a list") or []
        if all(isinstance(item, dict) for item in value):
            return value
        self.remark(name, "value-wrong", "must be a list of objects")
        return []

    def texts(self, name: str) -> dict[str, str]:
        value = self.take(name)
        if value is None:
            return {}
        if isinstance(value, dict) and all(isinstance(inner, str) for inner in value.values()):
            return dict(value)
        self.remark(name, "value-wrong", "must be an object of texts: quote the values")
        return {}

    def each(self, name: str) -> list[Fields]:
        return [Fields(item, f"{self.at(name)}[{at}]", self.remarks) for at, item in enumerate(self.objects(name))]

    def skip(self, *names: str) -> None:
        """Takes fields that never had an effect, or whose absence nobody notices."""
        for name in names:
            self.take(name)

    def leave_out(self, name: str, reasons: Mapping[str, str]) -> None:
        """Takes fields that are not converted, with a remark on each value other than zero."""
        for field, message in reasons.items():
            if self.take(field):
                self.remark(field, name, message)

    def report_rest(self) -> None:
        """Reports the fields that were not taken: the first decco did not have them."""
        for name, _ in self._left.values():
            field = escape(name)[:LONGEST_VALUE]
            self.remark(field, "field-unknown", "the first decco has no such field, and ignored it; check its name")
        self._left.clear()

    def _typed(self, name: str, kind: type[T], wanted: str) -> T | None:
        value = self.take(name)
        if value is None or type(value) is kind:  # a bool is an int to isinstance
            return value
        self.remark(name, "value-wrong", f"must be {wanted}")
        return None


def as_object(value: Any) -> Obj:
    """The value of something that has not been validated, {} if it is no object."""
    return value if isinstance(value, dict) else {}


def as_objects(value: Any) -> Iterator[tuple[int, Obj]]:
    """The objects of a list, with their positions; nothing if it is no list."""
    return ((at, item) for at, item in enumerate(value if isinstance(value, list) else ()) if isinstance(item, dict))
