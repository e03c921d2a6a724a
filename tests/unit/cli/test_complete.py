"""Completion: candidates for an unfinished word. With a real kubectl see tests/integration/test_cli.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from decco.cli import complete
from decco.cli.parser import COMMANDS
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["expl"], ["explain"]),
        (["d"], ["diff", "dns", "doctor"]),
        (["graph", "-o", ""], ["json", "mermaid", "svg", "text", "yaml"]),
        (["doctor", "--con"], ["--config", "--context"]),
        (["doctor", "--color", "a"], ["always", "auto"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["nonsense", ""], []),
    ],
)
def test_candidates(words: list[str], found: list[str]) -> None:
    assert [each.strip() for each in complete.candidates(words) if each.strip() in found] == found
    if words[-1] and not words[-1].startswith("-"):
        assert [each.strip() for each in complete.candidates(words)] == found


def test_all_commands() -> None:
    assert {each.strip() for each in complete.candidates([""])} >= COMMANDS.keys()


def test_no_cluster_means_no_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.chdir(tmp_path)
    assert complete.candidates(["explain", "a"]) == []


def test_kubectl_gets_candidates_and_a_directive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, out in ((["doc"], "doctor\n:4\n"), (["render", "x"], ":0\n"), (["doctor", "--config", ""], ":0\n")):
        monkeypatch.setattr("sys.argv", ["kubectl_complete-decco", *words])
        assert complete.kubectl() == 0
        assert capsys.readouterr().out == out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_ARGCOMPLETE" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)
