"""Generates the reference page of all user-facing messages from the source: docs/reference/messages.md.

    python -m decco.cli.messages_doc [--check]

Every message must state what happened, where, and what to do. The page lists all messages in one file for review. The
messages of the CRDs and policies are read from them; all others are the texts in the source (messages_source.py), in
the section of their file, with the reason if the call has one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from decco.api.crd import crds
from decco.api.rules import VALIDATIONS
from decco.cli.messages_source import PACKAGE, calls, files, messages_in, name_of, texts
from decco.desired import reasons
from decco.dns import providers

ROOT = PACKAGE.parents[1]
PAGE = ROOT / "docs" / "reference" / "messages.md"

_HEAD = """\
# Messages

<!-- Made by `python -m decco.cli.messages_doc` from the source; change the messages there. -->

All messages of decco for users, to be searched by their text; `<…>` is a placeholder of a value, often of another
message: a row without a word in its first column is a part of other messages, or is used with several reasons. Log
lines are not listed: they are constants, and [the runbooks](../runbooks/README.md) name the important ones. Reasons of
conditions are explained in [conditions.md](conditions.md), the fields of a Space and an App in [space.md](space.md) and
[app.md](app.md).
"""


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """``about`` is a reason, a field, or a level."""

    about: str
    text: str
    file: str = ""


class Section(NamedTuple):
    """The messages of some files or folders; ``known`` returns those with a word, such as a reason."""

    title: str
    about: str
    paths: tuple[str, ...]
    known: Callable[[], Iterator[Message]] | None = None


def page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    for title, head, found in (
        ("Refused at admission: the CRDs", ("field", "message, after the field"), _of_crds()),
        ("Refused at admission: the policies", ("policy", "message"), _of_policies()),
    ):
        parts += _table(title, head, [(each.about, each.text) for each in _once(found)])
    for section in SECTIONS:
        rows = [_row(each) for each in messages(section)]
        if section.known:
            parts += _table(section.title, (section.about, "message", "source"), rows)
        else:
            parts += _table(section.title, ("message", "source"), [row[1:] for row in rows])
    return "\n".join(parts) + "\n"


def messages(section: Section) -> list[Message]:
    """All messages of a section: those with a word, then the other texts of its files."""
    known = _once(section.known()) if section.known else []
    listed = {(each.file, each.text) for each in known}
    others = {
        Message("", text, file)
        for file in files()
        if messages_in(file) and section_of(file) is section
        for text in messages_in(file)
        if (file, text) not in listed
    }
    return [*known, *sorted(others, key=lambda each: (each.file, each.text))]


def section_of(file: str) -> Section:
    """The section with the longest path that contains the file."""
    fitting = [
        (len(path), index)
        for index, section in enumerate(SECTIONS)
        for path in section.paths
        if file == path or (path.endswith("/") and file.startswith(path))
    ]
    if not fitting:
        raise KeyError(f"{file} has messages and is not in a section of {PAGE.name}: give it one in messages_doc.py")
    return SECTIONS[max(fitting)[1]]


def _once(found: Iterable[Message]) -> list[Message]:
    return sorted({Message(each.about, " ".join(each.text.split()), each.file) for each in found})


def _row(message: Message) -> tuple[str, str, str]:
    return message.about, message.text, f"`{message.file}`"


def _table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in dict.fromkeys(rows)]
    return ["", f"## {title}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines]


# -- admission --------------------------------------------------------------------------------------------------------


def _of_crds() -> Iterator[Message]:
    for crd in crds():
        kind = crd["spec"]["names"]["kind"]
        yield from _of_schema(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], kind)


def _of_schema(schema: dict[str, Any], path: str) -> Iterator[Message]:
    for rule in schema.get(VALIDATIONS, ()):
        yield Message(f"`{path}{rule.get('fieldPath', '')}`", rule["message"])
    for name, inner in schema.get("properties", {}).items():
        yield from _of_schema(inner, f"{path}.{name}")
    if isinstance(items := schema.get("items"), dict):
        yield from _of_schema(items, f"{path}[]")


def _of_policies() -> Iterator[Message]:
    for file in sorted((ROOT / "manifests" / "policies").glob("*.yaml")):
        for obj in yaml.safe_load_all(file.read_text()):
            if obj and obj["kind"] == "ValidatingAdmissionPolicy":
                for rule in obj["spec"].get("validations", ()):
                    text = rule.get("messageExpression") or rule.get("message") or "MISSING"
                    yield Message(f"`{obj['metadata']['name']}`", " ".join(text.split()))


# -- the source -------------------------------------------------------------------------------------------------------

_REASON_FIRST = frozenset({"Problem", "workload", "certificates", "routes"})
_REASON_SECOND = frozenset({"WorkloadState"})
_REMARKS = frozenset({"note", "lost", "error", "drop", "ignore"})
_DNS = frozenset(
    {
        "InvalidRecord",
        "ProviderRefused",
        "ProviderThrottled",
        "ProviderUnreachable",
        "RecordConflict",
        "ZoneNotFound",
    }
)


def conditions() -> Iterator[Message]:
    """Messages of the conditions of Spaces and Apps, by reason."""
    for file, call, scope in calls("desired", "reconcilers"):
        name = name_of(call.func)
        position = 1 if name in _REASON_FIRST else 2 if name in _REASON_SECOND else 0
        if not position or len(call.args) <= position:
            continue
        for text in texts(call.args[position], scope):
            for reason in _reasons(call.args[position - 1]):
                yield Message(f"`{reason}`", text, file)


def of_dns() -> Iterator[Message]:
    for file, call, scope in calls("dns"):
        if name_of(call.func) in _DNS and call.args:
            for text in texts(call.args[0], scope):
                yield Message(f"`{name_of(call.func)}`", text, file)


def _of_forms() -> Iterator[Message]:
    for file, call, scope in calls("forms.py", "dns"):
        if name_of(call.func) == "Form" and call.args:
            for text in texts(call.args[0], scope):
                yield Message("must be", text, file)


def _of_import() -> Iterator[Message]:
    for file, call, scope in calls("importing"):
        name = name_of(call.func)
        if name in _REMARKS and len(call.args) == 2:
            level = {"drop": "lost", "ignore": "note"}.get(name, name)
            for text in texts(call.args[1], scope):
                yield Message(level, text, file)


def _reasons(node: ast.expr) -> list[str]:
    """The possible reasons of an expression; an expression that is not a constant is returned as source."""
    if isinstance(node, ast.IfExp):
        return [*_reasons(node.body), *_reasons(node.orelse)]
    return [str(getattr(reasons, name_of(node), "")) or f"<{ast.unparse(node)}>"]


SECTIONS = (
    Section("Conditions and Events", "reason", ("desired/", "reconcilers/"), conditions),
    Section("DNS", "reason", ("dns/", "hostnames.py", "reconcilers/providers.py"), of_dns),
    Section(
        "Settings and the command line of `decco-controller`",
        "",
        (
            "settings/",
            "dns/settings.py",
            "dns/provider_settings.py",
            *(f"dns/providers/{name}/settings.py" for name in providers.names()),
            "forms.py",
            "suggest.py",
            "cli/controller.py",
        ),
        _of_forms,
    ),
    Section(
        "Start-up and health: the program ends, or waits",
        "",
        ("daemon.py", "informers.py", "leader_session.py", "health.py"),
    ),
    Section(
        "Kubeconfig and credentials",
        "",
        tuple(f"kube/{name}.py" for name in ("config", "kubeconfig", "exec_plugin", "oidc", "proxy", "tls")),
    ),
    Section("The API server, watches and the election of a leader", "", ("kube/", "proxy.py")),
    Section("Objects that the API server would not have let in", "", ("api/",)),
    Section("`decco`: the command line, and files and objects that it is given", "", ("cli/", "views/")),
    Section("`decco explain`", "", ("views/explanation/", "views/lookup.py")),
    Section("`decco doctor`", "", ("views/preflight/", "cli/actions/doctor.py")),
    Section("`decco import`", "level", ("importing/", "cli/commands/import_.py"), _of_import),
)
"""In the order of the page. A file is in the section with the longest matching path."""


def _cell(text: str) -> str:
    escaped = " ".join(text.split()).replace("|", "\\|")
    return escaped if escaped.startswith("`") else escaped.replace("<", "&lt;")


def main(arguments: Iterable[str]) -> int:
    if "--check" not in arguments:
        PAGE.write_text(page())
        return 0
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    sys.stderr.write(f"{PAGE.relative_to(ROOT)} is stale: run `make generate`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
