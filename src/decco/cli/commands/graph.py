"""``decco graph``: who may talk to whom, from the NetworkPolicies that decco writes."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output

if TYPE_CHECKING:
    from decco.settings import Settings
    from decco.views.snapshot import Snapshot


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="FILE|SPACE",
        help="files as for render (no cluster is asked), or Spaces; default: all",
    ).names_for_completion = "targets"  # type: ignore[attr-defined]
    flags.add_namespace(parser, "namespace of Apps and Secrets in files that name none")
    flags.add_settings(parser)
    flags.add_cluster(parser)
    flags.add_output(parser, "text", "mermaid", "svg", "json", "yaml")
    parser.epilog = (
        "Named Spaces are shown with those that they call or that call them. Exit status: 0 done; 1 an App calls "
        "somebody who does not let it in; 2 it could not be told."
    )


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_run(arguments, flags.settings_of(arguments)))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    from datetime import UTC, datetime

    from decco.cli import drawing
    from decco.views import documents
    from decco.views.reach import as_data, reach
    from decco.views.rehearsal import rehearse
    from decco.views.snapshot import from_cluster, from_documents
    from decco.views.targets import is_file

    files = [word for word in arguments.targets if is_file(word)]
    words = [word for word in arguments.targets if word not in files]
    remarks: list[str] = []
    if files:
        snapshot = from_documents(documents.read(files, sys.stdin), settings, arguments.namespace)
    else:
        async with flags.cluster(settings) as client:
            settings, remarks = await flags.running_settings(client, settings, arguments)
            snapshot = await from_cluster(client, settings, set())
    spaces = _spaces(snapshot, words)
    snapshot.forget_children()
    picture = reach(snapshot, await rehearse(snapshot, datetime.now(UTC)))
    if spaces:
        picture = picture.only(spaces)
    if arguments.output == "text":
        output.write(drawing.text(picture, output.style_of(arguments.color)))
    elif arguments.output in ("json", "yaml"):
        output.write_data(as_data(picture), arguments.output)
    else:
        output.write(drawing.mermaid(picture) if arguments.output == "mermaid" else drawing.svg(picture))
    output.tell(arguments.program, [*remarks, *snapshot.warnings, *snapshot.gaps])
    return 1 if any(call.allowed is False for call in picture.calls) else 0


def _spaces(snapshot: Snapshot, words: list[str]) -> set[str]:
    from decco.views.targets import UnknownTargetError, resolve

    found = set()
    for word in words:
        target = resolve(word, snapshot)
        if target.space is None:
            raise UnknownTargetError(f"{word!r} is no Space: graph shows whole Spaces")
        found.add(target.space)
    return found
