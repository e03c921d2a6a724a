"""``decco init``: a commented settings file for the cluster."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output

if TYPE_CHECKING:
    from decco.views.proposal import ClusterInventory


def configure(parser: argparse.ArgumentParser) -> None:
    flags.add_cluster(parser)
    parser.epilog = (
        "Prints the file and writes nothing: `decco init > decco.yaml`. Exit status: 0 done; 1 something has to be "
        "added by hand, or could not be read; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.views.proposal import read_cluster, remarks, settings_text

    async def gather() -> ClusterInventory:
        async with flags.connection_to(arguments.kubeconfig, arguments.context) as client:
            return await read_cluster(client)

    found = asyncio.run(gather())
    output.write(settings_text(found))
    left = list(remarks(found))
    output.report(arguments.program, left)
    return 1 if left else 0
