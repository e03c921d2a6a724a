"""``decco explain``: who owns a name, how it is reached, and what is missing."""

from __future__ import annotations

import argparse

from decco.cli import arguments as flags


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="HOSTNAME|SPACE|[NAMESPACE/]APP", help="a host name, or the name of a Space or App"
    ).names_for_completion = "targets"  # type: ignore[attr-defined]
    flags.add_namespace(parser, "namespace of an App that is named without one")
    parser.add_argument("--resolver", metavar="ADDR", help="DNS server to query; default: the machine's own")
    parser.add_argument("--no-lookup", action="store_true", help="do not query DNS")
    flags.add_settings(parser)
    flags.add_cluster(parser)
    flags.add_output(parser, "table", "json", "yaml")
    parser.epilog = (
        "Reads only, and reports what you may not read. Exit status: 0 nothing is wrong; 1 something is, or is "
        "missing; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.cli.actions import explain

    return explain.run(arguments)
