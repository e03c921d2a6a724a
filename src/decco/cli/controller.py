"""``decco-controller``: parses flags and settings and runs the controller; wrong settings are exit status 2."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from decco import __version__
from decco.errors import ConfigError, leaves
from decco.messages import error_code, usage_code
from decco.suggest import did_you_mean
from decco.text import escape

PROGRAM = "decco-controller"
EXIT_WRONG_SETTINGS = 2

_DESCRIPTION = "Creates and maintains the Kubernetes objects, routes, certificates and DNS records of Spaces and Apps."
_EPILOG = """\
Settings come from, the later the stronger: defaults, the file of --config, variables DECCO_* (nested with two
underscores, as DECCO_ROUTING__BACKEND), flags. docs/reference/settings.md lists them all.

Exit status: 0 after SIGTERM or SIGINT, 2 if the settings or the credentials cannot work, 70 or 75 if the process had to
end because it was no longer the leader (docs/operations/failover.md).
"""


class _Parser(argparse.ArgumentParser):
    """argparse without its usage text before an error: one line per error, as for all settings."""

    def error(self, message: str) -> NoReturn:
        _complain({f"{message}; {PROGRAM} --help lists the flags": usage_code()})
        sys.exit(EXIT_WRONG_SETTINGS)


_SETTINGS = (
    ("--kubeconfig", "FILE", "connection to the cluster; default: the pod's service account, else kubectl's own file"),
    ("--context", "NAME", "context of the kubeconfig; default: its current one"),
    ("--namespace", "NAME", "namespace of decco itself and of the Secrets that Spaces name; default: decco"),
    ("--metrics-bind-address", "ADDR", "host:port of /metrics, /healthz and /readyz; 0 for none; default: :8080"),
    ("--log-format", "FORMAT", "json or console; default: json"),
    ("--log-level", "LEVEL", "debug, info, warning or error; default: info"),
)
"""Flag, value and help. These flags have the names of fields of Settings, which validates them."""


def parser() -> argparse.ArgumentParser:
    made = _Parser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--config", metavar="FILE", type=Path, help="YAML file with settings")
    made.add_argument("--print-config", action="store_true", help="print the settings in force as such a file, and end")
    version = f"{PROGRAM} {__version__} (Python {platform.python_version()})"
    made.add_argument("--version", action="version", version=version)
    settings = made.add_argument_group("settings")
    for flag, metavar, text in _SETTINGS:
        settings.add_argument(flag, metavar=metavar, help=text)
    text = "log what would be written, write nothing"
    settings.add_argument("--dry-run", action="store_true", default=None, help=text)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the controller until a signal; returns its exit status."""
    arguments = parser()
    parsed, unknown = arguments.parse_known_args(argv)
    # Imported late: --help needs no settings and no log, and wrong settings need no HTTP client.
    from decco import log
    from decco.settings.live import LiveSettings
    from decco.settings.load import WrongSettings, dump

    flags = vars(parsed)
    config_file, print_config = flags.pop("config"), flags.pop("print_config")
    mistakes = {_unknown(word, arguments): usage_code() for word in unknown}
    try:
        live = LiveSettings(flags, os.environ, config_file)
    except WrongSettings as error:
        mistakes |= dict.fromkeys(error.lines, error_code(WrongSettings))
    if mistakes:
        _complain(mistakes)
        return EXIT_WRONG_SETTINGS
    if print_config:
        print(dump(live.current), end="")
        return 0
    log.configure(live.current.log_format, live.current.log_level)
    live.subscribe("logLevel", log.change_level)
    with _ends_at_signals():
        import asyncio

        from decco.daemon import run

        try:
            return asyncio.run(run(live))
        except (ConfigError, ExceptionGroup) as error:
            # A ConfigError after the start is raised from the daemon's TaskGroup.
            found = list(leaves(error))
            if not all(isinstance(each, ConfigError) for each in found):
                raise
            for each in found:
                mistakes |= dict.fromkeys(getattr(each, "lines", (str(each),)), error_code(type(each)))
            _complain(mistakes)
            return EXIT_WRONG_SETTINGS


@contextlib.contextmanager
def _ends_at_signals() -> Iterator[None]:
    """Ends the process with status 0 at SIGTERM or SIGINT, until the daemon installs its own handlers.

    Without a handler, a process with the ID 1, as in a container, ignores these signals.
    """

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(0)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unknown(word: str, arguments: argparse.ArgumentParser) -> str:
    flag = word.partition("=")[0]
    if not flag.startswith("-"):
        return f"{word}: unexpected word; {PROGRAM} takes flags only"
    known = [option for action in arguments._actions for option in action.option_strings]  # noqa: SLF001
    return f"{flag}: unknown flag{did_you_mean(flag, known) or f'; {PROGRAM} --help lists them'}"


def _complain(mistakes: Mapping[str, str]) -> None:
    """``mistakes``: line -> code."""
    for line, code in mistakes.items():
        print(f"{PROGRAM}: {escape(line)} ({code})", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
