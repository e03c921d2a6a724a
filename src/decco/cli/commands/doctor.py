"""``decco doctor``: preflight checks of the cluster and the controller, as a table or as data."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output
from decco.messages import Severity

if TYPE_CHECKING:
    from decco.views.findings import Finding


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--service-account",
        metavar="NAME",
        default="decco-controller",
        help="service account of the controller, in decco's namespace; default: decco-controller",
    )
    flags.add_common(parser, "table", "json", "yaml")
    parser.epilog = (
        "Reads only, also from the DNS providers. Exit status: 0 all is well; 1 warnings, or something that you may "
        "not see; 2 a failure, or an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.views.preflight.checks import check

    settings = flags.settings_of(arguments)

    async def gather() -> list[Finding]:
        given = arguments.config is not None
        async with flags.cluster(settings) as client:
            return await check(client, settings, given=given, account=arguments.service_account)

    findings = asyncio.run(gather())
    if arguments.output == "table":
        output.write(output.findings_table(findings, "CHECK", output.style_of(arguments.color)))
    else:
        output.write_data({"checks": output.findings_data(findings, "check")}, arguments.output)
    severities = {finding.severity for finding in findings}
    if Severity.FAILURE in severities:
        return 2
    return 1 if severities - {Severity.OK} else 0
