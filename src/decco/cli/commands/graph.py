"""``decco graph``: who may talk to whom, from the NetworkPolicies that decco writes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output

if TYPE_CHECKING:
    from decco.views.findings import Finding
    from decco.views.snapshot import Snapshot


def configure(parser: argparse.ArgumentParser) -> None:
    flags.add_names(
        parser,
        nargs="*",
        metavar="FILE|SPACE",
        help="files as for render (without a cluster), or Spaces; default: all",
    )
    flags.add_namespace(parser, "namespace of Apps and Secrets in files that name none")
    flags.add_common(parser, "text", "mermaid", "svg", "json", "yaml")
    parser.epilog = (
        "Named Spaces are shown with those that they call or that call them. Exit status: 0 done; 1 an App calls "
        "somebody who does not let it in; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    """A simulation of all objects, and the graph of its policies."""
    from decco.cli import drawing
    from decco.views import documents
    from decco.views.connectivity import as_data, connectivity
    from decco.views.simulation import simulate
    from decco.views.snapshot import from_cluster, from_documents
    from decco.views.targets import is_file, spaces_of

    words = [word for word in arguments.targets if not is_file(word)]
    files = [word for word in arguments.targets if is_file(word)]
    found = documents.read(files, sys.stdin)
    settings = flags.settings_of(arguments)

    async def gather() -> tuple[Snapshot, list[Finding]]:
        if files:
            return from_documents(found, settings, arguments.namespace), []
        async with flags.connected(arguments, settings) as (client, in_force, remarks):
            return await from_cluster(client, in_force, set()), remarks

    snapshot, remarks = asyncio.run(gather())
    spaces = spaces_of(words, snapshot)
    snapshot.forget_children()
    graph = connectivity(snapshot, asyncio.run(simulate(snapshot, datetime.now(UTC))))
    if spaces:
        graph = graph.only(spaces)
    if arguments.output == "text":
        output.write(drawing.text(graph, output.style_of(arguments.color)))
    elif arguments.output in ("json", "yaml"):
        output.write_data(as_data(graph), arguments.output)
    else:
        output.write(drawing.mermaid(graph) if arguments.output == "mermaid" else drawing.svg(graph))
    output.report(arguments.program, [*remarks, *snapshot.warnings, *snapshot.gaps])
    return 1 if any(call.allowed is False for call in graph.calls) else 0
