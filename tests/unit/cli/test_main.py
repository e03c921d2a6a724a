"""The command line of ``decco``: what it prints, where, and with which exit status."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml

from decco import __version__
from decco.api.crd import crds
from decco.cli import main as cli
from decco.errors import ConfigError, DeccoError
from decco.kube.errors import Unreachable
from tests.sample import thorough
from tests.unit.cli.conftest import Run

SEE = "; see `decco doctor --help`"
SRC = Path(cli.__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SRC)}
ENVIRONMENT.pop("PYTHONUNBUFFERED", None)  # what a person's shell has not either


def process(*words: str) -> subprocess.CompletedProcess[str]:
    script = "import sys; sys.argv[0] = 'decco'; from decco.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", script, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


@thorough
def test_a_real_process(run: Run) -> None:
    """The tests below call the command in this process; this one shows that it makes no difference."""
    for words in (["crds"], ["--version"], ["crd"], []):
        done = process(*words)
        assert (done.returncode, done.stdout, done.stderr) == run(*words)


def test_crds_are_one_yaml_stream(run: Run) -> None:
    done = run("crds")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(yaml.safe_load_all(done.stdout)) == list(crds())


def test_version(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"decco {__version__}\n")


def test_help_lists_the_commands(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in cli.COMMANDS:
        assert f"\n    {name}" in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["crd"], "decco: unknown command 'crd'; did you mean 'crds'?; see `decco --help`"),
        (["CRDS"], "decco: unknown command 'CRDS'; did you mean 'crds'?; see `decco --help`"),
        (["xyz"], f"decco: unknown command 'xyz'; there is {', '.join(cli.COMMANDS)}; see `decco --help`"),
        (["--verison"], "decco: unexpected flag '--verison'; did you mean '--version'?; see `decco --help`"),
        (["crds", "--al"], "decco crds: unexpected flag '--al'; see `decco crds --help`"),
        (["crds", "me"], "decco crds: unexpected word 'me'; see `decco crds --help`"),
        (
            ["diff", "--contxt=a"],
            "decco diff: unexpected flag '--contxt'; did you mean '--context'?; see `decco diff --help`",
        ),
        (
            ["doctor", "-o", "jsn"],
            "decco doctor: argument -o/--output: 'jsn' is not one of table, json, yaml; did you mean 'json'?" + SEE,
        ),
        (["render"], "decco render: the following arguments are required: FILE; see `decco render --help`"),
    ],
)
def test_typos_get_one_line_and_status_2(run: Run, words: list[str], line: str) -> None:
    assert run(*words) == (2, "", f"{line} (DECCO-0501)\n")


def test_no_command_at_all(run: Run) -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: decco" in done.stderr


def test_as_a_kubectl_plugin(run: Run) -> None:
    assert run("crd", name="/usr/bin/kubectl-decco").stderr.startswith("kubectl decco: unknown command 'crd'")


SHORT = """
import sys, types
from decco.cli import main as cli
cli.COMMANDS["short"] = "print little"
run = lambda arguments: print("little") or 0
sys.modules["decco.cli.commands.short"] = types.SimpleNamespace(configure=lambda parser: None, run=run)
sys.exit(cli.main(["short"]))
"""
"""A command whose output is still in Python's buffer when it returns."""


@thorough
@pytest.mark.parametrize("program", [["-m", "decco.cli.main", "crds"], ["-c", SHORT]], ids=["long", "short"])
def test_a_reader_that_has_seen_enough(program: list[str]) -> None:
    """``decco crds | head -1`` ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, *program], env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (cli.EXIT_NO_READER, "")


@thorough
def test_help_and_typos_import_nothing_heavy() -> None:
    script = (
        "import sys\nfrom decco.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('loaded:', sorted({'pydantic', 'yaml', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("loaded: []\n"), done


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (DeccoError("no such Space"), 2, "decco: no such Space (DECCO-0509)\n"),
        (ConfigError("no kubeconfig"), 2, "decco: no kubeconfig (DECCO-0503)\n"),
        (Unreachable("no answer", sent=None), 2, f"decco: no answer; {Unreachable.advice} (DECCO-0511)\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_of_a_command(
    logging_restored: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    line: str,
) -> None:
    def fail(_: object) -> int:
        raise error

    module = types.SimpleNamespace(configure=lambda parser: None, run=fail)
    monkeypatch.setitem(cli.COMMANDS, "fail", "fail")
    monkeypatch.setitem(sys.modules, "decco.cli.commands.fail", module)
    monkeypatch.setattr(sys, "argv", ["decco"])
    assert cli.main(["fail"]) == status
    assert capsys.readouterr().err == line


def test_every_command_has_its_module() -> None:
    folder = Path(cli.__file__).parent / "commands"
    assert {path.stem.removesuffix("_") for path in folder.glob("[!_]*.py")} == set(cli.COMMANDS)
