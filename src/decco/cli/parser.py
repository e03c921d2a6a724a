"""The parser of ``decco`` and of its subcommands: ``main`` runs it, ``complete`` reads it."""

from __future__ import annotations

import argparse
import importlib
from keyword import iskeyword
from typing import NoReturn

from decco import __version__
from decco.messages import usage_code

COMMANDS = {
    "crds": "print the CustomResourceDefinitions of Space and App",
    "init": "print a settings file for what is found in a cluster",
    "import": "propose Spaces and Apps for Ingresses and Deployments, or convert those of the first decco",
    "render": "print what decco would write for the Spaces and Apps of some files, without a cluster",
    "diff": "show how what is in the cluster differs from what decco would write",
    "explain": "show who owns a host name, Space or App, how it is reached, and what is missing",
    "graph": "draw who may talk to whom",
    "ui": "show explain and graph as a page that follows the cluster, on this machine and with your own rights",
    "doctor": "check whether a cluster and the controller in it meet the requirements",
    "verify": "try on a cluster everything that decco promises, with temporary Spaces and Apps",
    "help": "explain the code of a message: what it means, and what to do",
    "dns": "show what decco would change in DNS",
    "move": "move a Space to another cluster, step by step, and back",
    "completion": "print the script that makes a shell complete the words of decco",
}
"""Name of a subcommand, which is the name of its module (with a _ if it is a keyword) -> its summary, for --help."""

DESCRIPTION = "One shared Kubernetes cluster for many customers' Internet-facing services."

EXIT_FAILED = 2


class Parser(argparse.ArgumentParser):
    """Reports errors in one line with a reference to --help, without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_FAILED, f"{self.prog}: {message}; see `{self.prog} --help` ({usage_code()})\n")

    def flags(self) -> list[str]:
        return [flag for action in self._actions for flag in action.option_strings]


def build(program: str, *loaded: str) -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of its commands; only the ``loaded`` ones have their arguments."""
    parser = Parser(prog=program, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"decco {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    known: dict[str, Parser] = {}
    for name, summary in COMMANDS.items():
        known[name] = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
        )
        if name in loaded:
            module = importlib.import_module(f"decco.cli.commands.{name}{'_' if iskeyword(name) else ''}")
            module.configure(known[name])
            known[name].set_defaults(run=module.run, program=program)
    return parser, known
