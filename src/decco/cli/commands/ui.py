"""``decco ui``: what ``explain`` and ``graph`` find, as a page for a browser on this machine."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import Any

from decco.cli import arguments as flags
from decco.cli import output
from decco.errors import ConfigError
from decco.text import clean

MOST_PORT = 65535


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n",
        "--namespace",
        metavar="NAME",
        action="append",
        default=[],
        help="show only this Space, repeated for several; default: all that you may read, or that of the context",
    )
    parser.add_argument("--port", metavar="NUMBER", type=_port, default=0, help="port on loopback; default: a free one")
    parser.add_argument("--resolver", metavar="ADDR", help="DNS server to query; default: the machine's own")
    parser.add_argument("--no-lookup", action="store_true", help="do not query DNS")
    flags.add_settings(parser)
    flags.add_cluster(parser)
    parser.epilog = (
        "Reads only, with your own rights, and serves on 127.0.0.1 until it is interrupted. Whoever has the printed "
        "URL and an account on this machine sees what you see. Exit status: 0 interrupted; 2 an error."
    )


def _port(text: str) -> int:
    if text.isdigit() and int(text) <= MOST_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to {MOST_PORT}")


def run(arguments: argparse.Namespace) -> int:
    from decco.messages import Category, messages
    from decco.ui.server import page_files

    page_files()
    for category in Category:
        messages(category)  # read before there is an event loop
    asyncio.run(_serve(arguments))
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    from decco.ui.access import new_token
    from decco.ui.cluster import MOST_NAMESPACES, FollowedCluster
    from decco.ui.model import finding_data
    from decco.ui.pages import Pages
    from decco.ui.server import HOST, Server
    from decco.views import lookup

    named = set(arguments.namespace)
    if len(named) > MOST_NAMESPACES:
        raise ConfigError(f"--namespace: at most {MOST_NAMESPACES} can be followed by themselves: name fewer, or none")
    resolver = None if arguments.no_lookup else lookup.resolver(arguments.resolver)
    settings = flags.settings_of(arguments)
    async with flags.connected(arguments, settings) as (client, in_force, remarks):
        namespaces = named or {client.connection.namespace} - {""}
        cluster = FollowedCluster(client, in_force, namespaces, narrow=bool(named))
        token = new_token()
        server = Server(Pages(cluster, resolver), token, [finding_data(each) for each in remarks])
        output.report(arguments.program, remarks)
        async with cluster.followed(), server.serving(arguments.port) as port:
            output.write(f"http://{HOST}:{port}/#token={token}\n")
            sys.stdout.flush()
            where = clean(client.connection.describe())
            sys.stderr.write(f"{arguments.program}: shows what {where} may read; Ctrl-C ends it\n")
            await _interrupted(cluster.failed)


async def _interrupted(failed: asyncio.Future[None]) -> None:
    """Returns after a signal; raises what has ended a watch, which is a defect."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    stopped = asyncio.create_task(stop.wait())
    either: set[asyncio.Future[Any]] = {stopped, failed}
    await asyncio.wait(either, return_when="FIRST_COMPLETED")
    stopped.cancel()
    if failed.done():
        failed.result()
