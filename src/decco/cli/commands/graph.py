"""``decco graph``: who may talk to whom, from the NetworkPolicies that decco writes."""

from __future__ import annotations

import argparse

from decco.cli import arguments as flags


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="FILE|SPACE",
        help="files as for render (without a cluster), or Spaces; default: all",
    ).names_for_completion = "targets"  # type: ignore[attr-defined]
    flags.add_namespace(parser, "namespace of Apps and Secrets in files that name none")
    flags.add_settings(parser)
    flags.add_cluster(parser)
    flags.add_output(parser, "text", "mermaid", "svg", "json", "yaml")
    parser.epilog = (
        "Named Spaces are shown with those that they call or that call them. Exit status: 0 done; 1 an App calls "
        "somebody who does not let it in; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.cli.actions import graph

    return graph.run(arguments)
