"""The page of what somebody meets in the first hour: each code with its message and its remedy (decco.messages)."""

from __future__ import annotations

from collections.abc import Iterator

from decco.messages import Message
from decco.messages.remedies import Topic, known, topics

PAGE = "docs/how-to/first-hour.md"
HEAD = """\
# The first hour

<!-- Generated from src/decco/messages by `python -m tools.generate`; change it there. -->

What goes wrong between the installation and the first Space that answers, by topic. `decco explain` and `decco doctor`
name the code of each failure and this page; `decco help CODE` prints the same without a network. All other codes are in
[messages](../reference/messages.md); what clients and `kubectl` show is in [debugging by symptom](debugging.md).

The commands have the names of the examples: Space `acme`, App `web`, and `example.com` for a domain. Those below *Look*
only read.
"""


def outputs() -> dict[str, str]:
    """Path in the checkout -> content."""
    messages = {message.code: (name, message) for name, message in known()}
    lines = [HEAD]
    seen: set[str] = set()
    for topic in topics().values():
        lines += _section(topic, messages, seen)
    return {PAGE: "\n".join(lines)}


def _section(topic: Topic, messages: dict[str, tuple[str, Message]], seen: set[str]) -> Iterator[str]:
    yield f"## {topic.title}\n\n| code | | means | what to do |\n|---|---|---|---|"
    for code in topic.codes:
        name, message = messages[code]
        # An address has one place: that of the first topic with the code.
        place = "" if code in seen else f'<a id="{code.lower()}"></a>'
        seen.add(code)
        yield f"| {place}{code} | `{name}` | {_cell(message.summary)} | {_cell(message.action)} |"
    yield f"\n{_text(topic.why)}\n"
    for heading, commands in (("Look", topic.look), ("Cure", topic.cure)):
        if commands:
            yield f"{heading}:\n\n```sh {heading.lower()}\n" + "\n".join(commands) + "\n```\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _text(text: str) -> str:
    """With links to the pages that it names."""
    for name, target in (("docs/how-to/edges.md", "edges.md"), ("docs/dns.md", "../dns.md")):
        text = text.replace(name, f"[{name.removeprefix('docs/')}]({target})")
    return text
