"""Log lines: one per fact, a constant message with the variables as keys, safe to show on a terminal.

Names come from tenants and error texts from servers, so no value can end its line: every non-printable character (line
breaks, terminal escapes, direction marks) is written as an escape, and long values are cut. Libraries log through the
same handler and never below warning: at debug, some log the bodies of requests.

Loggers are made with ``get_logger(__name__)`` anywhere; ``configure`` is called once, by the commands. Loggers have
structlog's methods, without structlog: importing it imports rich and pygments where they are installed, in all 15 MB of
memory and 0.15 s.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from decco.errors import leaves
from decco.text import escape

LONGEST_VALUE = 1_000
"""Characters of a value that a line keeps."""
LONGEST_TRACE = 16_000
"""Characters of a traceback that a line keeps."""
_FRAMES = 8
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"

_current: ContextVar[tuple[int, str, object] | None] = ContextVar("reconcile", default=None)
_numbers = itertools.count(int.from_bytes(os.urandom(4), "big"))


class Logger:
    """One module's logger. Each method takes a constant message and the variables of the line; ``exc_info`` among them
    is an exception, or True for the one that is being handled.
    """

    __slots__ = ("bound", "name")

    def __init__(self, name: str, bound: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.bound = bound or {}

    def bind(self, **values: Any) -> Logger:
        """A logger whose lines all have these values."""
        return Logger(self.name, {**self.bound, **values})

    def debug(self, message: str, /, **values: Any) -> None:
        _log(self, "debug", message, values)

    def info(self, message: str, /, **values: Any) -> None:
        _log(self, "info", message, values)

    def warning(self, message: str, /, **values: Any) -> None:
        _log(self, "warning", message, values)

    def error(self, message: str, /, **values: Any) -> None:
        _log(self, "error", message, values)

    def critical(self, message: str, /, **values: Any) -> None:
        _log(self, "critical", message, values)

    def exception(self, message: str, /, **values: Any) -> None:
        """An error with the exception that is being handled."""
        _log(self, "error", message, {"exc_info": True, **values})


get_logger = Logger


def bind_reconcile(controller: str, key: object) -> None:
    """Marks the start of a reconcile in the current task: until the next one, every line carries its ``reconcile_id``
    (8 hex digits), ``controller`` and ``key``, also lines of lower layers.
    """
    _current.set((next(_numbers) & 0xFFFFFFFF, controller, key))


def reconcile_id() -> str:
    """The id of the current task's reconcile, "" outside of one."""
    current = _current.get()
    return f"{current[0]:08x}" if current else ""


def configure(fmt: str, level: str, stream: BinaryIO | None = None) -> None:
    """Writes all log lines, the libraries' too, to ``stream`` (the standard error by default).

    ``fmt`` is "json" or "console" (in colour if the stream is a terminal), ``level`` a name of LogLevel. May be called
    again; loggers made and used before follow.
    """
    _output.stream = stream
    _output.render = _json if fmt == "json" else _console(colour=_wants_colour(_output.open()))
    set_level(level)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def set_level(level: str) -> None:
    """Changes the least severe level that is written, from now on, for loggers in use as well."""
    _output.level = _LEVELS[level]


def severity(level: str) -> int:
    """A number for each level, the less severe the smaller."""
    return _LEVELS[level]


def lost_lines() -> int:
    """Lines that could not be written: a full disk or a closed pipe at the other end must not stop the work."""
    return _output.lost


class _Bridge(logging.Handler):
    """Writes the lines of libraries."""

    def __init__(self) -> None:
        # On the handler too: some libraries set levels on loggers of their own.
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit the message
            message = str(record.msg)
        level = max((name for name in _LEVELS if _LEVELS[name] <= record.levelno), key=_LEVELS.__getitem__)
        _log(Logger(record.name), level, message, {"exc_info": record.exc_info[1]} if record.exc_info else {})


# --- from a call to a line --------------------------------------------------------------------------------------------


def _log(logger: Logger, level: str, message: str, values: dict[str, Any]) -> None:
    if _LEVELS[level] < _output.level:
        return
    error = values.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    line = {**logger.bound, **values, "logger": logger.name}
    current = _current.get()
    if current is not None:
        number, controller, key = current
        line.setdefault("controller", controller)
        line.setdefault("key", key)
        line["reconcile_id"] = f"{number:08x}"
    if error is not None:
        line.setdefault("error", error)
        line["where"] = _where(error.__traceback__)
    line = {name: _plain(value) for name, value in line.items()}
    if error is not None and _output.level <= logging.DEBUG:
        line["exception"] = "".join(traceback.format_exception(error))[-LONGEST_TRACE:]
    timestamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    _output.write(_output.render({"timestamp": timestamp, "level": level, "event": _clip(message)}, line))


def _short(error: BaseException) -> str:
    """``Type: text``, with its cause; for a group its members, instead of "unhandled errors in a TaskGroup"."""
    texts = []
    for leaf in itertools.islice(leaves(error), _FRAMES):
        cause = f" (caused by {type(leaf.__cause__).__name__}: {leaf.__cause__})" if leaf.__cause__ else ""
        texts.append(f"{type(leaf).__name__}: {leaf}{cause}")
    return "; ".join(texts)


def _where(trace: TracebackType | None) -> str:
    """The innermost frames, the last one first."""
    frames = [
        f"{'/'.join(frame.f_code.co_filename.rsplit('/', 2)[1:])}:{line}" for frame, line in traceback.walk_tb(trace)
    ]
    return " < ".join(reversed(frames[-_FRAMES:]))


def _plain(value: object) -> object:
    """The value as a text, a number, or a small list or mapping of them."""
    kind = type(value)
    if kind is str:
        return _clip(str(value))
    if kind is int or kind is bool or kind is float or value is None:
        return value
    if isinstance(value, BaseException):
        return _clip(_short(value))
    if isinstance(value, dict | list | set | frozenset) or kind is tuple:
        try:
            text = json.dumps(value, default=_member)
        except (TypeError, ValueError, RecursionError):  # a key that is not a text, a circle
            return _clip(repr(value))
        return json.loads(text) if len(text) <= LONGEST_VALUE else _clip(text)
    return _clip(str(value))


def _member(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def _clip(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"


# --- the two forms ----------------------------------------------------------------------------------------------------

_Render = Callable[[dict[str, str], dict[str, Any]], bytes]
"""The line of a head (timestamp, level, event) and the values."""


def _json(head: dict[str, str], values: dict[str, Any]) -> bytes:
    try:
        text = orjson.dumps(head | values).decode()
    except TypeError:  # half a surrogate pair, an integer beyond 64 bits
        text = json.dumps(head | values, separators=(",", ":"))
    # Characters that JSON leaves unescaped but a terminal interprets are inside strings only, where an escape is
    # equivalent.
    return (escape(text) + "\n").encode()


def _console(*, colour: bool) -> _Render:
    def paint(style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if colour else text

    def render(head: dict[str, str], values: dict[str, Any]) -> bytes:
        trace = values.pop("exception", "")
        parts = [paint(_DIM, head["timestamp"]), paint(_COLOURS[head["level"]], f"{head['level']:<8}")]
        parts.append(f"{escape(head['event']):<32}")
        parts += [paint(_DIM, f"{escape(name)}=") + _word(value) for name, value in values.items()]
        # Indented, so that no line of a traceback can pass for a line of the log.
        lines = [" ".join(parts).rstrip(), *(f"    {escape(line)}" for line in trace.splitlines())]
        return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")

    return render


def _word(value: object) -> str:
    """A value as one word: bare if it is distinguishable from its neighbours, else as JSON."""
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(" =\"'\\[]{}"):
        return value
    return escape(json.dumps(value, ensure_ascii=False))


def _wants_colour(out: BinaryIO) -> bool:
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@dataclass
class _Output:
    """How the lines of this process are written."""

    stream: BinaryIO | None = None
    """None: the standard error."""
    render: _Render = _json
    level: int = logging.INFO
    lost: int = 0

    def open(self) -> BinaryIO:
        return sys.stderr.buffer if self.stream is None else self.stream

    def write(self, line: bytes) -> None:
        try:
            out = self.open()
            out.write(line)
            out.flush()
        except OSError:
            self.lost += 1


_output = _Output()
