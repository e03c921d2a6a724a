"""Reads the fields of an object with the rules of the first decco.

Its programs decoded JSON with Go's encoding/json: names of fields are case-insensitive, null and absent fields are the
zero value. Fields are taken out one by one; the remaining ones are reported, so that no field is lost silently.
"""

from __future__ import annotations

from typing import Any

from decco.importing.remarks import Remarks
from decco.objects import Obj
from decco.text import LONGEST_VALUE, escape


class Fields:
    """The fields of one object at ``path``; a value of a wrong type is an error and is read as absent."""

    def __init__(self, value: Any, path: str, remarks: Remarks) -> None:
        self.path = path
        self.remarks = remarks
        self._left: dict[str, tuple[str, Any]] = {}
        if value is None:
            return
        if not isinstance(value, dict):
            remarks.error(path, "must be an object")
            return
        for name, inner in value.items():
            if inner is not None:
                self._left.setdefault(name.lower(), (name, inner))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._left

    def at(self, name: str) -> str:
        return f"{self.path}.{name}"

    def take(self, name: str) -> Any:
        return self._left.pop(name.lower(), (name, None))[1]

    def text(self, name: str) -> str:
        """The text, "" if absent."""
        return str(self._typed(name, str, "text", ""))

    def flag(self, name: str) -> bool:
        return bool(self._typed(name, bool, "true or false", False))

    def number(self, name: str) -> int | None:
        """The whole number, None if absent; whether 0 means absent depends on the field."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.remarks.error(self.at(name), "must be a whole number")
            return None
        return value

    def objects(self, name: str) -> list[Obj]:
        value = self._typed(name, list, "a list", [])
        if not all(isinstance(item, dict) for item in value):
            self.remarks.error(self.at(name), "must be a list of objects")
            return []
        return list(value)

    def texts(self, name: str) -> list[str]:
        value = self._typed(name, list, "a list", [])
        if not all(isinstance(item, str) for item in value):
            self.remarks.error(self.at(name), "must be a list of texts")
            return []
        return list(value)

    def drop(self, name: str, because: str) -> None:
        """Takes a field without a counterpart; a value other than zero is reported as lost."""
        if self.take(name):
            self.remarks.lost(self.at(name), because)

    def ignore(self, name: str, because: str) -> None:
        """Takes a field that is no longer needed; a value other than zero is reported as a note."""
        if self.take(name):
            self.remarks.note(self.at(name), because)

    def report_rest(self) -> None:
        """Reports the fields that were not taken: the first decco did not have them."""
        for name, _ in self._left.values():
            self.remarks.lost(
                self.at(escape(name)[:LONGEST_VALUE]),
                "the first decco has no such field, and ignored it; check its name",
            )
        self._left.clear()

    def _typed(self, name: str, kind: type, wanted: str, default: Any) -> Any:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            self.remarks.error(self.at(name), f"must be {wanted}")
            return default
        return value
