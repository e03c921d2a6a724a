"""Log lines: one per fact, a constant message with the variables as keys, safe to show on a terminal.

Names come from tenants and error texts from servers, so no value can end its line: every non-printable character (line
breaks, terminal escapes, direction marks) is written as an escape, and long values are cut. Libraries log through the
same handler and never below warning: at debug, some log the bodies of requests.

Loggers are made with ``get_logger(__name__)`` anywhere; ``configure`` is called once, by the commands.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from decco.errors import leaves
from decco.messages import log_codes
from decco.text import escape

LONGEST_VALUE = 1_000
"""Characters of a value that a line keeps."""
LONGEST_TRACE = 16_000
"""Characters of a traceback that a line keeps."""
_FRAMES = 8
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"

Event = dict[str, Any]
"""A line: timestamp, level, event (the message), then its variables."""

_ROOT = logging.getLogger("decco")
"""Parent of all loggers of decco; has the level."""
_current: ContextVar[tuple[int, str, object] | None] = ContextVar("reconcile", default=None)
_numbers = itertools.count(int.from_bytes(os.urandom(4), "big"))


class Logger(logging.LoggerAdapter[logging.Logger]):
    """Takes the variables of a line as keywords: ``log.info("child written", kind="Service", name=name)``."""

    def bind(self, **values: object) -> Logger:
        """A logger whose lines all have these variables."""
        return Logger(self.logger, {**(self.extra or {}), **values})

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        exc_info = kwargs.pop("exc_info", None)
        return msg, {"exc_info": exc_info, "extra": {"values": {**(self.extra or {}), **kwargs}}}


def get_logger(name: str) -> Logger:
    """``name`` is that of a module of decco, or begins with ``decco.``."""
    return Logger(logging.getLogger(name), {})


def bind_reconcile(controller: str, key: object) -> None:
    """Marks the start of a reconcile in the current task: until the next one, every line carries its ``reconcile_id``
    (8 hex digits), ``controller`` and ``key``, also lines of lower layers.
    """
    _current.set((next(_numbers) & 0xFFFFFFFF, controller, key))


def configure(fmt: str, level: str, stream: BinaryIO | None = None) -> None:
    """Writes all log lines, the libraries' too, to ``stream`` (the standard error by default).

    ``fmt`` is "json" or "console" (in colour if the stream is a terminal), ``level`` a name of LogLevel. May be called
    again; loggers made and used before follow.
    """
    log_codes()  # read now, not by the first warning in the event loop
    out = sys.stderr.buffer if stream is None else stream
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    root.addHandler(_Handler(out, _json if fmt == "json" else _console(colour=_wants_colour(out))))
    root.setLevel(logging.WARNING)
    set_level(level)
    logging.captureWarnings(capture=True)


def set_level(level: str) -> None:
    """Changes the least severe level that is written, from now on, for loggers in use as well."""
    _ROOT.setLevel(level.upper())


def change_level(before: str, after: str) -> None:
    """``set_level`` with a line about it, at the less severe of the two levels: it is written in both directions."""
    set_level(min(before, after, key=lambda level: logging.getLevelNamesMapping()[level.upper()]))
    get_logger(__name__).info("the log level is changed", before=before, after=after)
    set_level(after)


class _Handler(logging.Handler):
    """Writes the lines of decco and of libraries."""

    def __init__(self, out: BinaryIO, render: Callable[[Event], bytes]) -> None:
        super().__init__()
        self._out = out
        self._render = render
        self.addFilter(_is_written)

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: what logs a line, the thread of the leader election for example, must not end by it."""
        try:
            line = self._render(_event(record))
        except Exception as error:  # noqa: BLE001 - a value whose text cannot be made
            line = self._render(_unreadable(record, error))
        try:
            self._out.write(line)
            self._out.flush()
        except (OSError, ValueError):  # a full disk, a closed pipe at the other end, a stream that is closed
            pass


def _is_written(record: logging.LogRecord) -> bool:
    # Not by the level of the root logger alone: some libraries set levels on loggers of their own.
    return record.levelno >= logging.WARNING or record.name.startswith(f"{_ROOT.name}.")


# --- from a record to a line ------------------------------------------------------------------------------------------


def _event(record: logging.LogRecord) -> Event:
    """Only text, numbers, and small lists and mappings of them."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit the message of a library
        message = str(record.msg)
    event: Event = {
        "timestamp": _timestamp(record),
        "level": _level(record),
        "event": _clip(message),
        **{name: _plain(value) for name, value in getattr(record, "values", {}).items()},
        "logger": record.name,
    }
    if record.levelno >= logging.WARNING and (code := log_codes().get(message)) is not None:
        event["code"] = code
    current = _current.get()
    if current is not None:
        number, controller, key = current
        event.setdefault("controller", controller)
        event.setdefault("key", _clip(str(key)))
        event["reconcile_id"] = f"{number:08x}"
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        event.setdefault("error", _clip(_short(error)))
        event["where"] = _clip(_where(error.__traceback__))
        if _ROOT.isEnabledFor(logging.DEBUG):
            event["exception"] = "".join(traceback.format_exception(error))[-LONGEST_TRACE:]
    return event


def _unreadable(record: logging.LogRecord, error: Exception) -> Event:
    """Stands for a line that cannot be made; contains nothing of its values."""
    return {
        "timestamp": _timestamp(record),
        "level": _level(record),
        "event": _clip(record.msg) if isinstance(record.msg, str) else "",
        "unreadable": f"a value of this line raised {type(error).__name__}",
        "logger": record.name,
    }


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _level(record: logging.LogRecord) -> str:
    return logging.getLevelName(min(record.levelno // 10 * 10, logging.CRITICAL)).lower()


def _short(error: BaseException) -> str:
    """``Type: text``, with its cause; for a group its members, instead of "unhandled errors in a TaskGroup"."""
    texts = []
    for leaf in itertools.islice(leaves(error), _FRAMES):
        cause = f" (caused by {type(leaf.__cause__).__name__}: {leaf.__cause__})" if leaf.__cause__ else ""
        texts.append(f"{type(leaf).__name__}: {leaf}{cause}")
    return "; ".join(texts)


def _where(trace: TracebackType | None) -> str:
    frames = [
        f"{'/'.join(frame.f_code.co_filename.rsplit('/', 2)[1:])}:{line}" for frame, line in traceback.walk_tb(trace)
    ]
    return " < ".join(reversed(frames[-_FRAMES:]))


def _plain(value: object) -> object:
    if type(value) is str:
        return _clip(value)
    if value is None or type(value) in {int, bool, float}:
        return value
    if isinstance(value, BaseException):
        return _clip(_short(value))
    if isinstance(value, dict | list | set | frozenset) or type(value) is tuple:
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


def _json(event: Event) -> bytes:
    try:
        text = orjson.dumps(event).decode()
    except TypeError:  # half a surrogate pair, an integer beyond 64 bits
        text = json.dumps(event, separators=(",", ":"))
    # Characters that JSON leaves unescaped but a terminal interprets are inside strings only, where an escape is
    # equivalent.
    return (escape(text) + "\n").encode()


def _console(*, colour: bool) -> Callable[[Event], bytes]:
    def paint(style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if colour else text

    def render(event: Event) -> bytes:
        trace = event.pop("exception", "")
        level = event.pop("level")
        parts = [paint(_DIM, event.pop("timestamp")), paint(_COLOURS[level], f"{level:<8}")]
        parts.append(f"{escape(event.pop('event')):<32}")
        parts += [paint(_DIM, f"{escape(name)}=") + _word(value) for name, value in event.items()]
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
