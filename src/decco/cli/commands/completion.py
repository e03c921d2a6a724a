"""``decco completion``: the completion script of a shell."""

from __future__ import annotations

import argparse

from decco.cli import arguments as flags
from decco.cli import output

SHELLS = ("bash", "zsh", "fish")


def configure(parser: argparse.ArgumentParser) -> None:
    flags.add_choice(parser, "shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
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
