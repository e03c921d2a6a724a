"""The reference pages of conditions and messages from the catalogue (decco.messages), and the list of given codes.

A code is permanent, so the list only grows: this program adds the codes of new messages to it and changes no line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from decco.api.crd import crds
from decco.api.rules import VALIDATIONS
from decco.desired import reasons
from decco.messages import Category, Message, Severity, messages

ROOT = Path(__file__).resolve().parents[1]
CODES = "tools/message_codes.txt"
CONDITIONS = "docs/reference/conditions.md"
PAGE = "docs/reference/messages.md"

_CONDITIONS_HEAD = """\
# Conditions and their reasons

<!-- Generated from src/decco/messages/conditions.toml by `python -m tools.generate`; change it there. -->

Spaces and Apps carry `status.conditions` (metav1.Condition). `Ready` is True if all others are, and otherwise has the
first cause that needs action. A condition that does not apply is absent.

| condition | on | is about |
|---|---|---|
| `Ready` | Space, App | all of the others |
| `NamespaceReady` | Space | the namespace, its quota and its limits |
| `NetworkReady` | Space, App | the policy that isolates the namespace; targets of egresses, if they are limited |
| `WorkloadReady` | App | the Deployment or Job, with its policy, Services and sidecar configuration |
| `CertificatesReady` | Space, App | the certificates that it names |
| `MeshReady` | Space | the service mesh of its field `mesh`: whether its pods are in it, and its policies |
| `SecretsReady` | Space | the Secrets of its field `secrets`, and the pull Secrets of its sidecars |
| `RoutesReady` | Space, App | host names, listeners and routes |
| `DNSReady` | Space, App | DNS records |
| `Paused` | Space, App | True while decco leaves the object alone, and all others as they were; else absent |

Reasons are constants for programs; the message beside one states what, where and what to do. Each change of a condition
is an Event as well: `Warning` for a cause that needs action, `Normal` for all others. The code of a reason is permanent
and leads to its cause and cure in [messages.md](messages.md).
"""
_PAGE_HEAD = """\
# Messages

<!-- Generated from src/decco/messages by `python -m tools.generate`; change it there. -->

Each message of decco has a permanent code, to be searched for here and in your own notes. `decco explain` and
`decco doctor` show it in the column CODE (in JSON and YAML as `code`), a warning or error of the log has it as the key
`code`, and remarks, refusals and errors end with it. The code of a condition or Event is that of its reason.
A code never changes its meaning, and a retired one is not given to another message; texts may become clearer.
"""
_TITLES = {
    Category.CONDITION: ("Reasons of conditions and Events", "reason"),
    Category.FINDING: ("Findings of the commands of `decco`", "finding"),
    Category.IMPORT: ("Remarks of `decco import`", "remark"),
    Category.LOG: ("Warnings and errors of the log", "event"),
    Category.ERROR: ("Errors that end a command", "error"),
}


def outputs() -> dict[str, str]:
    """Path in the checkout -> content."""
    return {CODES: _codes(), CONDITIONS: conditions_page(), PAGE: messages_page()}


def _codes() -> str:
    path = ROOT / CODES
    known = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    given = [
        f"{message.code} {category} {name}" for category in Category for name, message in messages(category).items()
    ]
    given += [f"{code} policies {name}" for code, name in sorted({(code, name) for name, code, _ in policies()})]
    return "\n".join([*known, *(line for line in given if line not in known)]) + "\n"


def conditions_page() -> str:
    found = messages(Category.CONDITION)
    conditions = {name: message for name, message in found.items() if name not in reasons.EVENTS}
    sections = {
        "True": [name for name, message in conditions.items() if message.severity is Severity.OK],
        "False, and ends by itself": [name for name in conditions if name in reasons.WAITING],
        "False, until somebody does something": [
            name for name, message in conditions.items() if message.severity is Severity.FAILURE
        ],
        "Events only": [name for name in found if name in reasons.EVENTS],
    }
    lines = [_CONDITIONS_HEAD]
    for title, names in sections.items():
        rows = ((f"`{name}`", _link(found[name].code), found[name].summary) for name in names)
        lines += _table(title, ("reason", "code", "means"), rows)
    return "\n".join(lines)


def _link(code: str) -> str:
    return f"[{code}](messages.md#{code.lower()})"


def messages_page() -> str:
    lines = [_PAGE_HEAD]
    for category, (title, column) in _TITLES.items():
        head = ("code", column, "severity", "means", "cause", "what to do")
        lines += _table(title, head, (_row(name, message) for name, message in messages(category).items()))
    lines += _table("Refused at admission: the CRDs", ("field", "message, after the field"), sorted(set(_of_crds())))
    rows = sorted({(f'<a id="{code.lower()}"></a>{code}', f"`{name}`", text) for name, code, text in policies()})
    lines += _table("Refused at admission: the policies", ("code", "policy", "message"), rows)
    return "\n".join(lines)


def _row(name: str, message: Message) -> tuple[str, ...]:
    code = f'<a id="{message.code.lower()}"></a>{message.code}'
    summary = f"Retired in {message.retired}. {message.summary}" if message.retired else message.summary
    return code, f"`{message.event or name}`", message.severity.value, summary, message.cause, message.action


def _table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"## {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}"
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)
    yield ""


def _cell(text: str) -> str:
    escaped = " ".join(text.split()).replace("|", "\\|")
    return escaped if escaped.startswith(("`", "<a ")) else escaped.replace("<", "&lt;")


# -- admission: these texts are parts of the CRDs and policies --------------------------------------------------------


def _of_crds() -> Iterator[tuple[str, str]]:
    for crd in crds():
        yield from _of_schema(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], crd["spec"]["names"]["kind"])


def _of_schema(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get(VALIDATIONS, ()):
        yield f"`{path}{rule.get('fieldPath', '')}`", rule["message"]
    for name, inner in schema.get("properties", {}).items():
        yield from _of_schema(inner, f"{path}.{name}")
    if isinstance(items := schema.get("items"), dict):
        yield from _of_schema(items, f"{path}[]")


def policies() -> Iterator[tuple[str, str, str]]:
    """(policy, code, message) of everything that manifests/policies refuse; the code is at the end of the message."""
    for file in sorted((ROOT / "manifests" / "policies").glob("*.yaml")):
        for obj in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if obj and obj["kind"] == "ValidatingAdmissionPolicy":
                for rule in obj["spec"].get("validations", ()):
                    text = " ".join((rule.get("messageExpression") or rule.get("message") or "MISSING").split())
                    for code in re.findall(r"\[(DECCO-\d{4})\]", text) or ["MISSING"]:
                        yield obj["metadata"]["name"].partition(".")[0], code, text
