"""Flags that several commands share, and their conversion to settings and clients."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decco.suggest import did_you_mean

if TYPE_CHECKING:
    from decco.kube.client import Client
    from decco.settings import Settings
    from decco.views.findings import Finding

REQUESTS_IN_FLIGHT = 16
"""Maximum concurrent requests of one command."""
TIMEOUT_SECONDS = 15.0


def add_namespace(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("-n", "--namespace", metavar="NAME", help=text)


def add_names(parser: argparse.ArgumentParser, dest: str = "targets", **options: Any) -> None:
    """An argument that is completed with names of Spaces and Apps."""
    parser.add_argument(dest, **options).completes_names = True  # type: ignore[attr-defined]


def add_choice(container: argparse._ActionsContainer, *names: str, choices: Sequence[str], **options: Any) -> None:
    """An argument with a few values; an error suggests a similar one."""
    container.add_argument(*names, type=_one_of(choices), **options).completions = choices  # type: ignore[attr-defined]


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    # Not the choices of argparse: its message has another form and suggests nothing.
    def check(text: str) -> str:
        if text in choices:
            return text
        close = did_you_mean(text, choices, quoted=True)
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}{close}")

    return check


def add_common(parser: argparse.ArgumentParser, *formats: str, cluster: bool = True) -> None:
    """Flags for the controller's settings, for the connection to the cluster as for kubectl, and for the output.

    ``formats``: the first is the default.
    """
    add_settings(parser)
    if cluster:
        add_cluster(parser)
    group = parser.add_argument_group("output")
    text = f"{', '.join(formats[:-1])} or {formats[-1]}; default: {formats[0]}"
    add_choice(group, "-o", "--output", choices=formats, metavar="FORMAT", default=formats[0], help=text)
    text = "auto (on a terminal, unless NO_COLOR is set), always or never"
    add_choice(group, "--color", choices=("auto", "always", "never"), metavar="WHEN", default="auto", help=text)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Flags for the controller's settings."""
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the controller's settings, instead of those of the controller in the cluster",
    )
    group.add_argument("--decco-namespace", metavar="NAME", help="namespace of decco itself; default: decco")


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Flags for the connection to the cluster, as for kubectl."""
    group = parser.add_argument_group("cluster")
    group.add_argument("--kubeconfig", metavar="FILE", help="connection to the cluster; default: kubectl's own")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")


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


def cluster(settings: Settings) -> AbstractAsyncContextManager[Client]:
    """A client for one command. Raises ConfigError without a usable connection."""
    return connection_to(settings.kubeconfig, settings.context)


@asynccontextmanager
async def connection_to(kubeconfig: str | None, context: str | None) -> AsyncIterator[Client]:
    """As ``cluster``, for a command that needs no settings."""
    from decco import __version__
    from decco.kube import config
    from decco.kube.client import Client

    connection = await config.connect(kubeconfig, context)
    agent = f"decco/{__version__}"
    async with Client(connection, user_agent=agent, in_flight=REQUESTS_IN_FLIGHT, timeout=TIMEOUT_SECONDS) as client:
        yield client


@asynccontextmanager
async def connected(
    arguments: argparse.Namespace, settings: Settings
) -> AsyncIterator[tuple[Client, Settings, list[Finding]]]:
    """A client, the settings of the controller in the cluster, unless ``--config`` gives others, and remarks."""
    from decco.views import running
    from decco.views.findings import Finding

    remarks: list[Finding] = []
    async with cluster(settings) as client:
        if arguments.config is None:
            found = await running.read_running(client, settings.namespace)
            if found.found:
                settings = running.settings_in_force(found, settings)
            elif found.hidden:
                text = f"you may not read the settings of the controller in namespace {settings.namespace}: defaults "
                remarks.append(Finding("", f"{text}are taken; --config gives others", "settings-hidden"))
        yield client, settings, remarks
