"""Generates the reference page of the command ``decco`` from its parsers.

python -m decco.cli.reference            write docs/reference/cli.md
python -m decco.cli.reference --check    exit status 1 if the page is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from decco.cli.main import COMMANDS, DESCRIPTION, build

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"

_HEAD = """\
# The command decco

<!-- Made by `python -m decco.cli.reference` from src/decco/cli; change it there. -->

{description} [docs/cli.md](../cli.md) shows what the commands are good for.

kubectl finds it as a plugin: `kubectl decco COMMAND`. It connects as kubectl does (`--kubeconfig`, `KUBECONFIG`,
`~/.kube/config`, the service account of a pod) and changes nothing in a cluster.

Settings matter, since what decco writes depends on them. Without `--config` those of the running controller are taken,
from the ConfigMap `decco-controller` (`decco.yaml`) and the Deployment of that name in decco's namespace, where you may
read them; variables `DECCO_*` are stronger than both. Commands without a cluster use the defaults.

Colour is for terminals; `NO_COLOR` and `--color never` turn it off. Remarks go to standard error.

## Exit status

| status | means |
|---|---|
| 0 | success |
| 1 | success, and the command found what it looks for: a difference, a defect, something missing or not visible |
| 2 | an error: the command line, the settings, the files, the cluster; `doctor`: a failure |
| 130 | interrupted (Ctrl-C) |
| 141 | the reader of the output closed it |
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD.format(description=DESCRIPTION), *_sections()])


def _sections() -> Iterator[str]:
    _, commands = build("decco", *COMMANDS)
    for name, parser in commands.items():
        yield from _section(f"decco {name}", parser)


def _section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    # Not parser.format_help(): its format depends on the version of Python.
    yield f"## {name}\n\n{parser.description or ''}\n"
    words, flags, below = [], [], {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            below = dict(action.choices)
        elif isinstance(action, argparse._HelpAction):  # noqa: SLF001
            continue
        elif action.option_strings:
            flags.append(action)
        else:
            words.append(action)
    usage = " ".join(
        [name, "[flags]", *(f"{_metavar(word)}{_count(word)}" for word in words), *("COMMAND",) * bool(below)]
    )
    yield f"```\n{usage}\n```\n"
    if words or flags:
        yield "| argument | |\n|---|---|"
    yield from (f"| `{_cell(_metavar(word))}` | {_cell(word.help or '')} |" for word in words)
    for flag in flags:
        value = f" {flag.metavar}" if flag.metavar else ""
        yield f"| `{_cell(', '.join(flag.option_strings) + value)}` | {_cell(flag.help or '')} |"
    yield ""
    if parser.epilog:
        raw = parser.formatter_class is argparse.RawDescriptionHelpFormatter
        yield f"```\n{parser.epilog}\n```\n" if raw else f"{parser.epilog}\n"
    for inner, its in below.items():
        yield from _section(f"{name} {inner}", its)


def _metavar(action: argparse.Action) -> str:
    return str(action.metavar or action.dest)


def _count(action: argparse.Action) -> str:
    return {"+": "...", "*": "...", "?": "?"}.get(str(action.nargs), "")


def _cell(text: str) -> str:
    """Text in a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")


def main(argv: Sequence[str] | None = None, path: Path = PAGE) -> int:
    parser = argparse.ArgumentParser(prog="python -m decco.cli.reference", description="Make the page of decco.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if the page is stale")
    arguments = parser.parse_args(argv)
    text = page()
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    if arguments.check:
        sys.stderr.write("docs/reference/cli.md is stale: run `make generate` and commit the result\n")
        return 1
    path.write_text(text, encoding="utf-8")
    sys.stdout.write("docs/reference/cli.md written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
