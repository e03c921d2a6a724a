"""The reference page of all messages that people meet, read from the source: docs/reference/messages.md.

    python -m decco.cli.messages_doc [--check]

Every such message shall say what happened, where, and what to do. Nobody reviews sentences that are spread over fifty
files; a list can be read. It is made from the syntax tree: calls that are known to make a message, with ``<…>`` where
a value is put in.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from decco import objects
from decco.api.crd import crds
from decco.api.rules import VALIDATIONS
from decco.desired import reasons

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]
PAGE = ROOT / "docs" / "reference" / "messages.md"

_HEAD = """\
# Messages

<!-- Made by `python -m decco.cli.messages_doc` from the source; change the messages there. -->

Everything that decco says to people, to be found by its words; `<…>` is where a value stands. Reasons of conditions are
explained in [conditions.md](conditions.md).
"""


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """``about`` is a reason, a field, or a flag."""

    about: str
    text: str
    file: str = ""


def page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    for title, head, found in (
        ("Refused at admission: the CRDs", ("field", "message, after the field"), _of_crds()),
        ("Refused at admission: the policies", ("policy", "message"), _of_policies()),
        ("Conditions and Events", ("reason", "message"), conditions()),
        ("DNS", ("reason", "message"), _of_dns()),
        ("Settings", ("must be", "in"), _of_forms()),
        ("Start-up, settings and command lines: the program ends, or waits", ("", "message"), errors()),
        ("`decco import`", ("level", "message"), _of_import()),
    ):
        parts += ["", f"## {title}", "", f"| {' | '.join(head)} |", "|---|---|"]
        parts += [f"| {_cell(each.about)} | {_cell(each.text)} |" for each in _once(found)]
    return "\n".join(parts) + "\n"


def _once(found: Iterable[Message]) -> list[Message]:
    return sorted({Message(each.about, " ".join(each.text.split())) for each in found})


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
_CONFIG = frozenset({"ConfigError", "AssetsMissing"})
_COMPLAINTS = frozenset({"error", "_Parser.error"})
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
    """What Spaces and Apps say under each reason."""
    for file, call, scope in _calls("desired", "reconcilers"):
        name = _name(call.func)
        place = 1 if name in _REASON_FIRST else 2 if name in _REASON_SECOND else 0
        if not place or len(call.args) <= place:
            continue
        for text in _texts(call.args[place], scope):
            for reason in _reasons(call.args[place - 1]):
                yield Message(f"`{reason}`", text, file)


def errors() -> Iterator[Message]:
    """What ends a program, or keeps it waiting, in one sentence."""
    for file, call, scope in _calls("settings_load.py", "settings.py", "cli", "daemon.py", "kube", "importing/read.py"):
        name = _name(call.func)
        argument = call.args[0] if call.args else None
        if argument is not None and name in _CONFIG | {"_complain"}:
            for text in _texts(argument, scope):
                yield Message(f"`{file}`", text, file)
    for file in ("daemon.py", "settings_load.py", "cli/controller.py", "cli/main.py"):
        for function in _functions(PACKAGE / file):
            for node in ast.walk(function):
                told = isinstance(node, ast.Assign) and _name(node.targets[0]) in ("trouble", "hint", "problem")
                given = isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr)
                if (told or given) and (value := getattr(node, "value", None)) is not None:
                    for text in _texts(value, function):
                        if " " in text.strip():
                            yield Message(f"`{file}`", text, file)


def _of_dns() -> Iterator[Message]:
    for file, call, scope in _calls("dns"):
        if _name(call.func) in _DNS and call.args:
            for text in _texts(call.args[0], scope):
                yield Message(f"`{_name(call.func)}`", text, file)


def _of_forms() -> Iterator[Message]:
    for file, call, scope in _calls("settings_forms.py", "settings.py", "settings_dns.py"):
        if _name(call.func) == "Form" and call.args:
            for text in _texts(call.args[0], scope):
                yield Message(text, f"`{file}`", file)


def _of_import() -> Iterator[Message]:
    for file, call, scope in _calls("importing"):
        name = _name(call.func)
        if name in _REMARKS and len(call.args) == 2:
            level = {"drop": "lost", "ignore": "note"}.get(name, name)
            for text in _texts(call.args[1], scope):
                yield Message(level, text, file)


def _calls(*places: str) -> Iterator[tuple[str, ast.Call, ast.AST]]:
    """(file, call, the function around it or the module) in these files and folders of the package."""
    for place in places:
        path = PACKAGE / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            tree = ast.parse(file.read_text())
            for scope in _scopes(tree):
                for node in _own(scope):
                    if isinstance(node, ast.Call):
                        yield file.relative_to(PACKAGE).as_posix(), node, scope


def _functions(file: Path) -> Iterator[ast.AST]:
    return (scope for scope in _scopes(ast.parse(file.read_text())) if not isinstance(scope, ast.Module))


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a function or module, without those of functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own(child)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _reasons(node: ast.expr) -> list[str]:
    """The reasons that an expression may give; an expression that is none of the constants is left as it is."""
    if isinstance(node, ast.IfExp):
        return [*_reasons(node.body), *_reasons(node.orelse)]
    return [str(getattr(reasons, _name(node), "")) or f"<{ast.unparse(node)}>"]


def _texts(node: ast.expr, scope: ast.AST) -> list[str]:
    """What an expression can say; a variable is looked up where the function assigns it."""
    if isinstance(node, ast.Name):
        values = _assigned(getattr(scope, "body", []), node.id, node.lineno)
        return [text for value in values for text in _texts(value, scope)]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, scope), *_texts(node.orelse, scope)]
    if isinstance(node, ast.List | ast.Tuple):
        return [text for item in node.elts for text in _texts(item, scope)]
    text = _text(node)
    return [text] if text.strip() else []


def _assigned(body: list[ast.stmt], name: str, line: int) -> list[ast.expr]:
    """What a variable may be at a line: the assignments of the last statement before it that has any."""
    found: list[ast.expr] = []
    for statement in body:
        if statement.lineno >= line and not isinstance(statement, ast.Assign):
            break
        if statement.lineno <= line <= (statement.end_lineno or line) and any(_blocks(statement)):
            for inner in _blocks(statement):
                if inner and inner[0].lineno <= line <= (inner[-1].end_lineno or line):
                    found = _assigned(inner, name, line) or found
            continue
        given = [
            each.value
            for each in ast.walk(statement)
            if isinstance(each, ast.Assign) and any(_name(target) == name for target in each.targets)
        ]
        found = [value for value in given if value.lineno < line] or found
    return found


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The lists of statements in a compound one."""
    parts = [getattr(statement, name, None) or [] for name in ("body", "orelse", "finalbody")]
    parts += [each.body for name in ("cases", "handlers") for each in getattr(statement, name, None) or []]
    return [part for part in parts if part]


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else _placeholder(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return ""


def _placeholder(node: ast.expr) -> str:
    """The last word of the expression: it names the value well enough."""
    assert isinstance(node, ast.FormattedValue)
    inner = node.value
    while isinstance(inner, ast.Call):
        inner = inner.args[0] if inner.args else inner.func
    while isinstance(inner, ast.Subscript):
        inner = inner.value
    name = _name(inner)
    known = getattr(objects, name, None) if name.isupper() else None
    return known if isinstance(known, str) else f"<{name.strip('_') or '…'}>"


def _cell(text: str) -> str:
    escaped = " ".join(text.split()).replace("|", "\\|")
    return escaped if escaped.startswith("`") else escaped.replace("<", "&lt;")


def main(arguments: Iterable[str]) -> int:
    if "--check" not in arguments:
        PAGE.write_text(page())
        return 0
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    sys.stderr.write(f"{PAGE.relative_to(ROOT)} is not of today: run `make generate`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
