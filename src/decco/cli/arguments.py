"""Flags that several commands share, and their conversion to settings and clients."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from decco.suggest import did_you_mean

if TYPE_CHECKING:
    from decco.kube.client import Client
    from decco.settings import Settings

REQUESTS_IN_FLIGHT = 16
"""Maximum concurrent requests of one command."""
TIMEOUT_SECONDS = 15.0


def one_of(*choices: str) -> Callable[[str], str]:
    """The type of an argument with a few values; the error suggests a similar value."""

    def check(text: str) -> str:
        if text in choices:
            return text
        close = did_you_mean(text, choices, quoted=True)
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}{close}")

    return check


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Flags for the controller's settings."""
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config", metavar="FILE", type=Path, help="the controller's settings; DECCO_* variables count as well"
    )
    group.add_argument("--decco-namespace", metavar="NAME", help="namespace of decco itself; default: decco")


def add_namespace(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("-n", "--namespace", metavar="NAME", help=text)


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Flags for the connection to the cluster, as for kubectl."""
    group = parser.add_argument_group("cluster")
    group.add_argument("--kubeconfig", metavar="FILE", help="connection to the cluster; default: kubectl's own")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")


def add_output(parser: argparse.ArgumentParser, *formats: str) -> None:
    """``formats``: the first is the default."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o",
        "--output",
        metavar="FORMAT",
        type=one_of(*formats),
        default=formats[0],
        help=f"{', '.join(formats[:-1])} or {formats[-1]}; default: {formats[0]}",
    ).choices_for_completion = formats  # type: ignore[attr-defined]
    add_color(group)


def add_color(group: argparse._ActionsContainer) -> None:
    choices = ("auto", "always", "never")
    group.add_argument(
        "--color",
        metavar="WHEN",
        type=one_of(*choices),
        default="auto",
        help="auto (on a terminal, unless NO_COLOR is set), always or never",
    ).choices_for_completion = choices  # type: ignore[attr-defined]


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The controller's settings from the file, the variables and the flags of this command. Raises WrongSettings."""
    from decco.settings.cluster_domain import with_cluster_domain
    from decco.settings.load import WrongSettings, load

    flags = {
        "kubeconfig": getattr(arguments, "kubeconfig", None),
        "context": getattr(arguments, "context", None),
        "namespace": arguments.decco_namespace,
    }
    try:
        return with_cluster_domain(load(flags, os.environ, arguments.config))
    except WrongSettings as error:
        # The message has the name of the controller's flag.
        raise WrongSettings(line.replace("--namespace:", "--decco-namespace:") for line in error.lines) from error


@asynccontextmanager
async def cluster(settings: Settings) -> AsyncIterator[Client]:
    """A client for one command. Raises ConfigError without a usable connection."""
    from decco import __version__
    from decco.kube import config
    from decco.kube.client import Client

    connection = await config.connect(settings.kubeconfig, settings.context)
    client = Client(
        connection,
        user_agent=f"decco/{__version__}",
        in_flight=REQUESTS_IN_FLIGHT,
        timeout=TIMEOUT_SECONDS,
    )
    async with client:
        yield client


async def running_settings(
    client: Client, settings: Settings, arguments: argparse.Namespace
) -> tuple[Settings, list[str]]:
    """The settings of the controller in the cluster, unless ``--config`` gives others, and remarks."""
    from decco.views import running

    if arguments.config is not None:
        return settings, []
    found = await running.look(client, settings.namespace)
    if not found.found:
        remark = (
            f"you may not read the settings of the controller in namespace {settings.namespace}: defaults are taken; "
            "--config gives others"
        )
        return settings, [remark] if found.hidden else []
    return running.settings_in_force(found, settings, os.environ), []
