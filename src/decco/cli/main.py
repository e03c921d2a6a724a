"""The command ``decco``, also found by kubectl as ``kubectl decco``.

Each subcommand is one module of ``decco.cli.commands``, imported only when it is called, so that ``--help`` and a
typo answer at once. A module has two functions:

    configure(parser)        adds its arguments
    run(arguments) -> int    does it, prints to standard output, returns the exit status

Exit status: 0 done; 1 it found what it was asked to look for (a difference, a defect), or it could not do it; 2 the
command line or the configuration is wrong; 130 interrupted. One sentence on standard error says which.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from keyword import iskeyword
from pathlib import Path
from typing import NoReturn

from decco import __version__
from decco.errors import ConfigError, DeccoError

COMMANDS = {
    "crds": "print the CustomResourceDefinitions of Space and App",
    "import": "convert Spaces and Apps of the first decco",
}
"""Name of a subcommand, which is the name of its module (with a _ if that is Python's) -> what it does, for --help."""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and where to look, instead of printing the whole usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """The whole program; returns the exit status, or raises SystemExit with it for a wrong command line or --help."""
    words = list(sys.argv[1:] if argv is None else argv)
    program = _program()
    try:
        arguments = _parse(program, words)
        status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except DeccoError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
    except BrokenPipeError:
        # The reader of `decco crds | head` has seen enough; at exit Python would flush again, and complain (see the
        # note on SIGPIPE in its documentation of signal).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _program() -> str:
    """How the user called us: kubectl runs its plugin ``kubectl decco`` as the program kubectl-decco."""
    return "kubectl decco" if Path(sys.argv[0]).name.startswith("kubectl-decco") else "decco"


def _parse(program: str, words: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog=program,
        description="One shared Kubernetes cluster as a home for many customers' Internet-facing services.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"decco {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    asked = next((word for word in words if not word.startswith("-")), None)
    if asked is not None and asked not in COMMANDS:
        parser.error(_unknown(asked))
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=_sentence(summary), allow_abbrev=False)
        if name == asked:
            module = importlib.import_module(
                f"decco.cli.commands.{name}_" if iskeyword(name) else f"decco.cli.commands.{name}"
            )
            module.configure(command)
            command.set_defaults(run=module.run)
    arguments = parser.parse_args(words)
    if asked is None:
        parser.print_help(sys.stderr)
        parser.exit(EXIT_USAGE)
    return arguments


def _unknown(asked: str) -> str:
    close = difflib.get_close_matches(asked.lower(), COMMANDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(COMMANDS)}"
    return f"unknown command {asked!r}, {hint}"


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


if __name__ == "__main__":
    sys.exit(main())
