"""``decco render``: what the controller would write for the Spaces and Apps of files, without a cluster."""

from __future__ import annotations

import argparse

from decco.cli import arguments as flags


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON files, folders, or - for standard input")
    flags.add_namespace(parser, "namespace of Apps and Secrets that name none")
    flags.add_settings(parser)
    flags.add_output(parser, "yaml", "json")
    parser.epilog = (
        "Secrets in the files count as if they were in the cluster. What only a cluster can show is assumed to be "
        "correct, and reported on standard error. Exit status: 0 done; 1 an object is invalid or its Space is not in "
        "the files; 2 the files or the settings cannot be read."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.cli.actions import render

    return render.run(arguments)
