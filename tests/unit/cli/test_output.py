"""Tables, colours, and text that is not ours."""

from __future__ import annotations

import io

import pytest

from decco.cli import output
from decco.cli.output import Style


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("when", "environment", "terminal", "colour"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_colour(
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    environment: dict[str, str],
    terminal: bool,
    colour: bool,
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert output.wants_color(when, Terminal() if terminal else io.StringIO()) is colour


def test_a_table_for_programs_has_one_line_per_row() -> None:
    text = output.table(
        ("STATE", "WHAT"), [("ok", "a " * 200), ("failure", "b\x1b[31m\nc")], Style(enabled=False), state=0
    )
    lines = text.splitlines()
    assert len(lines) == 3
    assert lines[0] == "STATE    WHAT"
    assert lines[2] == "failure  b [31m c"


def test_a_table_on_a_terminal_is_wrapped_and_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    text = output.table(("STATE", "WHAT"), [("ok", "word " * 30)], Style(enabled=True), state=0)
    head, *rows = text.splitlines()
    assert head == "\x1b[1mSTATE  WHAT\x1b[0m"
    assert rows[0].startswith("\x1b[32mok   \x1b[0m  word word")
    assert all(row.startswith("       word") for row in rows[1:])
    assert max(len(row) for row in rows[1:]) <= 60


def test_data(capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["x"]
    output.write_data({"a": shared, "b": shared, "ü": "\x1b"}, "yaml")
    assert capsys.readouterr().out == 'a:\n- x\nb:\n- x\nü: "\\e"\n'
    output.write_data({"ü": "\x1b"}, "json")
    assert capsys.readouterr().out == '{\n  "ü": "\\u001b"\n}\n'
