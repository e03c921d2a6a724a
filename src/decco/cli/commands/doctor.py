"""``decco doctor``: preflight checks of the cluster and the controller."""

from __future__ import annotations

import argparse

from decco.cli import arguments as flags


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--service-account",
        metavar="NAME",
        default="decco-controller",
        help="service account of the controller, in decco's namespace; default: decco-controller",
    )
    flags.add_settings(parser)
    flags.add_cluster(parser)
    flags.add_output(parser, "table", "json", "yaml")
    parser.epilog = (
        "Reads only, also from the DNS providers. Exit status: 0 all is well; 1 warnings, or something that you may "
        "not see; 2 a failure, or an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.cli.actions import doctor

    return doctor.run(arguments)
