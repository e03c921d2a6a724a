"""``decco help``: what a code of a message means, and what to do about it; needs neither cluster nor network. Without a
code, the same as ``decco --help``.
"""

from __future__ import annotations

import argparse
import sys
import textwrap

from decco.cli import output
from decco.cli.parser import build
from decco.messages import Message, Severity

WIDTH = 100
_REFUSAL = Message(
    code="",
    severity=Severity.FAILURE,
    summary="An admission policy refuses an object, or a change of it.",
    cause="The policy protects other tenants, the edge or the controller. Its own message has the field and the rule.",
    action="Change the object as the message says, or ask a platform operator for the permission that it names.",
)
EXIT_UNKNOWN = 2
REFUSED = "DECCO-06"
"""Of admission policies, whose messages are in the manifests of a cluster and not in this program."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("codes", nargs="*", metavar="CODE", help="a code such as DECCO-0140, or its number")
    parser.epilog = "Exit status: 0 all codes are known; 2 one is not."


def run(arguments: argparse.Namespace) -> int:
    from decco.messages.remedies import known

    if not arguments.codes:
        output.write(build(arguments.program)[0].format_help())
        return 0
    messages = {message.code: (name, message) for name, message in known()}
    status = 0
    between = ""
    for given in arguments.codes:
        code = normalized(given)
        if code.startswith(REFUSED):
            messages[code] = ("policy", _REFUSAL)
        if code not in messages:
            sys.stderr.write(f"{arguments.program}: {given!r} is not a message code; an example is DECCO-0140\n")
            status = EXIT_UNKNOWN
            continue
        output.write(between + text(code, *messages[code]))
        between = "\n"
    return status


def normalized(given: str) -> str:
    """``DECCO-0140`` for that, for ``decco-140`` and for ``140``."""
    number = given.upper().removeprefix("DECCO-")
    return f"DECCO-{number.zfill(4)}"


def text(code: str, name: str, message: Message) -> str:
    from decco.messages.remedies import page, topics_of

    lines = [f"{code}  {message.event or name}  ({message.severity})", ""]
    if message.retired:
        lines += [f"  Retired in {message.retired}: decco no longer has this message.", ""]
    for heading, value in (("means", message.summary), ("cause", message.cause), ("what to do", message.action)):
        if value:
            lines += _paragraph(f"{heading}: ", value)
    for topic in topics_of(code):
        lines += ["", f"  {topic.title}", ""]
        lines += _paragraph("", topic.why)
        for heading, commands in (("look", topic.look), ("cure", topic.cure)):
            if commands:
                lines += ["", f"  {heading}:", *(f"    {command}" for command in commands)]
    lines += ["", f"  {page(code)}"]
    return "\n".join(lines) + "\n"


def _paragraph(heading: str, value: str) -> list[str]:
    return textwrap.wrap(heading + value, WIDTH, initial_indent="  ", subsequent_indent="    " if heading else "  ")
