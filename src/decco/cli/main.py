"""The command ``decco``, also found by kubectl as ``kubectl decco``.

Each subcommand is one module of ``decco.cli.commands``, imported only when it is called or completed. A module has two
functions; only what ``run`` calls imports heavy dependencies, so that ``--help``, completion and errors in the command
line are fast:

    configure(parser)        adds the arguments
    run(arguments) -> int    prints to standard output, returns the exit status

``arguments.program`` is the name of the program as it was called. Exit status of all commands: 0 success; 1 success,
and the command found what it looks for (a difference, a defect, something missing); 2 an error: the command line, the
settings, the cluster; 130 interrupted; 141 the reader of the output closed it. A message on standard error names the
cause, with the code of the catalogue (``decco.messages``).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from decco.cli.parser import COMMANDS, EXIT_FAILED, build
from decco.errors import DeccoError
from decco.messages import error_code
from decco.suggest import did_you_mean

EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_NO_READER = 128 + signal.SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns the exit status, or raises SystemExit with it for a wrong command line or --help."""
    words = list(sys.argv[1:] if argv is None else argv)
    program = program_name()
    try:
        if "_ARGCOMPLETE" in os.environ:
            from decco.cli.complete import answer_shell

            answer_shell(program)
        arguments = _parse(program, words)
        from decco import log

        # The controller's code logs; a command shows errors only.
        log.configure("console", "error")
        status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except DeccoError as error:
        lines = getattr(error, "lines", None) or ["; ".join(filter(None, (str(error), error.advice)))]
        for line in lines:
            sys.stderr.write(f"{program}: {line} ({error_code(type(error))})\n")
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader closed the pipe, as in `decco crds | head`. Without this, Python would flush again at exit and
        # report an error (see the note on SIGPIPE in the documentation of signal).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NO_READER
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def program_name() -> str:
    """The name of the program as it was called: kubectl runs the plugin ``kubectl decco`` as kubectl-decco."""
    return "kubectl decco" if Path(sys.argv[0]).name.startswith("kubectl-decco") else "decco"


def _parse(program: str, words: Sequence[str]) -> argparse.Namespace:
    asked = next((word for word in words if not word.startswith("-")), None)
    parser, commands = build(program, *((asked,) if asked in COMMANDS else ()))
    if asked is not None and asked not in COMMANDS:
        hint = did_you_mean(asked, COMMANDS, quoted=True) or f"; there is {', '.join(COMMANDS)}"
        parser.error(f"unknown command {asked!r}{hint}")
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        speaker = commands[asked] if asked is not None else parser
        word = unknown[0].partition("=")[0]
        hint = did_you_mean(word, speaker.flags(), quoted=True) if word.startswith("-") else ""
        speaker.error(f"unexpected {'flag' if word.startswith('-') else 'word'} {word!r}{hint}")
    if asked is None:
        parser.print_help(sys.stderr)
        parser.exit(EXIT_FAILED)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
