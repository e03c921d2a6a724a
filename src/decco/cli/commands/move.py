"""``decco move space NAME --to CONTEXT``: moves a Space to another cluster, step by step, and back."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output
from decco.errors import ConfigError

if TYPE_CHECKING:
    from decco.moving.side import Side
    from decco.moving.survey import Survey

EXIT_FOUND = 1


def configure(parser: argparse.ArgumentParser) -> None:
    flags.add_choice(parser, "kind", choices=("space",), metavar="space", help="the kind to move: space")
    flags.add_names(parser, "name", metavar="NAME", help="name of the Space")
    parser.add_argument(
        "--to", required=True, metavar="CONTEXT", help="context of the cluster that is to have the Space"
    )
    parser.add_argument(
        "--from", dest="source", metavar="CONTEXT", help="that of the cluster which has it; default: current"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done, and what is in the way")
    parser.add_argument("--back", action="store_true", help="undo a move that has not ended")
    parser.add_argument(
        "--drain", metavar="SECONDS", type=float, help="wait after the hand-over; default: dns.ttl of the first cluster"
    )
    parser.add_argument("--delete-data", action="store_true", help="delete volumes with the namespace that is emptied")
    parser.add_argument(
        "--patience", metavar="SECONDS", type=float, default=600.0, help="limit for each wait; default: 600"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="connection to both clusters; default: kubectl's own")
    parser.add_argument("--decco-namespace", metavar="NAME", help="namespace of decco in both; default: decco")
    text = "auto (on a terminal, unless NO_COLOR is set), always or never"
    flags.add_choice(parser, "--color", choices=("auto", "always", "never"), metavar="WHEN", default="auto", help=text)
    parser.epilog = (
        "Reads both clusters, and the zones with the credentials of decco in each. Copies the Space, its Apps and the "
        "Secrets that they name in decco's namespace with your own rights; waits until the other cluster serves them; "
        "has the names handed over; waits until resolvers have forgotten the old addresses; deletes the Space in the "
        "first cluster. A command that was interrupted goes on where it stopped. Exit status: 0 moved; 1 something is "
        "in the way, or --dry-run; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_move(arguments))


async def _move(arguments: argparse.Namespace) -> int:
    from decco.moving.mover import Mover, Options
    from decco.moving.survey import survey

    async with AsyncExitStack() as stack:
        source = await _side(arguments, arguments.source, stack)
        target = await _side(arguments, arguments.to, stack)
        found = await survey(arguments.name, source, target)
        if found.source is None and found.target is None:
            raise ConfigError(
                f"there is no Space {arguments.name} in {source} or {target}: correct the name or contexts"
            )
        await asyncio.to_thread(_show, found, arguments, source, target)  # reads the catalogue of messages
        if arguments.dry_run or (found.obstacles and not arguments.back):
            return EXIT_FOUND
        options = Options(arguments.patience, arguments.drain, arguments.delete_data)
        mover = Mover(arguments.name, source, target, options, _say)
        await (mover.back(found) if arguments.back else mover.forward(found))
        if arguments.back and found.secrets:
            names = ", ".join(secret["metadata"]["name"] for secret in found.secrets)
            _say(f"Secrets that the move has copied to {target} stay there: {names}")
        return 0


async def _side(arguments: argparse.Namespace, context: str | None, stack: AsyncExitStack) -> Side:
    from decco.metrics import Metrics
    from decco.moving.side import Side
    from decco.reconcilers.providers import dns_service

    own = argparse.Namespace(**{**vars(arguments), "context": context, "config": None})
    settings = flags.settings_of(own)
    client, in_force, remarks = await stack.enter_async_context(flags.connected(own, settings))
    output.report(arguments.program, remarks)
    dns = await dns_service(in_force.model_copy(update={"dry_run": True}), client, Metrics())
    if dns is not None:
        stack.push_async_callback(dns.close)
    return Side(context or "the current context", client, in_force, dns)


def _show(found: Survey, arguments: argparse.Namespace, source: Side, target: Side) -> None:
    style = output.style_of(arguments.color)
    if arguments.dry_run:
        rows = [(str(number), text) for number, text in enumerate(_steps(found, arguments, source, target), 1)]
        output.write(output.table(("STEP", "WHAT"), rows, style))
    findings = [*([] if arguments.back else found.obstacles), *found.stays]
    if findings:
        output.write(output.findings_table(findings, "ABOUT", style))
        sys.stdout.flush()


def _steps(found: Survey, arguments: argparse.Namespace, source: Side, target: Side) -> list[str]:
    name = arguments.name
    giver, receiver = (target, source) if arguments.back else (source, target)
    drain = arguments.drain if arguments.drain is not None else giver.settings.dns.ttl
    last = [
        f"{giver} offers the names of the Space, {receiver} takes each in one change of the zone",
        f"wait {drain:.0f} s for resolvers to forget the addresses of {giver}",
        f"delete Space {name} in {giver}, with all that is in its namespace",
        f"{receiver} has the Space",
    ]
    if arguments.back:
        return last
    secrets = [f"copy Secret {each['metadata']['name']} to {target}" for each in found.secrets]
    apps = [f"create App {name}/{each['metadata']['name']} in {target}" for each in found.apps]
    return [*secrets, f"create Space {name} in {target}", *apps, f"wait until {target} serves them, but for DNS", *last]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
