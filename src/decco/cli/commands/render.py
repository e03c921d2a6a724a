"""``decco render``: what the controller would write for the Spaces and Apps of files, without a cluster."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from decco.cli import arguments as flags
from decco.cli import output
from decco.text import clean


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON files, folders, or - for standard input")
    flags.add_namespace(parser, "namespace of Apps and Secrets that name none")
    flags.add_common(parser, "yaml", "json", cluster=False)
    parser.epilog = (
        "Secrets in the files count as if they were in the cluster. What only a cluster can show is assumed to be "
        "correct, and reported on standard error. Exit status: 0 done; 1 an object is invalid or its Space is not in "
        "the files; 2 the files or the settings cannot be read."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.views import documents
    from decco.views.findings import Finding
    from decco.views.manifests import rendered
    from decco.views.simulation import simulate
    from decco.views.simulation_findings import assumptions, findings, prevents_rendering
    from decco.views.snapshot import from_documents
    from decco.yamlform import to_yaml

    found = documents.read(arguments.files, sys.stdin)
    snapshot = from_documents(found, flags.settings_of(arguments), arguments.namespace)
    if not snapshot.given:
        text = "the files contain no Space and no App: nothing to render"
        output.report(arguments.program, [Finding("", text, "nothing-to-render")])
        return 1
    result = asyncio.run(simulate(snapshot, datetime.now(UTC)))
    problems = findings(snapshot, result, found)
    objects = [(reconciled, obj) for reconciled in result.results for obj in rendered(reconciled)]
    if arguments.output == "json":
        output.write_data({"apiVersion": "v1", "kind": "List", "items": [obj for _, obj in objects]}, "json")
    else:
        style = output.style_of(arguments.color)
        for reconciled, obj in objects:
            output.write(style.dim(f"--- # {clean(reconciled)}") + "\n" + to_yaml(obj))
    output.report(arguments.program, [*snapshot.warnings, *problems, *assumptions(snapshot, result)])
    return 1 if any(map(prevents_rendering, problems)) else 0
