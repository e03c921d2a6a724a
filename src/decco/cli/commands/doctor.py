"""``decco doctor``: is this cluster fit for decco, and decco for this cluster."""

from __future__ import annotations

import argparse

from decco.cli import arguments as flags


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--service-account",
        metavar="NAME",
        default="decco-controller",
        help="whom the controller runs as, in decco's namespace; default: decco-controller",
    )
    flags.add_settings(parser)
    flags.add_cluster(parser)
    flags.add_output(parser, "table", "json", "yaml")
    parser.epilog = (
        "Reads only; DNS providers are asked for their zones. Exit status: 0 all is well; 1 warnings, or something "
        "that you may not see; 2 a failure, or it could not be told."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.cli.actions import doctor

    return doctor.run(arguments)
