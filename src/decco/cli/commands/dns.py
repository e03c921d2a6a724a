"""``decco dns plan``: what decco would change in each zone now."""

from __future__ import annotations

import argparse

from decco.cli import arguments as flags

PLAN = "plan"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", metavar=PLAN, type=flags.one_of(PLAN), help="show what would change in each zone"
    ).choices_for_completion = (PLAN,)  # type: ignore[attr-defined]
    flags.add_settings(parser)
    flags.add_cluster(parser)
    flags.add_output(parser, "table", "json", "yaml")
    parser.epilog = (
        "Reads the cluster, the Secrets with the providers' credentials in decco's namespace, and every zone; changes "
        "nothing. Exit status: 0 nothing to do; 1 something would change, or a name cannot be published; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.cli.actions import dns

    return dns.run(arguments)
