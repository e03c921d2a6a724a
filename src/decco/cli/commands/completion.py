"""``decco completion``: the completion script of a shell."""

from __future__ import annotations

import argparse

from decco.cli import output
from decco.cli.arguments import one_of

SHELLS = ("bash", "zsh", "fish")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell", metavar="SHELL", type=one_of(*SHELLS), help="bash, zsh or fish"
    ).choices_for_completion = SHELLS  # type: ignore[attr-defined]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "bash:  decco completion bash > ~/.local/share/bash-completion/completions/decco\n"
        "zsh:   decco completion zsh > a file _decco in a folder of $fpath, before compinit\n"
        "fish:  decco completion fish > ~/.config/fish/completions/decco.fish\n\n"
        "kubectl completes `kubectl decco` by itself if kubectl_complete-decco, installed beside decco, is on the PATH."
    )


def run(arguments: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    output.write(shellcode(["decco"], shell=arguments.shell))
    return 0
