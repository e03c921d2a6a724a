"""``decco diff``: what the controller would change now, in the format of ``kubectl diff``."""

from __future__ import annotations

import argparse

from decco.cli import arguments as flags


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="FILE|SPACE|[NAMESPACE/]APP", help="files as for render, or names; default: all"
    ).names_for_completion = "targets"  # type: ignore[attr-defined]
    flags.add_namespace(parser, "namespace of an App that is named without one")
    flags.add_settings(parser)
    flags.add_cluster(parser)
    flags.add_output(parser, "diff", "table", "json", "yaml")
    parser.epilog = (
        "The API server previews each write (dry run), so you need the permission to write the object; nothing is "
        "written. With --config the settings can differ from those of the running controller. The content of Secrets "
        "is not shown. Exit status: 0 no difference; 1 differences; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.cli.actions import diff

    return diff.run(arguments)
