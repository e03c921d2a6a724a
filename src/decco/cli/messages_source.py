"""The sentences in decco's source, read from its syntax tree: for the list of messages, messages_doc.py.

Nothing is asked to register itself: each text of several words counts as a sentence that a person may meet, except
where it is known that nobody does. So a new message cannot be forgotten, whatever function says it.
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
    "api/crd.py": "descriptions, for docs/reference/space.md and app.md",
    "api/schema.py": "for developers",
    "cli/drawing.py": "a drawing",
    "cli/messages_doc.py": "for developers",
    "cli/messages_source.py": "for developers",
    "cli/reference.py": "for developers",
    "api/generate.py": "for developers",
    "api/reference.py": "for developers",
    "desired/reasons_doc.py": "for developers",
    "kube/_light_import.py": "for developers",
    "log.py": "shapes of log lines",
    "metrics.py": "descriptions, for docs/reference/metrics.md",
    "settings_doc.py": "for developers",
}
"""Files that say nothing to anybody at run time, or whose sentences the page has from elsewhere -> why."""
_LOGGING = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
_HELPING = frozenset({"add_argument", "add_flag", "add_namespace", "add_parser"})
_HELP = frozenset({"commands", "description", "epilog"})
"""Calls, and variables, of what ``--help`` says, which is in docs/reference/cli.md."""
_OTHERS_WORDS = frozenset({"DENIALS", "_RBAC", "_TOO_LARGE"})
"""Constants by which answers of others are recognised."""
_DEFECTS = frozenset({"AssertionError", "ImportError", "KeyError", "NotImplementedError", "RuntimeError", "TypeError"})
"""Who meets one of these reports a defect of decco with its traceback."""
_CALLERS_DEFECTS = frozenset({"api/conditions.py", "kube/client.py"})
"""Here a ValueError is a defect as well; elsewhere its text becomes part of a message."""
_PROTOCOL = re.compile(r"[\w.]+ = \w+$|[^ ]*&&|[^ ]*\|\||\s*!?(size|has)\(")
"""Lines of stunnel's configuration, and CEL."""
_WORD = re.compile(r"(?<![\w<$/.-])[a-z]{2,}(?![\w>/=-])")
_FEWEST_WORDS = 2


def files() -> list[str]:
    """All files of the package that may say something, relative to it."""
    found = (file.relative_to(PACKAGE).as_posix() for file in sorted(PACKAGE.rglob("*.py")))
    return [file for file in found if file not in SILENT_FILES]


@functools.cache
def sentences(file: str, source: str | None = None) -> tuple[str, ...]:
    """Each text in a file that a person may meet, parts of longer ones included, with ``<…>`` for values."""
    tree = _tree(PACKAGE / file) if source is None else ast.parse(source)
    return tuple(" ".join(text.split()) for text in _spoken(tree, file))


def _spoken(node: ast.AST, file: str) -> Iterator[str]:
    for child in _children(node):
        if isinstance(child, ast.expr) and is_sentence(text := text_of(child)):
            yield text
            values = [part for part in ast.walk(child) if isinstance(part, ast.FormattedValue)]
            for value in values:
                yield from _spoken(value, file)
        elif not _is_silent(child, file):
            yield from _spoken(child, file)


def _children(node: ast.AST) -> Iterable[ast.AST]:
    if isinstance(node, ast.Dict):  # a schema's descriptions are those of docs/reference/space.md and app.md
        return [value for key, value in zip(node.keys, node.values, strict=True) if _word(key) != "description"]
    return ast.iter_child_nodes(node)


def _word(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def is_sentence(text: str) -> bool:
    return " " in text.strip() and len(_WORD.findall(text)) >= _FEWEST_WORDS and not _PROTOCOL.match(text)


def _is_silent(node: ast.AST, file: str) -> bool:
    """Whether nobody meets what is said in it."""
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


def calls(*places: str) -> Iterator[tuple[str, ast.Call, ast.AST]]:
    """(file, call, the function around it or the module) in these files and folders of the package."""
    for place in places:
        path = PACKAGE / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for node, scope in _calls(file):
                yield file.relative_to(PACKAGE).as_posix(), node, scope


@functools.cache
def _calls(path: Path) -> tuple[tuple[ast.Call, ast.AST], ...]:
    """All calls in a file, each with the innermost function that holds it, or with the module."""
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
    """What an expression can say; a variable is looked up where the function assigns it."""
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
    """The last word of the expression: it names the value well enough."""
    assert isinstance(node, ast.FormattedValue)
    inner = node.value
    while isinstance(inner, ast.Call):
        inner = inner.args[0] if inner.args else inner.func
    while isinstance(inner, ast.Subscript):
        inner = inner.value
    name = name_of(inner)
    known = getattr(objects, name, None) if name.isupper() else None
    return known if isinstance(known, str) else f"<{name.strip('_') or '…'}>"
