"""Shell completion: commands, flags, their values, and names of Spaces and Apps.

argcomplete implements the protocols of the shells. kubectl completes plugins with the protocol of cobra: a program
``kubectl_complete-<plugin>`` gets the words typed so far and prints candidates and a directive.

Names from the cluster have a timeout of three seconds, and any error results in no names.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import argcomplete
from argcomplete.completers import ChoicesCompleter, FilesCompleter, SuppressCompleter
from argcomplete.finders import CompletionFinder

from decco.cli import arguments as flags
from decco.cli.parser import COMMANDS, Parser, build
from decco.errors import DeccoError
from decco.objects import APPS, SPACES

if TYPE_CHECKING:
    from decco.settings import Settings

SECONDS = 3.0
NAMES_AT_MOST = 500
NO_FILES = 4
"""cobra's ShellCompDirectiveNoFileComp: do not complete file names."""
DEFAULT = 0
_OF_FILES = frozenset({"--config", "--kubeconfig"})


def answer_shell(program: str) -> None:
    """Answers argcomplete's script in the shell, and ends the process."""
    words = os.environ.get("COMP_LINE", "").split()[1:]
    argcomplete.autocomplete(_parser(program, words), default_completer=FilesCompleter())


def candidates(words: Sequence[str]) -> list[str]:
    """Completions of the last of ``words``, which may be empty."""
    *before, last = words or [""]
    finder = CompletionFinder(_parser("decco", before), default_completer=SuppressCompleter())
    found: list[str] = finder._get_completions(["decco", *before], last, "", None)  # type: ignore[no-untyped-call] # noqa: SLF001
    return sorted(found)


def kubectl() -> int:
    """``kubectl_complete-decco WORD...``: candidates, then cobra's directive (kubectl, plugin completion)."""
    words = sys.argv[1:]
    found = candidates(words)
    files = not found and (
        (words[-2:-1] and words[-2] in _OF_FILES) or (words and words[0] in {"render", "diff", "graph"})
    )
    for word in found:
        print(word.rstrip())
    print(f":{DEFAULT if files else NO_FILES}")
    return 0


def _parser(program: str, words: Sequence[str]) -> Parser:
    asked = next((word for word in words if word in COMMANDS), None)
    parser, commands = build(program, *((asked,) if asked is not None else ()))
    for action in commands[asked]._actions if asked is not None else ():  # noqa: SLF001 - argparse has no other way
        if getattr(action, "completions", None):
            completer: object = ChoicesCompleter(action.completions)  # type: ignore[attr-defined]
        elif hasattr(action, "completes_names"):
            completer = _names
        elif "--namespace" in action.option_strings:
            completer = _spaces
        else:
            continue
        action.completer = completer  # type: ignore[attr-defined]
    return parser


def _spaces(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    return [name for name in _ask(parsed_args, prefix) if "/" not in name]


def _names(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    names = _ask(parsed_args, prefix)
    files = FilesCompleter()(prefix) if parsed_args.command in {"diff", "graph"} else []
    return [*names, *files]


def _ask(arguments: argparse.Namespace, prefix: str) -> list[str]:
    """Names of Spaces, or of Apps as namespace/name if the prefix has a namespace."""
    from decco.kube import client, config  # noqa: F401 - not in the time that the cluster has

    given = argparse.Namespace(**{"config": None, "decco_namespace": None, **vars(arguments)})
    try:
        return asyncio.run(asyncio.wait_for(_asked(flags.settings_of(given), prefix), SECONDS))
    except (DeccoError, OSError, TimeoutError):
        return []


async def _asked(settings: Settings, prefix: str) -> list[str]:
    namespace, slash, _ = prefix.partition("/")
    found: list[str] = []
    async with flags.cluster(settings) as client:
        pages = client.list_pages(APPS if slash else SPACES, namespace=namespace if slash else "", limit=NAMES_AT_MOST)
        async for page in pages:
            names = (obj["metadata"]["name"] for obj in page.items)
            found += [f"{namespace}/{name}" if slash else name for name in names]
            if len(found) >= NAMES_AT_MOST:
                break
    return found
