"""``decco verify``: tries on the cluster what decco promises, and removes everything that it made."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output
from decco.text import clean

if TYPE_CHECKING:
    from decco.verify.probe import Result
    from decco.verify.session import Report

EXIT_FAILED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="print all probes with the codes of their messages")
    parser.add_argument(
        "--image",
        metavar="IMAGE",
        help="image of the pods, with a shell, httpd and nc; default: the setting verify.image",
    )
    parser.add_argument(
        "--domain", metavar="NAME", help="domainName of the Spaces; default: the first zone of the DNS providers"
    )
    parser.add_argument(
        "--edge",
        metavar="ADDR",
        action="append",
        default=[],
        help="address of the edge as seen from here; repeatable; default: those in the status of a Space",
    )
    parser.add_argument(
        "--only",
        metavar="GROUP",
        action="append",
        default=[],
        help="only this group of probes and what it needs; repeatable",
    )
    parser.add_argument(
        "--skip", metavar="GROUP", action="append", default=[], help="not this group of probes; repeatable"
    )
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=90.0,
        help="limit for an object to become Ready, the pull of images included; default: 90. A longer one stretches "
        "all other limits but --timeout in proportion",
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=600.0, help="limit for all probes; default: 600"
    )
    flags.add_common(parser, "table", "json", "junit")
    parser.epilog = (
        "Creates seven Spaces, a namespace and a ClusterRole with temporary names, and removes them, also when it is "
        "interrupted. Progress goes to standard error. Exit status: 0 all passed, or could not be tested; 1 a promise "
        "is broken, or something could not be removed; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.cli.main import EXIT_INTERRUPTED
    from decco.verify import report

    if arguments.list:
        output.write(_listing(arguments.output))
        return 0
    try:
        found = asyncio.run(_verify(arguments))
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED
    forms = {"table": report.text, "json": report.as_json, "junit": report.as_junit}
    output.write(forms[arguments.output](found))
    return 0 if found.passed else EXIT_FAILED


def _listing(form: str) -> str:
    from decco.verify import report
    from decco.verify.lock import VerifyError

    if form == "junit":
        raise VerifyError("--list has no results for -o junit; use -o table or -o json")
    return report.listing_as_json() if form == "json" else report.listing()


async def _verify(arguments: argparse.Namespace) -> Report:
    from decco.verify import plan
    from decco.verify.report import line
    from decco.verify.session import Options, Progress, verify

    _check_groups(arguments, plan.GROUPS)
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    # The first signal ends the run and removes its objects, a second one ends the removal.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    done = 0

    def observe(result: Result, total: int) -> None:
        nonlocal done
        done += 1
        _say(line(result, done, total))

    settings = flags.settings_of(arguments)
    async with flags.connected(arguments, settings) as (client, in_force, remarks):
        output.report(arguments.program, remarks)
        options = Options(
            image=arguments.image or in_force.verify.image,
            domain=arguments.domain,
            edge=tuple(arguments.edge),
            only=tuple(arguments.only),
            without=tuple(arguments.skip),
            patience=arguments.patience,
            seconds=arguments.timeout,
        )
        return await verify(client, in_force, options, Progress(_say, observe))


def _check_groups(arguments: argparse.Namespace, groups: tuple[str, ...]) -> None:
    from decco.suggest import did_you_mean
    from decco.verify.lock import VerifyError

    for word in (*arguments.only, *arguments.skip):
        if word not in groups:
            close = did_you_mean(word, groups, quoted=True) or f"; there is {', '.join(groups)}"
            raise VerifyError(f"there is no group of probes {word!r}{close}")


def _say(text: str) -> None:
    """A reader who has closed the pipe ends no run: what it made must be removed."""
    try:
        sys.stderr.write(f"{clean(text)}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
