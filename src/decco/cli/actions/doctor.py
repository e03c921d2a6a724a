"""Implementation of ``decco doctor``: all checks, as a table or as data."""

from __future__ import annotations

import argparse
import asyncio
import os

from decco.cli import arguments as flags
from decco.cli import output
from decco.settings import Settings
from decco.views.preflight.checks import check
from decco.views.preflight.model import Grade


def run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_run(arguments, flags.settings_of(arguments)))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    async with flags.cluster(settings) as client:
        checks = await check(
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
