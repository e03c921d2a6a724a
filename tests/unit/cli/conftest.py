"""``decco`` called in this process: what it prints where and its status, without the half second of a new Python.

That the same holds for a process of its own is what ``test_a_real_process`` of test_main and test_import ask.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import pytest

from decco.cli.main import main


class Done(NamedTuple):
    """How a call ended, under the names of subprocess.CompletedProcess."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(logging_restored: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls ``decco`` with some words; ``name`` is how the user called it, ``given`` its standard input."""

    def call(*words: str, name: str = "decco", given: str = "") -> Done:
        monkeypatch.setattr("sys.argv", [name, *words])
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        capsys.readouterr()  # what the test printed before is not of this call
        try:
            status = main()
        except SystemExit as end:  # as argparse ends
            status = end.code
        return Done(status, *capsys.readouterr())

    return call
