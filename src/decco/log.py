"""Log lines: one per fact, a constant message with the variables as keys, safe to show on a terminal.

Names come from tenants and error texts from servers, so no value can end its line: every non-printable character (line
breaks, terminal escapes, direction marks) is written as an escape, and long values are cut. Libraries log through the
same handler and never below warning: at debug, Kubernetes clients log the bodies of requests, Secrets included.

Loggers are made with ``structlog.get_logger(__name__)`` anywhere; ``configure`` is called once, by the commands.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, BinaryIO

import orjson
import structlog

LONGEST_VALUE = 1_000
"""Characters of a value that a line keeps."""
LONGEST_TRACE = 16_000
"""Characters of a traceback that a line keeps."""
_FRAMES = 8
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"

Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Any]

_current: ContextVar[tuple[int, str, object] | None] = ContextVar("reconcile", default=None)
_numbers = itertools.count(int.from_bytes(os.urandom(4), "big"))


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
    out = sys.stderr.buffer if stream is None else stream
    _Sink.out = out
    render = _json if fmt == "json" else _console(colour=_wants_colour(out))
    _PROCESSORS[:] = [
        structlog.processors.add_log_level,
        _add_logger,
        _add_reconcile,
        structlog.contextvars.merge_contextvars,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _shorten_exception,
        _make_plain,
        render,
    ]
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=_Logger,
        logger_factory=_Sink,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    set_level(level)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def set_level(level: str) -> None:
    """Changes the least severe level that is written, from now on, for loggers in use as well."""
    number = _LEVELS[level]
    _Sink.whole_traces = number <= logging.DEBUG
    # structlog makes one class per level, whose methods below it do nothing: that makes a disabled line cheap. Loggers
    # keep the class that they were made with, so the methods of this class change.
    for name, method in vars(structlog.make_filtering_bound_logger(number)).items():
        if not name.startswith("__"):
            setattr(_Logger, name, method)


def severity(level: str) -> int:
    """A number for each level, the less severe the smaller."""
    return _LEVELS[level]


def lost_lines() -> int:
    """Lines that could not be written: a full disk or a closed pipe at the other end must not stop the work."""
    return _Sink.lost


_PROCESSORS: list[Processor] = []
"""One list for the whole process, changed in place: cached loggers reference it."""
_Logger = type("DeccoLogger", (structlog.make_filtering_bound_logger(logging.INFO),), {})


class _Sink:
    """Writes rendered lines; one per logger, because it contains the logger's name."""

    out: BinaryIO = io.BytesIO()
    whole_traces = False
    lost = 0

    def __init__(self, name: str = "") -> None:
        self.name = name

    def write(self, line: bytes) -> None:
        try:
            _Sink.out.write(line)
            _Sink.out.flush()
        except OSError:
            _Sink.lost += 1

    debug = info = warning = error = critical = write


class _Bridge(logging.Handler):
    """Passes the lines of libraries to structlog."""

    def __init__(self) -> None:
        # On the handler too: kubernetes_asyncio sets levels on loggers of its own.
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit the message
            message = str(record.msg)
        log = structlog.get_logger(record.name)
        exc_info = {"exc_info": record.exc_info[1]} if record.exc_info else {}
        log.log(min(record.levelno // 10 * 10, logging.CRITICAL), message, **exc_info)


# --- steps from a call to a line --------------------------------------------------------------------------------------


def _add_logger(logger: Any, _method: str, event: Event) -> Event:
    event["logger"] = logger.name
    return event


def _add_reconcile(_logger: Any, _method: str, event: Event) -> Event:
    current = _current.get()
    if current is not None:
        number, controller, key = current
        event.setdefault("controller", controller)
        event.setdefault("key", str(key))
        event["reconcile_id"] = f"{number:08x}"
    return event


def _shorten_exception(_logger: Any, _method: str, event: Event) -> Event:
    """``error`` contains type and text, ``where`` the innermost frames; the whole traceback is written at debug
    only.
    """
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error and not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    if error:
        event.setdefault("error", _short(error))
        event["where"] = _where(error.__traceback__)
        if _Sink.whole_traces:
            event["exception"] = "".join(traceback.format_exception(error))[-LONGEST_TRACE:]
    return event


def _short(error: BaseException) -> str:
    """``Type: text``, with its cause; for a group its members, instead of "unhandled errors in a TaskGroup"."""
    texts = []
    for leaf in itertools.islice(_leaves(error), _FRAMES):
        cause = f" (caused by {type(leaf.__cause__).__name__}: {leaf.__cause__})" if leaf.__cause__ else ""
        texts.append(f"{type(leaf).__name__}: {leaf}{cause}")
    return "; ".join(texts)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _where(trace: TracebackType | None) -> str:
    frames = [
        f"{'/'.join(frame.f_code.co_filename.rsplit('/', 2)[1:])}:{line}" for frame, line in traceback.walk_tb(trace)
    ]
    return " < ".join(reversed(frames[-_FRAMES:]))


def _make_plain(_logger: Any, _method: str, event: Event) -> Event:
    """Leaves only text, numbers, and small lists and mappings of them."""
    for name, value in event.items():
        kind = type(value)
        if kind is str:
            if len(value) > LONGEST_VALUE and name != "exception":
                event[name] = _clip(value)
        elif kind is not int and kind is not bool and kind is not float and value is not None:
            event[name] = _plain(value)
    return event


def _plain(value: object) -> object:
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


def escape(text: str) -> str:
    """Replaces what does not print by JSON's escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


# --- the two forms ----------------------------------------------------------------------------------------------------


def _json(_logger: Any, _method: str, event: Event) -> bytes:
    head = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    try:
        text = orjson.dumps(head | dict(event)).decode()
    except TypeError:  # half a surrogate pair, an integer beyond 64 bits
        text = json.dumps(head | dict(event), separators=(",", ":"))
    # Characters that JSON leaves unescaped but a terminal interprets are inside strings only, where an escape is
    # equivalent.
    return (escape(text) + "\n").encode()


def _console(*, colour: bool) -> Processor:
    def paint(style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if colour else text

    def render(_logger: Any, _method: str, event: Event) -> bytes:
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
