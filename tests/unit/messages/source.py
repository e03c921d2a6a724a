"""Texts and calls in the source of decco, from its syntax tree, for the tests that compare them with the catalogue."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import decco
from decco import objects

PACKAGE = Path(decco.__file__).resolve().parent


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
    tree = ast.parse(path.read_text())
    left: list[tuple[ast.AST, ast.AST]] = [(tree, tree)]
    while left:
        node, scope = left.pop()
        for child in ast.iter_child_nodes(node):
            around = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else scope
            left.append((child, around))
            if isinstance(child, ast.Call):
                found.append((child, scope))
    return tuple(found)


def constants(path: str) -> set[str]:
    """All texts that are constants in the files of a folder."""
    trees = (ast.parse(file.read_text()) for file in (PACKAGE / path).rglob("*.py"))
    found = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in found if isinstance(node.value, str)}


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def texts(node: ast.expr, scope: ast.AST) -> list[str]:
    """The possible texts of an expression; a variable is resolved by its assignments in the function, and a call of a
    function of decco.desired or decco.reconcilers by what it returns.
    """
    if isinstance(node, ast.Call) and (function := _functions().get(name_of(node.func))) is not None:
        returned = [
            each.value for each in ast.walk(function) if isinstance(each, ast.Return) and each.value is not None
        ]
        return [text for value in returned for text in texts(value, function)]
    if isinstance(node, ast.Name):
        values = _assigned(getattr(scope, "body", []), node.id, node.lineno)
        return [text for value in values for text in texts(value, scope)]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, scope), *texts(node.orelse, scope)]
    if isinstance(node, ast.List | ast.Tuple):
        return [text for item in node.elts for text in texts(item, scope)]
    text = text_of(node)
    return [text] if text.strip() else []


def texts_of_parameter(file: str, name: ast.expr, scope: ast.AST) -> list[str]:
    """The texts that the callers in the file pass for a parameter of a function."""
    if not isinstance(name, ast.Name) or not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    names = [each.arg for each in scope.args.args if each.arg != "self"]
    if name.id not in names:
        return []
    found = []
    for _, call, around in calls(file):
        if name_of(call.func) == scope.name:
            given = {**dict(zip(names, call.args, strict=False)), **{each.arg: each.value for each in call.keywords}}
            found += texts(given[name.id], around) if name.id in given else []
    return found


@functools.cache
def _functions() -> dict[str, ast.FunctionDef]:
    """The functions of modules that return a text, by name."""
    files = [file for folder in ("desired", "reconcilers") for file in (PACKAGE / folder).rglob("*.py")]
    statements = [each for file in files for each in ast.parse(file.read_text()).body]
    return {
        each.name: each
        for each in statements
        if isinstance(each, ast.FunctionDef) and each.returns is not None and "str" in ast.unparse(each.returns)
    }


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
