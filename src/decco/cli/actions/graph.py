"""Implementation of ``decco graph``: a simulation of all objects, and the graph of its policies."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from decco.cli import arguments as flags
from decco.cli import drawing, output
from decco.settings import Settings
from decco.views import documents
from decco.views.connectivity import as_data, connectivity
from decco.views.documents import Document
from decco.views.simulation import simulate
from decco.views.snapshot import Snapshot, from_cluster, from_documents
from decco.views.targets import UnknownTargetError, is_file, resolve


def run(arguments: argparse.Namespace) -> int:
    files = [word for word in arguments.targets if is_file(word)]
    words = [word for word in arguments.targets if word not in files]
    found = documents.read(files, sys.stdin) if files else None
    return asyncio.run(_run(arguments, flags.settings_of(arguments), found, words))


async def _run(
    arguments: argparse.Namespace, settings: Settings, found: list[Document] | None, words: list[str]
) -> int:
    remarks: list[str] = []
    if found is not None:
        snapshot = from_documents(found, settings, arguments.namespace)
    else:
        async with flags.cluster(settings) as client:
            settings, remarks = await flags.running_settings(client, settings, arguments)
            snapshot = await from_cluster(client, settings, set())
    spaces = _spaces(snapshot, words)
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


def _spaces(snapshot: Snapshot, words: list[str]) -> set[str]:
    found = set()
    for word in words:
        target = resolve(word, snapshot)
        if target.space is None:
            raise UnknownTargetError(f"{word!r} is not a Space: graph shows whole Spaces")
        found.add(target.space)
    return found
