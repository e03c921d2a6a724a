"""The catalogue of decco's messages: each has a permanent code, such as DECCO-0140, a severity and an explanation.

    conditions.toml   reasons of conditions and Events, by reason
    findings*.toml    what `decco explain`, `decco doctor` and the other commands find, by name
    imports.toml      what `decco import` remarks, by name
    logs.toml         warnings and errors of the log; the event text may change, the name and the code do not
    errors.toml       errors that end a command, by the class of the exception

docs/reference/messages.md and conditions.md are made from it (tools/messages_page.py). A code never changes its
meaning: a message that decco no longer has stays in its file, with ``retired``, and tools/message_codes.txt lists all
codes that were ever given. Texts that contain names and values stay at the place that writes them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Severity(StrEnum):
    """Of a message and of a finding. UNKNOWN: the user may not read what would be needed."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class Category(StrEnum):
    """The value is the name of the file, or how the names of its files begin."""

    CONDITION = "conditions"
    FINDING = "findings"
    IMPORT = "imports"
    LOG = "logs"
    ERROR = "errors"


class Message(NamedTuple):
    """An entry of the catalogue. ``cause`` and ``action`` are empty only if nothing is to be done."""

    code: str
    severity: Severity
    summary: str
    cause: str = ""
    action: str = ""
    event: str = ""
    """Of a log message: the constant text of the line."""
    retired: str = ""
    """The version that no longer has the message."""


@functools.cache
def messages(category: Category) -> Mapping[str, Message]:
    """Name -> message, in the order of the file."""
    import tomllib  # not for --help

    files = sorted(Path(__file__).parent.glob(f"{category}*.toml"), key=lambda file: file.stem)
    entries = tomllib.loads("\n".join(file.read_text(encoding="utf-8") for file in files))
    return {name: Message(**{**entry, "severity": Severity(entry["severity"])}) for name, entry in entries.items()}


@functools.cache
def log_codes() -> Mapping[str, str]:
    """Event of a log line -> code."""
    return {message.event: message.code for message in messages(Category.LOG).values()}


def error_code(error: type[BaseException]) -> str:
    """The code of the class, or of the nearest base class that has one; "" if none has."""
    known = messages(Category.ERROR)
    return next((known[base.__name__].code for base in error.__mro__ if base.__name__ in known), "")


def usage_code() -> str:
    """The code of an error in the command line, which argparse reports without an exception."""
    return messages(Category.ERROR)["CommandLine"].code
