"""The reference page of the command ``decco``, from its parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from decco.cli.parser import COMMANDS, DESCRIPTION, build

PAGE = "docs/reference/cli.md"
_HEAD = """\
# The command decco

<!-- Generated from src/decco/cli by `python -m tools.generate`; change it there. -->

{description} [docs/cli.md](../cli.md) shows what the commands are good for.

kubectl finds it as a plugin: `kubectl decco COMMAND`. It connects as kubectl does (`--kubeconfig`, `KUBECONFIG`,
`~/.kube/config`, the service account of a pod) and changes nothing in a cluster, but for
`decco verify`, which removes what it makes.

Settings matter, since what decco writes depends on them. Without `--config` those of the running controller are taken,
from the ConfigMap `decco-controller` (`decco.yaml`) and the Deployment of that name in decco's namespace, where you may
read them. Commands without a cluster, or without a controller in it, use the defaults and variables `DECCO_*`.

Colour is for terminals; `NO_COLOR` and `--color never` turn it off. Remarks go to standard error. Codes such as
DECCO-0140 are explained in [messages.md](messages.md).

## Exit status

| status | means |
|---|---|
| 0 | success |
| 1 | success, and the command found what it looks for: a difference, a defect, something missing or not visible |
| 2 | an error: the command line, the settings, the files, the cluster; `doctor`: a failure |
| 130 | interrupted (Ctrl-C) |
| 141 | the reader of the output closed it |
"""


def outputs() -> dict[str, str]:
    """Path in the checkout -> content."""
    _, commands = build("decco", *COMMANDS)
    sections = [line for name, parser in commands.items() for line in _section(f"decco {name}", parser)]
    return {PAGE: "\n".join([_HEAD.format(description=DESCRIPTION), *sections])}


def _section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    # Not parser.format_help(): its format depends on the version of Python.
    yield f"## {name}\n\n{parser.description or ''}\n"
    actions = [each for each in parser._actions if not isinstance(each, argparse._HelpAction)]  # noqa: SLF001
    words = [action for action in actions if not action.option_strings]
    usage = " ".join([name, "[flags]", *(f"{_metavar(word)}{_count(word)}" for word in words)])
    yield f"```\n{usage}\n```\n"
    if actions:
        yield "| argument | |\n|---|---|"
    yield from (f"| `{_cell(_metavar(word))}` | {_cell(word.help or '')} |" for word in words)
    for flag in actions:
        if flag.option_strings:
            value = f" {flag.metavar}" if flag.metavar else ""
            yield f"| `{_cell(', '.join(flag.option_strings) + value)}` | {_cell(flag.help or '')} |"
    yield ""
    if parser.epilog:
        raw = parser.formatter_class is argparse.RawDescriptionHelpFormatter
        yield f"```\n{parser.epilog}\n```\n" if raw else f"{parser.epilog}\n"


def _metavar(action: argparse.Action) -> str:
    return str(action.metavar or action.dest)


def _count(action: argparse.Action) -> str:
    return {"+": "...", "*": "...", "?": "?"}.get(str(action.nargs), "")


def _cell(text: str) -> str:
    """Text in a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")
