"""``decco render``: what the daemon would write for the Spaces and Apps of some files, without a cluster."""

from __future__ import annotations

import argparse
import sys

from decco.cli import arguments as flags
from decco.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON files, folders, or - for standard input")
    flags.add_namespace(parser, "namespace of Apps and Secrets that name none")
    flags.add_settings(parser)
    flags.add_output(parser, "yaml", "json")
    parser.epilog = (
        "Secrets in the files count as if they were in the cluster. What only a cluster can tell is taken to be well, "
        "and said on standard error. Exit status: 0 done; 1 an object is invalid or its Space is not in the files; "
        "2 the files or the settings cannot be read."
    )


def run(arguments: argparse.Namespace) -> int:
    import asyncio
    from datetime import UTC, datetime

    from decco.views import documents, render
    from decco.views.rehearsal import rehearse
    from decco.views.snapshot import from_documents
    from decco.views.verdicts import verdicts
    from decco.views.yamlform import to_yaml

    found = documents.read(arguments.files, sys.stdin)
    snapshot = from_documents(found, flags.settings_of(arguments), arguments.namespace)
    program = arguments.program
    if not snapshot.given:
        output.tell(program, ["the files hold no Space and no App: nothing to render"])
        return 1
    play = asyncio.run(rehearse(snapshot, datetime.now(UTC)))
    places = {(document.kind, str(document.key)): document.place for document in found}
    judged = verdicts(snapshot, play, places)
    if arguments.output == "json":
        items = [obj for turn in play.turns for obj in render.rendered(turn)]
        output.write_data({"apiVersion": "v1", "kind": "List", "items": items}, "json")
    else:
        style = output.style_of(arguments.color)
        for turn in play.turns:
            for obj in render.rendered(turn):
                output.write(style.dim(f"--- # {output.clean(turn)}") + "\n" + to_yaml(obj))
    output.tell(program, [*snapshot.warnings, *(each.text for each in judged), *render.notes(snapshot, play)])
    return 1 if any(each.fatal for each in judged) else 0
