"""``decco diff``: what the controller would change now, in the format of ``kubectl diff``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output
from decco.text import clean

if TYPE_CHECKING:
    from decco.views.dry_run_client import Write
    from decco.views.findings import Finding
    from decco.views.simulation import ReconcileResult, SimulationResult
    from decco.views.snapshot import Snapshot


def configure(parser: argparse.ArgumentParser) -> None:
    flags.add_names(
        parser, nargs="*", metavar="FILE|SPACE|[NAMESPACE/]APP", help="files as for render, or names; default: all"
    )
    flags.add_namespace(parser, "namespace of an App that is named without one")
    flags.add_common(parser, "diff", "table", "json", "yaml")
    parser.epilog = (
        "The API server previews each write (dry run), so you need the permission to write the object; nothing is "
        "written. With --config the settings can differ from those of the running controller. The content of Secrets "
        "is not shown. Exit status: 0 no difference; 1 differences; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    """A simulation in which the API server previews every write."""
    from decco.views import documents
    from decco.views.manifests import is_change
    from decco.views.simulation import simulate
    from decco.views.simulation_findings import assumptions, findings
    from decco.views.snapshot import from_cluster
    from decco.views.targets import is_file, namespaces_of, objects_of

    words = [word for word in arguments.targets if not is_file(word)]
    found = documents.read([word for word in arguments.targets if is_file(word)], sys.stdin)
    settings = flags.settings_of(arguments)

    async def gather() -> tuple[Snapshot, SimulationResult, list[Finding]]:
        async with flags.connected(arguments, settings) as (client, in_force, remarks):
            spaces = {document.key.namespace or document.key.name for document in found}
            namespaces = spaces | namespaces_of(words, arguments.namespace) if arguments.targets else None
            snapshot = await from_cluster(client, in_force, namespaces, found, arguments.namespace)
            chosen = objects_of(words, snapshot, arguments.namespace) if arguments.targets else None
            result = await simulate(
                snapshot,
                datetime.now(UTC),
                client=client,
                preview=True,
                wanted=lambda kind, key: chosen is None or (kind, key) in chosen,
            )
            return snapshot, result, remarks

    snapshot, result, remarks = asyncio.run(gather())
    changes = [(reconciled, write) for reconciled in result.results for write in reconciled.writes if is_change(write)]
    _show(arguments, changes)
    remarks += [*snapshot.warnings, *findings(snapshot, result, found), *snapshot.gaps]
    output.report(arguments.program, [*remarks, *assumptions(snapshot, result)])
    return 1 if changes else 0


def _show(arguments: argparse.Namespace, changes: list[tuple[ReconcileResult, Write]]) -> None:
    from decco.views.manifests import shown, unified

    style = output.style_of(arguments.color)
    if arguments.output == "diff":
        for reconciled, write in changes:
            head = f"diff {reconciled}: {write.verb} {write.resource.kind} {write.key}"
            output.write(style.head(clean(head)) + "\n")
            for line in unified(write):
                paint = {"+": style.good, "-": style.bad, "@": style.dim}.get(line[:1], str)
                output.write(paint(clean(line)) + "\n")
    elif arguments.output == "table":
        rows = [(write.verb, f"{write.resource.kind} {write.key}", str(reconciled)) for reconciled, write in changes]
        if rows:
            output.write(output.table(("ACTION", "OBJECT", "FOR"), rows, style))
    else:
        listed = []
        for reconciled, write in changes:
            before, after = shown(write)
            listed.append({"for": str(reconciled), "action": write.verb, "before": before, "after": after})
        output.write_data({"changes": listed}, arguments.output)
