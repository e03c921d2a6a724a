"""``decco doctor``: is this cluster fit for decco, and decco for this cluster."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output

if TYPE_CHECKING:
    from decco.settings import Settings


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
    import asyncio

    return asyncio.run(_run(arguments, flags.settings_of(arguments)))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    from decco.views.fitness.examination import examine
    from decco.views.fitness.model import Grade

    async with flags.cluster(settings) as client:
        checks = await examine(
            client,
            settings,
            os.environ,
            given=arguments.config is not None,
            account=arguments.service_account,
        )
    if arguments.output == "table":
        style = output.style_of(arguments.color)
        rows = [(check.grade.value, check.name, check.text) for check in checks]
        output.write(output.table(("STATE", "CHECK", "WHAT"), rows, style, state=0))
    else:
        listed = [{"check": check.name, "state": check.grade.value, "text": check.text} for check in checks]
        output.write_data({"checks": listed}, arguments.output)
    grades = {check.grade for check in checks}
    if Grade.FAILURE in grades:
        return 2
    return 1 if grades - {Grade.OK} else 0
