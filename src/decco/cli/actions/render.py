"""Implementation of ``decco render``: a simulation without a cluster."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from decco.cli import arguments as flags
from decco.cli import output
from decco.views import documents, render
from decco.views.simulation import simulate
from decco.views.snapshot import from_documents
from decco.views.verdicts import verdicts
from decco.views.yamlform import to_yaml


def run(arguments: argparse.Namespace) -> int:
    found = documents.read(arguments.files, sys.stdin)
    snapshot = from_documents(found, flags.settings_of(arguments), arguments.namespace)
    program = arguments.program
    if not snapshot.given:
        output.report(program, ["the files contain no Space and no App: nothing to render"])
        return 1
    result = asyncio.run(simulate(snapshot, datetime.now(UTC)))
    locations = {(document.kind, str(document.key)): document.location for document in found}
    judged = verdicts(snapshot, result, locations)
    if arguments.output == "json":
        items = [obj for reconciled in result.results for obj in render.rendered(reconciled)]
        output.write_data({"apiVersion": "v1", "kind": "List", "items": items}, "json")
    else:
        style = output.style_of(arguments.color)
        for reconciled in result.results:
            for obj in render.rendered(reconciled):
                output.write(style.dim(f"--- # {output.clean(reconciled)}") + "\n" + to_yaml(obj))
    output.report(program, [*snapshot.warnings, *(each.text for each in judged), *render.notes(snapshot, result)])
    return 1 if any(each.fatal for each in judged) else 0
