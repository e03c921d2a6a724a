"""``decco diff``: what the daemon would change if it looked now, as ``kubectl diff`` shows it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from decco.objects import Key
    from decco.settings import Settings
    from decco.views.rehearsal import Play, Turn
    from decco.views.snapshot import Snapshot
    from decco.views.stage import Write


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="FILE|SPACE|[NAMESPACE/]APP", help="files as for render, or names; default: all"
    ).names_for_completion = "targets"  # type: ignore[attr-defined]
    flags.add_namespace(parser, "namespace of an App that is named without one")
    flags.add_settings(parser)
    flags.add_cluster(parser)
    flags.add_output(parser, "diff", "table", "json", "yaml")
    parser.epilog = (
        "The API server is asked what it would make of each object (dry run), so you need the permission to write it; "
        "nothing is written. With --config the settings can be others than those of the running controller. The "
        "content of Secrets is not shown. Exit status: 0 no difference; 1 differences; 2 it could not be told."
    )


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_run(arguments, flags.settings_of(arguments)))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    from datetime import UTC, datetime

    from decco.errors import DeccoError
    from decco.kube.errors import Forbidden
    from decco.views import documents
    from decco.views import snapshot as snapshots
    from decco.views.changes import is_news
    from decco.views.rehearsal import rehearse
    from decco.views.targets import is_file, namespaces_of
    from decco.views.verdicts import verdicts

    files = [word for word in arguments.targets if is_file(word)]
    words = [word for word in arguments.targets if word not in files]
    found = documents.read(files, sys.stdin)
    places = {(document.kind, str(document.key)): document.place for document in found}
    async with flags.cluster(settings) as client:
        settings, remarks = await flags.running_settings(client, settings, arguments)
        spaces = {document.key.namespace or document.key.name for document in found}
        namespaces = spaces | namespaces_of(words, arguments.namespace) if arguments.targets else None
        snapshot = await snapshots.from_cluster(client, settings, namespaces, found, arguments.namespace)
        chosen = _chosen(snapshot, words, arguments.namespace) if arguments.targets else None
        try:
            play = await rehearse(
                snapshot,
                datetime.now(UTC),
                client=client,
                preview=True,
                wanted=lambda kind, key: chosen is None or (kind, key) in chosen,
            )
        except Forbidden as error:
            raise DeccoError(f"{error}: diff needs the permission to write, which it uses for dry runs only") from error
    changes = [(turn, [write for write in turn.writes if is_news(write)]) for turn in play.turns]
    _show(arguments, changes)
    judged = verdicts(snapshot, play, places)
    output.tell(
        arguments.program,
        [*remarks, *snapshot.warnings, *(each.text for each in judged), *snapshot.gaps, *_unsure(play)],
    )
    return 1 if any(writes for _, writes in changes) else 0


def _chosen(snapshot: Snapshot, words: list[str], namespace: str | None) -> set[tuple[str, Key]]:
    """(kind, key) of what is to be looked at: a Space with its Apps, an App, and all that the files hold."""
    from decco.objects import Key
    from decco.views.targets import UnknownTargetError, resolve

    chosen = {("App" if key.namespace else "Space", key) for key in snapshot.given}
    names = {key.name for key in snapshot.given if not key.namespace}
    for word in words:
        target = resolve(word, snapshot, namespace)
        if target.hostname is not None:
            raise UnknownTargetError(f"{word!r} is neither a file nor a Space nor an App; `explain` knows host names")
        if target.app is not None:
            chosen.add(("App", target.app))
        else:
            names.add(str(target.space))
    for name in names:
        chosen.add(("Space", Key("", name)))
        chosen |= {("App", entry.key) for entry in snapshot.caches.apps.in_namespace(name)}
    return chosen


def _show(arguments: argparse.Namespace, changes: Iterable[tuple[Turn, list[Write]]]) -> None:
    from decco.views.changes import shown, unified

    style = output.style_of(arguments.color)
    rows = [(turn, write) for turn, writes in changes for write in writes]
    if arguments.output == "diff":
        for turn, write in rows:
            output.write(
                style.head(f"diff {output.clean(turn)}: {write.verb} {write.resource.kind} {write.key}") + "\n"
            )
            for line in unified(write):
                paint = {"+": style.good, "-": style.bad, "@": style.dim}.get(line[:1], str)
                output.write(paint(output.clean(line)) + "\n")
    elif arguments.output == "table":
        if rows:
            table = [(write.verb, f"{write.resource.kind} {write.key}", str(turn)) for turn, write in rows]
            output.write(output.table(("ACTION", "OBJECT", "FOR"), table, style))
    else:
        listed = []
        for turn, write in rows:
            before, after = shown(write)
            listed.append({"for": str(turn), "action": write.verb, "before": before, "after": after})
        output.write_data({"changes": listed}, arguments.output)


def _unsure(play: Play) -> Iterable[str]:
    for key in sorted(play.assumed):
        yield f"Secret {key} cannot be seen: taken to be there, and its copies are left out"
