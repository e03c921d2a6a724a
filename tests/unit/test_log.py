"""Log lines: one line each whatever a tenant sends, levels that hold for libraries, ids that follow a reconcile."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import warnings
from typing import Any

import pytest

from decco import log as logs
from decco.objects import Key
from decco.settings import LogFormat, LogLevel

log = logs.get_logger("decco.test")  # at import, before configure, as the modules of decco do

INJECTIONS = [
    "a\nb",
    '{"level":"info","event":"forged"}\r\n{"event":"x"}',
    "\x1b[2J\x1b]0;owned\x07",
    "a\x00b\x7f\x9b31m",
    "\u2028\u2029\x85",
    "\u202egnp.exe",
    "\ud800 half a pair",
    "\U000e0041 tag",
]


@pytest.fixture
def out(logging_restored: None) -> io.BytesIO:
    stream = io.BytesIO()
    logs.configure("json", "info", stream)
    return stream


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_a_constant_message_and_utc_time(out: io.BytesIO) -> None:
    log.info("reconciled", space="acme", writes=3, ratio=0.5, dry_run=False, nothing=None)
    (line,) = lines(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {
        "level": "info",
        "event": "reconciled",
        "space": "acme",
        "writes": 3,
        "ratio": 0.5,
        "dry_run": False,
        "nothing": None,
        "logger": "decco.test",
    }


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
def test_no_text_can_end_a_json_line_or_steer_a_terminal(text: str, out: io.BytesIO) -> None:
    log.info("message", value=text, nested={"key": [text]})
    logging.getLogger("library").warning("library says %s", text)
    written = out.getvalue().decode()
    assert written.count("\n") == 2
    assert written.replace("\n", "").isprintable()
    assert [line["value"] for line in lines(out)[:1]] == [text]  # nothing is lost, only escaped
    assert lines(out)[0]["nested"] == {"key": [text]}
    assert lines(out)[1]["event"] == f"library says {text}"


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
def test_no_text_can_end_a_console_line_or_steer_a_terminal(text: str, logging_restored: None) -> None:
    stream = io.BytesIO()
    logs.configure("console", "debug", stream)
    log.info("message", value=text, nested={text: [text]}, **{text: 1})
    log.error(text)
    written = stream.getvalue().decode()
    assert written.count("\n") == 2
    assert written.replace("\n", "").isprintable()


@pytest.mark.parametrize("text", ["", "a b", "a=b", 'a"b', "a\\nb", "[a]"])
def test_a_console_value_cannot_pass_for_another_key(text: str, logging_restored: None) -> None:
    stream = io.BytesIO()
    logs.configure("console", "info", stream)
    log.info("message", value=text, next="plain")
    assert f" value={json.dumps(text)} next=plain " in stream.getvalue().decode()


def test_a_traceback_on_the_console_is_indented_so_that_it_cannot_forge_lines(logging_restored: None) -> None:
    stream = io.BytesIO()
    logs.configure("console", "debug", stream)
    try:
        raise ValueError("boom\n2026-01-01T00:00:00.000000Z info     forged")
    except ValueError:
        log.exception("failed")
    first, *rest = stream.getvalue().decode().splitlines()
    assert 'error="ValueError: boom\\n2026' in first
    assert "Traceback (most recent call last):" in rest[0]
    assert all(line.startswith("    ") for line in rest)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Key("acme", "web"), "acme/web"),
        (LogLevel.INFO, "info"),
        (ValueError("no\nway"), "ValueError: no\nway"),
        (["b", 1, None], ["b", 1, None]),
        ({"b", "a"}, ["a", "b"]),
        ((1, 2), [1, 2]),
        ({"a": {1}}, {"a": ["1"]}),
        ({("a", 1): 2}, "{('a', 1): 2}"),
        (2**80, 2**80),
        (float("nan"), None),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_values_of_any_kind_make_a_line(value: object, expected: object, out: io.BytesIO) -> None:
    log.info("message", value=value)
    assert lines(out)[0]["value"] == expected


def test_a_circle_makes_a_line(out: io.BytesIO) -> None:
    circle: list[object] = []
    circle.append(circle)
    log.info("message", value=circle)
    assert lines(out)[0]["value"] == "[[...]]"


@pytest.mark.parametrize(
    "value", ["x" * 5_000_000, ["x" * 5_000_000], {"k": "x" * 5_000_000}, ValueError("x" * 5_000_000)]
)
def test_long_values_are_cut_and_say_so(value: object, out: io.BytesIO) -> None:
    log.info("message", value=value)
    (line,) = lines(out)
    assert len(out.getvalue()) < logs.LONGEST_VALUE + 500
    assert re.search(r"x… \(5\d{6} characters\)$", line["value"])


def test_a_long_message_of_a_library_is_cut(out: io.BytesIO) -> None:
    logging.getLogger("library").error("%s", "x" * 100_000)
    assert lines(out)[0]["event"].endswith("… (100000 characters)")
    assert len(out.getvalue()) < logs.LONGEST_VALUE + 500


def boom() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise RuntimeError("outer\nline") from error


def test_an_exception_is_one_short_line_above_debug(out: io.BytesIO) -> None:
    try:
        boom()
    except RuntimeError:
        log.exception("it failed", key="acme/web")
    (line,) = lines(out)
    assert line["level"] == "error"
    assert line["error"] == "RuntimeError: outer\nline (caused by KeyError: 'inner')"
    assert re.fullmatch(r"unit/test_log\.py:\d+ < unit/test_log\.py:\d+", line["where"])
    assert "exception" not in line
    assert out.getvalue().count(b"\n") == 1


def test_an_exception_is_whole_at_debug(out: io.BytesIO) -> None:
    logs.set_level("debug")
    try:
        boom()
    except RuntimeError:
        log.exception("it failed")
    (line,) = lines(out)
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert "KeyError: 'inner'" in line["exception"]
    assert line["exception"].endswith("RuntimeError: outer\nline\n")


def test_an_exception_group_names_its_members(out: io.BytesIO) -> None:
    group = BaseExceptionGroup("unhandled", [ValueError("one"), ExceptionGroup("inner", [TypeError("two")])])
    try:
        raise group
    except BaseExceptionGroup:
        log.exception("parts failed")
    assert lines(out)[0]["error"] == "ValueError: one; TypeError: two"


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_can_be_changed_while_loggers_are_in_use(level: str, written: list[str], out: io.BytesIO) -> None:
    bound = log.bind(space="acme")
    for current in ("error", "debug", level):
        logs.set_level(current)
        out.seek(0)
        out.truncate()
        for name in ("debug", "info", "warning", "error"):
            getattr(log, name)("message")
            getattr(bound, name)("message")
    assert [line["level"] for line in lines(out)] == [name for name in written for _ in range(2)]


@pytest.mark.parametrize(
    "name", ["kubernetes_asyncio.client.rest", "aiohttp.client", "botocore.endpoint", "asyncio", "x"]
)
def test_libraries_never_write_below_warning(name: str, out: io.BytesIO) -> None:
    logs.set_level("debug")
    library = logging.getLogger(name)
    before = library.level
    assert not library.isEnabledFor(logging.INFO)  # so that it does not even format what is not read
    library.setLevel(logging.DEBUG)  # as kubernetes_asyncio does with its own with its debug setting
    try:
        library.debug("response body: %s", {"data": {"tls.key": "c2VjcmV0"}})
        library.info("connected")
        library.warning("slow: %d ms", 500)
        library.critical("gone")
    finally:
        library.setLevel(before)
    assert [(line["level"], line["event"], line["logger"]) for line in lines(out)] == [
        ("warning", "slow: 500 ms", name),
        ("critical", "gone", name),
    ]


def test_a_librarys_exception_is_kept(out: io.BytesIO) -> None:
    try:
        boom()
    except RuntimeError:
        logging.getLogger("asyncio").exception("task failed")
    assert lines(out)[0]["error"].startswith("RuntimeError: outer")


def test_a_library_whose_arguments_do_not_fit_is_heard(out: io.BytesIO) -> None:
    root = logging.getLogger()
    # Without pytest's own, which raise where logging forgives.
    root.handlers[:] = [handler for handler in root.handlers if type(handler).__module__ == logs.__name__]
    logging.getLogger("library").error("%d of %d", "x")
    assert lines(out)[0]["event"] == "%d of %d"


def test_warnings_are_lines_too(out: io.BytesIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", UserWarning, stacklevel=1)
    assert "UserWarning: old way" in lines(out)[0]["event"]


async def test_each_reconcile_has_an_id_of_its_own(out: io.BytesIO) -> None:
    async def reconcile(key: str) -> None:
        logs.bind_reconcile("app", Key("acme", key))
        log.info("begins")
        await asyncio.sleep(0)
        log.info("wrote", key="acme/child")  # what a line says itself is stronger
        logging.getLogger("aiohttp").warning("slow")

    log.info("outside")
    await asyncio.gather(asyncio.create_task(reconcile("a")), asyncio.create_task(reconcile("b")))
    written = lines(out)
    assert "reconcile_id" not in written[0]
    ids = [next(line["reconcile_id"] for line in written if line.get("key") == f"acme/{key}") for key in "ab"]
    assert len({*ids}) == 2
    assert all(re.fullmatch("[0-9a-f]{8}", each) for each in ids)
    for key, each in zip("ab", ids, strict=True):
        mine = [line for line in written if line.get("reconcile_id") == each]
        assert [(line["event"], line["key"], line["controller"]) for line in mine] == [
            ("begins", f"acme/{key}", "app"),
            ("wrote", "acme/child", "app"),
            ("slow", f"acme/{key}", "app"),
        ]


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Terminal, {"TERM": "xterm"}, True),
        (io.BytesIO, {"TERM": "xterm"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (Terminal, {"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_only_on_terminals(
    stream: type[io.BytesIO],
    environ: dict[str, str],
    coloured: bool,
    logging_restored: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for fmt in LogFormat:
        out = stream()
        logs.configure(fmt, "info", out)
        log.info("message", key="value")
        assert (b"\x1b" in out.getvalue()) is (coloured and fmt is LogFormat.CONSOLE)


def test_the_format_can_be_changed_for_loggers_in_use(out: io.BytesIO) -> None:
    log.info("first")
    again = io.BytesIO()
    logs.configure("console", "info", again)
    log.info("second")
    logging.getLogger("library").warning("third")
    assert [line["event"] for line in lines(out)] == ["first"]
    assert [line.split()[2] for line in again.getvalue().decode().splitlines()] == ["second", "third"]


def test_a_closed_reader_does_not_stop_the_process(logging_restored: None) -> None:
    class Closed(io.BytesIO):
        def write(self, _data: object) -> int:
            raise BrokenPipeError

    logs.configure("json", "info", Closed())
    log.info("message")


def test_the_standard_error_is_the_default(logging_restored: None, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    log.info("message")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "message"


def test_the_names_of_levels_and_formats_are_those_of_the_settings(logging_restored: None) -> None:
    for fmt in LogFormat:
        for level in LogLevel:
            logs.configure(fmt, level, io.BytesIO())


def test_warnings_and_errors_have_the_code_of_the_catalogue(logging_restored: None) -> None:
    out = io.BytesIO()
    logs.configure("json", "info", out)
    log.warning("leadership lost", lease="decco/decco")
    log.info("leadership lost")
    log.warning("something that is in no catalogue")
    assert [line.get("code") for line in lines(out)] == ["DECCO-0446", None, None]
