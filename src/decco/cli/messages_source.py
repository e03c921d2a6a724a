"""Extracts the messages from decco's source, from its syntax tree, for the list in messages_doc.py.

Messages are not registered: each text of several words counts as a message for users, except in the contexts that are
listed here. So a new message is always included, whatever function uses it.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from decco import objects

PACKAGE = Path(__file__).resolve().parents[1]

SILENT_FILES = {
    "api/admission.py": "read from the CRDs that are made of it",
    "cli/drawing.py": "a drawing",
    "cli/messages_doc.py": "for developers",
    "cli/messages_source.py": "for developers",
    "cli/reference.py": "for developers",
    "desired/reasons_doc.py": "for developers",
    "kube/_light_import.py": "for developers",
    "log.py": "shapes of log lines",
    "metrics.py": "descriptions, for docs/reference/metrics.md",
}
"""Files without messages at run time, or whose messages are documented elsewhere -> reason."""
_LOGGING = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
_HELPING = frozenset({"add_argument", "add_flag", "add_namespace", "add_parser"})
_HELP = frozenset({"commands", "description", "epilog"})
"""Calls and variables of ``--help`` texts, which are in docs/reference/cli.md."""
_OTHERS_WORDS = frozenset({"DENIALS", "_RBAC", "_TOO_LARGE"})
"""Constants for recognising the answers of other programs."""
_DEFECTS = frozenset({"AssertionError", "ImportError", "KeyError", "NotImplementedError", "RuntimeError", "TypeError"})
"""Exceptions that are defects of decco; they appear with a traceback."""
_CALLERS_DEFECTS = frozenset({"api/conditions.py", "kube/client.py"})
"""Files in which a ValueError is a defect as well; elsewhere its text becomes part of a message."""
_PROTOCOL = re.compile(r"[\w.]+ = \w+$|[^ ]*&&|[^ ]*\|\||\s*!?(size|has)\(")
"""Lines of stunnel's configuration, and CEL."""
_WORD = re.compile(r"(?<![\w<$/.-])[a-z]{2,}(?![\w>/=-])")
_FEWEST_WORDS = 2


def files() -> list[str]:
    """All files of the package that may have messages, relative to it."""
    found = (file.relative_to(PACKAGE).as_posix() for file in sorted(PACKAGE.rglob("*.py")))
    return [file for file in found if file not in SILENT_FILES]


@functools.cache
def messages_in(file: str, source: str | None = None) -> tuple[str, ...]:
    """Each message in a file, including parts of longer ones, with ``<…>`` for values."""
    tree = _tree(PACKAGE / file) if source is None else ast.parse(source)
    return tuple(" ".join(text.split()) for text in _messages_of(tree, file))


def _messages_of(node: ast.AST, file: str) -> Iterator[str]:
    for child in _children(node):
        if isinstance(child, ast.expr) and is_message(text := text_of(child)):
            yield text
            values = [part for part in ast.walk(child) if isinstance(part, ast.FormattedValue)]
            for value in values:
                yield from _messages_of(value, file)
        elif not _is_silent(child, file):
            yield from _messages_of(child, file)


def _children(node: ast.AST) -> Iterable[ast.AST]:
    if isinstance(node, ast.Dict):  # descriptions of a schema are in docs/reference/space.md and app.md
        return [value for key, value in zip(node.keys, node.values, strict=True) if _word(key) != "description"]
    return ast.iter_child_nodes(node)


def _word(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def is_message(text: str) -> bool:
    return " " in text.strip() and len(_WORD.findall(text)) >= _FEWEST_WORDS and not _PROTOCOL.match(text)


def _is_silent(node: ast.AST, file: str) -> bool:
    """Whether the texts in the node are not shown to users."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Assert() | ast.Compare():  # also docstrings
            return True
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            return name_of(target).strip("_").lower() in _HELP or name_of(target) in _OTHERS_WORDS
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=name)):
            return name in _LOGGING
        case ast.Call(func=function):
            return name_of(function) in _HELPING
        case ast.Raise(exc=ast.Call(func=ast.Name(id=name))):
            return name in _DEFECTS or (name == "ValueError" and file in _CALLERS_DEFECTS)
    return False


def calls(*paths: str) -> Iterator[tuple[str, ast.Call, ast.AST]]:
    """(file, call, enclosing function or module) in these files and folders of the package."""
    for relative in paths:
        path = PACKAGE / relative
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for node, scope in _calls(file):
                yield file.relative_to(PACKAGE).as_posix(), node, scope


@functools.cache
def _calls(path: Path) -> tuple[tuple[ast.Call, ast.AST], ...]:
    """All calls in a file, each with its innermost enclosing function, or with the module."""
    found = []
    tree = _tree(path)
    left: list[tuple[ast.AST, ast.AST]] = [(tree, tree)]
    while left:
        node, scope = left.pop()
        for child in ast.iter_child_nodes(node):
            around = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else scope
            left.append((child, around))
            if isinstance(child, ast.Call):
                found.append((child, scope))
    return tuple(found)


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def texts(node: ast.expr, scope: ast.AST) -> list[str]:
    """The possible texts of an expression; a variable is resolved by its assignments in the function."""
    if isinstance(node, ast.Name):
        values = _assigned(getattr(scope, "body", []), node.id, node.lineno)
        return [text for value in values for text in texts(value, scope)]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, scope), *texts(node.orelse, scope)]
    if isinstance(node, ast.List | ast.Tuple):
        return [text for item in node.elts for text in texts(item, scope)]
    text = text_of(node)
    return [text] if text.strip() else []


def _assigned(body: list[ast.stmt], name: str, line: int) -> list[ast.expr]:
    """The possible values of a variable at a line: the assignments in the last statement before it that has any."""
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
            if isinstance(each, ast.Assign) and any(name_of(target) == name for target in each.targets)
        ]
        found = [value for value in given if value.lineno < line] or found
    return found


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The lists of statements in a compound one."""
    parts = [getattr(statement, name, None) or [] for name in ("body", "orelse", "finalbody")]
    parts += [each.body for name in ("cases", "handlers") for each in getattr(statement, name, None) or []]
    return [part for part in parts if part]


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else _placeholder(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    return ""


def _placeholder(node: ast.expr) -> str:
    """The last name in the expression."""
    assert isinstance(node, ast.FormattedValue)
    inner = node.value
    while isinstance(inner, ast.Call):
        inner = inner.args[0] if inner.args else inner.func
    while isinstance(inner, ast.Subscript):
        inner = inner.value
    name = name_of(inner)
    known = getattr(objects, name, None) if name.isupper() else None
    return known if isinstance(known, str) else f"<{name.strip('_') or '…'}>"
