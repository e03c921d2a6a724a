"""``decco graph``: who may talk to whom, from the NetworkPolicies that decco writes."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from decco.cli import arguments as flags
from decco.cli import output


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


async def run(arguments: argparse.Namespace) -> int:
    """A simulation of all objects, and the graph of its policies."""
    from decco.cli import drawing
    from decco.views import documents
    from decco.views.connectivity import as_data, connectivity
    from decco.views.findings import Finding
    from decco.views.simulation import simulate
    from decco.views.snapshot import from_cluster, from_documents
    from decco.views.targets import is_file, spaces_of

    words = [word for word in arguments.targets if not is_file(word)]
    files = [word for word in arguments.targets if is_file(word)]
    found = documents.read(files, sys.stdin)
    remarks: list[Finding] = []
    if files:
        snapshot = from_documents(found, flags.settings_of(arguments), arguments.namespace)
    else:
        async with flags.connected(arguments) as (client, settings, remarks):
            snapshot = await from_cluster(client, settings, set())
    spaces = spaces_of(words, snapshot)
    snapshot.forget_children()
    graph = connectivity(snapshot, await simulate(snapshot, datetime.now(UTC)))
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
