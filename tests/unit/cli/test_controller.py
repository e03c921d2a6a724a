"""decco-controller as a command: what it prints where, and with which exit status it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from decco import __version__
from decco.cli.controller import main, parser
from decco.errors import ConfigError
from decco.settings import LogLevel, Settings
from decco.settings.fields import SETTINGS
from decco.settings.live import LiveSettings
from decco.settings.load import WrongSettings, load
from tests.sample import thorough


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("DECCO_"):
            monkeypatch.delenv(name)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch, logging_restored: None) -> Callable[[Callable[[Settings], int]], None]:
    """Puts a function in the place of decco.daemon.run, which is the seam between the command and the work."""
    module = types.ModuleType("decco.daemon")
    monkeypatch.setitem(sys.modules, "decco.daemon", module)
    monkeypatch.setattr("decco.log.configure", lambda *_args: None)

    def replace(run: Callable[[Settings], int]) -> None:
        async def coroutine(live: LiveSettings) -> int:
            return run(live.current)

        module.run = coroutine  # type: ignore[attr-defined]

    return replace


def test_settings_reach_the_daemon_and_its_status_comes_back(
    daemon: Callable[[Callable[[Settings], int]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings] = []
    daemon(lambda settings: seen.append(settings) or 7)  # type: ignore[func-returns-value]
    path = tmp_path / "decco.yaml"
    path.write_text("clusterId: file\nnamespace: file\n")
    monkeypatch.setenv("DECCO_NAMESPACE", "env")
    monkeypatch.setenv("DECCO_LOG_LEVEL", "error")
    flags = ["--config", str(path), "--log-level", "debug", "--dry-run", "--kubeconfig=/k", "--context", "c"]
    assert main([*flags, "--metrics-bind-address", "0", "--log-format", "console"]) == 7
    (settings,) = seen
    assert (settings.cluster_id, settings.namespace, settings.log_level) == ("file", "env", LogLevel.DEBUG)
    assert (settings.dry_run, settings.kubeconfig, settings.context) == (True, "/k", "c")
    assert (settings.metrics_bind_address, settings.log_format) == ("0", "console")


def test_flags_that_are_not_given_leave_the_settings_alone(
    daemon: Callable[[Callable[[Settings], int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings] = []
    daemon(lambda settings: seen.append(settings) or 0)  # type: ignore[func-returns-value]
    monkeypatch.setenv("DECCO_DRY_RUN", "true")
    assert main([]) == 0
    assert seen == [Settings(dry_run=True)]


def test_a_configuration_that_cannot_work_is_one_line_and_status_2(
    daemon: Callable[[Callable[[Settings], int]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_settings: Settings) -> int:
        raise ConfigError("the API server refuses us\nsee --kubeconfig")

    daemon(run)
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "decco-controller: the API server refuses us\\nsee --kubeconfig (DECCO-0503)\n"


def test_mistakes_that_show_after_the_start_are_one_line_each_and_status_2(
    daemon: Callable[[Callable[[Settings], int]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The daemon's parts run in TaskGroups, which raise groups, nested as the parts are."""

    def run(_settings: Settings) -> int:
        inner = ExceptionGroup("unhandled errors in a TaskGroup", [ConfigError("the plugin is gone"), ConfigError("b")])
        wrong = WrongSettings(["c", "d"])
        raise ExceptionGroup("unhandled errors in a TaskGroup", [inner, wrong, ConfigError("b")])

    daemon(run)
    assert main([]) == 2
    assert capsys.readouterr().err == "".join(
        f"decco-controller: {line})\n"
        for line in ("the plugin is gone (DECCO-0503", "b (DECCO-0503", "c (DECCO-0502", "d (DECCO-0502")
    )


def test_a_defect_beside_a_mistake_is_not_hidden(daemon: Callable[[Callable[[Settings], int]], None]) -> None:
    def run(_settings: Settings) -> int:
        raise ExceptionGroup("unhandled errors in a TaskGroup", [ConfigError("mistake"), RuntimeError("defect")])

    daemon(run)
    with pytest.raises(ExceptionGroup) as caught:
        main([])
    assert caught.group_contains(RuntimeError, match="defect")


def test_a_defect_is_not_taken_for_a_wrong_configuration(daemon: Callable[[Callable[[Settings], int]], None]) -> None:
    def run(_settings: Settings) -> int:
        raise RuntimeError("defect")

    daemon(run)
    with pytest.raises(RuntimeError, match="defect"):
        main([])


def test_all_mistakes_come_at_once_one_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "decco.yaml"
    path.write_text("dryRun: maybe\nroutng: {}\n")
    monkeypatch.setenv("DECCO_LOG_FORMATT", "json")
    arguments = [
        "--config",
        str(path),
        "--log-level",
        "loud",
        "--log-fromat=json",
        "--qqq",
        "word\x1b[2J",
        "--names",
        "x",
    ]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"decco-controller: {line}"
        for line in (
            "--log-fromat: unknown flag; did you mean --log-format? (DECCO-0501)",
            "--qqq: unknown flag; decco-controller --help lists them (DECCO-0501)",
            "word\\u001b[2J: unexpected word; decco-controller takes flags only (DECCO-0501)",
            "--names: unknown flag; did you mean --namespace? (DECCO-0501)",
            "x: unexpected word; decco-controller takes flags only (DECCO-0501)",
            f"{path}:2: routng: unknown setting; did you mean routing? (DECCO-0502)",
            "DECCO_LOG_FORMATT: unknown setting; did you mean DECCO_LOG_FORMAT? (DECCO-0502)",
            '--log-level: "loud" must be debug, info, warning or error (DECCO-0502)',
            f'{path}:1: dryRun: "maybe" must be true or false (DECCO-0502)',
        )
    ]


def test_a_flag_without_its_value_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--config"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        "decco-controller: argument --config: expected one argument; decco-controller --help lists the flags "
        "(DECCO-0501)\n"
    )


def test_an_empty_value_is_not_a_forgotten_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--context", ""]) == 2
    line = 'decco-controller: --context: "" must be text of at least one character (DECCO-0502)\n'
    assert capsys.readouterr().err == line


def test_the_settings_in_force_are_printed_as_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-config", "--namespace", "platform", "--dry-run"]) == 0
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    assert load({}, {}, path) == Settings(namespace="platform", dry_run=True)


def test_wrong_settings_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-config", "--namespace", "A"]) == 2
    assert capsys.readouterr().out == ""


def test_the_flags_are_those_of_the_contract() -> None:
    options = {option for action in parser()._actions for option in action.option_strings}
    assert options == {
        "-h",
        "--help",
        "--kubeconfig",
        "--context",
        "--namespace",
        "--config",
        "--metrics-bind-address",
        "--log-format",
        "--log-level",
        "--dry-run",
        "--version",
        "--print-config",
    }


def test_help_contains_the_defaults_that_are_in_force() -> None:
    text = " ".join(parser().format_help().split())
    for key in ("namespace", "metricsBindAddress", "logFormat", "logLevel"):
        default = SETTINGS[key].field.default
        assert f"default: {default}" in text, key


@thorough
def test_a_real_process_says_its_version_and_fails_with_status_2() -> None:
    command = [sys.executable, "-m", "decco.cli.controller"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
    version = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, env=environ, timeout=60, check=True
    )
    assert version.stdout.startswith(f"decco-controller {__version__} (Python 3.")
    environ["DECCO_CLUSTER_ID"] = "\u00e9\n"
    wrong = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith('decco-controller: DECCO_CLUSTER_ID: "\\u00e9\\n" must be a DNS label')
    assert wrong.stderr.count("\n") == 1


def test_the_libraries_of_dns_providers_are_loaded_only_by_their_providers() -> None:
    script = (
        "import sys\nimport decco.cli.controller, decco.daemon\n"
        "print('loaded:', sorted({'aiobotocore', 'botocore', 'google'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("loaded: []\n"), done
