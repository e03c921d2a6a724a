"""Implementation of ``decco diff``: a simulation in which the API server previews every write."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from decco.cli import arguments as flags
from decco.cli import output
from decco.objects import Key
from decco.settings import Settings
from decco.views import documents
from decco.views import snapshot as snapshots
from decco.views.changes import is_change, shown, unified
from decco.views.documents import Document
from decco.views.dry_run_client import Write
from decco.views.simulation import ReconcileResult, SimulationResult, simulate
from decco.views.snapshot import Snapshot
from decco.views.targets import UnknownTargetError, is_file, namespaces_of, resolve
from decco.views.verdicts import verdicts


def run(arguments: argparse.Namespace) -> int:
    files = [word for word in arguments.targets if is_file(word)]
    words = [word for word in arguments.targets if word not in files]
    return asyncio.run(_run(arguments, flags.settings_of(arguments), documents.read(files, sys.stdin), words))


async def _run(arguments: argparse.Namespace, settings: Settings, found: list[Document], words: list[str]) -> int:
    locations = {(document.kind, str(document.key)): document.location for document in found}
    async with flags.cluster(settings) as client:
        settings, remarks = await flags.running_settings(client, settings, arguments)
        spaces = {document.key.namespace or document.key.name for document in found}
        namespaces = spaces | namespaces_of(words, arguments.namespace) if arguments.targets else None
        snapshot = await snapshots.from_cluster(client, settings, namespaces, found, arguments.namespace)
        chosen = _chosen(snapshot, words, arguments.namespace) if arguments.targets else None
        result = await simulate(
            snapshot,
            datetime.now(UTC),
            client=client,
            preview=True,
            wanted=lambda kind, key: chosen is None or (kind, key) in chosen,
        )
    changes = [
        (reconciled, [write for write in reconciled.writes if is_change(write)]) for reconciled in result.results
    ]
    _show(arguments, changes)
    judged = verdicts(snapshot, result, locations)
    output.report(
        arguments.program,
        [*remarks, *snapshot.warnings, *(each.text for each in judged), *snapshot.gaps, *_assumptions(result)],
    )
    return 1 if any(writes for _, writes in changes) else 0


def _chosen(snapshot: Snapshot, words: list[str], namespace: str | None) -> set[tuple[str, Key]]:
    """(kind, key) of the objects to compare: a Space with its Apps, an App, and all objects of the files."""
    chosen = {("App" if key.namespace else "Space", key) for key in snapshot.given}
    names = {key.name for key in snapshot.given if not key.namespace}
    for word in words:
        target = resolve(word, snapshot, namespace)
        if target.hostname is not None:
            raise UnknownTargetError(f"{word!r} is neither a file nor a Space nor an App; for host names use `explain`")
        if target.app is not None:
            chosen.add(("App", target.app))
        else:
            names.add(str(target.space))
    for name in names:
        chosen.add(("Space", Key("", name)))
        chosen |= {("App", entry.key) for entry in snapshot.caches.apps.in_namespace(name)}
    return chosen


def _show(arguments: argparse.Namespace, changes: Iterable[tuple[ReconcileResult, list[Write]]]) -> None:
    style = output.style_of(arguments.color)
    rows = [(reconciled, write) for reconciled, writes in changes for write in writes]
    if arguments.output == "diff":
        for reconciled, write in rows:
            head = f"diff {reconciled}: {write.verb} {write.resource.kind} {write.key}"
            output.write(style.head(output.clean(head)) + "\n")
            for line in unified(write):
                paint = {"+": style.good, "-": style.bad, "@": style.dim}.get(line[:1], str)
                output.write(paint(output.clean(line)) + "\n")
    elif arguments.output == "table":
        if rows:
            table = [(write.verb, f"{write.resource.kind} {write.key}", str(reconciled)) for reconciled, write in rows]
            output.write(output.table(("ACTION", "OBJECT", "FOR"), table, style))
    else:
        listed = []
        for reconciled, write in rows:
            before, after = shown(write)
            listed.append({"for": str(reconciled), "action": write.verb, "before": before, "after": after})
        output.write_data({"changes": listed}, arguments.output)


def _assumptions(result: SimulationResult) -> Iterable[str]:
    for key in sorted(result.assumed):
        yield f"Secret {key} cannot be seen: taken to be there, and its copies are left out"
