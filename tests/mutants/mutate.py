"""Finds every place of a module where a small change is possible, and makes one change at a time in its text.

Changes are made in the text by the positions of the syntax tree, so that all other lines stay as they are. Annotations,
docstrings, decorators, log messages, texts of errors and blocks for the type checker are left alone: a change of them
is no change of behaviour, or only one of words.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

_COMPARED: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_CALCULATED: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}
_CALLED: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
_WORDS: Final = ("log", "_log", "logger")
"""Names of loggers: what is called on them changes nothing."""


class Mutant(NamedTuple):
    """``text[start:end]`` of the file is replaced by ``new``; offsets are in bytes of UTF-8."""

    file: str
    line: int
    kind: str
    start: int
    end: int
    old: str
    new: str

    @property
    def id(self) -> str:
        """Names the mutant as long as the file does not change before it."""
        return f"{self.file}:{self.line}:{self.kind}: {_short(self.old)} -> {_short(self.new)}"


def mutants(file: str, source: str) -> list[Mutant]:
    """All of a module, in the order of its text."""
    finder = _Finder(file, source)
    finder.visit(ast.parse(source))
    return sorted(set(finder.found), key=lambda each: (each.start, each.end, each.kind, each.new))


def applied(mutant: Mutant, source: str) -> str:
    """The text of the file with this change."""
    data = source.encode()
    if data[mutant.start : mutant.end].decode() != mutant.old:
        raise ValueError(f"{mutant.id}: the file has another text there")
    return (data[: mutant.start] + mutant.new.encode() + data[mutant.end :]).decode()


class _Finder(ast.NodeVisitor):
    def __init__(self, file: str, source: str) -> None:
        self.found: list[Mutant] = []
        self._file = file
        self._data = source.encode()
        self._lines = [0]
        for line in self._data.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    # What is left alone

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        del node

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit(node.args)
        for each in _without_docstring(node.body):
            self.visit(each)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for each in _without_docstring(node.body):
            self.visit(each)

    def visit_Assert(self, node: ast.Assert) -> None:
        del node

    def visit_TypeAlias(self, node: ast.AST) -> None:
        del node

    def visit_Assign(self, node: ast.Assign) -> None:
        if not any(isinstance(each, ast.Name) and each.id in ("__all__", "__slots__") for each in node.targets):
            self._deletion(node, all(isinstance(each, ast.Attribute | ast.Subscript) for each in node.targets))
            self.generic_visit(node)

    # What is changed

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._deletion(node, True)
        self._operator(node.op, node.target, node.value, suffix="=")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._deletion(node, not all(isinstance(each, ast.Name) for each in node.targets))

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and _is_log(call.func):
            return
        self._deletion(node, not isinstance(node.value, ast.Yield | ast.YieldFrom))
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace("raise", node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace("continue", node, "break")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace("break", node, "continue")

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self._condition(node.test)
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._replace("condition", test, "True")
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        if node.guard is not None:
            self._condition(node.guard)
            self.visit(node.guard)
        for each in node.body:
            self.visit(each)

    def visit_Compare(self, node: ast.Compare) -> None:
        for op, left, right in zip(node.ops, (node.left, *node.comparators), node.comparators, strict=False):
            old, new = _COMPARED[type(op)]
            self._between("compare", left, right, old, new)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between("bool", left, right, old, new)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace("not", node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._operator(node.op, node.left, node.right)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _is_log(node.func):
            return
        if isinstance(node.func, ast.Name) and node.func.id in _CALLED:
            self._replace("call", node.func, _CALLED[node.func.id])
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._replace("return", node.value, "None")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace("constant", node, str(not node.value))
        elif isinstance(node.value, int | float):
            new = node.value + 1 if node.value in (0, 1, 2) else node.value * 10
            self._replace("constant", node, repr(new))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._key(node.slice)
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key in node.keys:
            self._key(key)
        self.generic_visit(node)

    def _key(self, node: ast.expr | None) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self._replace("key", node, repr(node.value + "X"))

    def _condition(self, node: ast.expr) -> None:
        self._replace("condition", node, "True")
        self._replace("condition", node, "False")

    def _deletion(self, node: ast.stmt, wanted: bool) -> None:
        if wanted:
            self._replace("delete", node, "pass")

    def _operator(self, op: ast.operator, left: ast.expr, right: ast.expr, suffix: str = "") -> None:
        if type(op) in _CALCULATED:
            old, new = _CALCULATED[type(op)]
            self._between("calculate", left, right, old + suffix, new + suffix)

    # Positions

    def _replace(self, kind: str, node: ast.expr | ast.stmt, new: str) -> None:
        start, end = self._span(node)
        self._add(kind, node.lineno, start, end, new)

    def _between(self, kind: str, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        """The operator between two operands: brackets and comments may be there as well."""
        begin, end = self._span(left)[1], self._span(right)[0]
        at = self._data[begin:end].find(old.encode())
        if at >= 0:
            line = self._data[: begin + at].count(b"\n") + 1
            self._add(kind, line, begin + at, begin + at + len(old.encode()), new)

    def _add(self, kind: str, line: int, start: int, end: int, new: str) -> None:
        old = self._data[start:end].decode()
        if old != new:
            self.found.append(Mutant(self._file, line, kind, start, end, old, new))

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.lineno - 1] + node.col_offset, self._lines[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._data[start:end].decode()

    def generic_visit(self, node: ast.AST) -> None:
        """Without what is only evaluated by the type checker."""
        for child in _children(node):
            self.visit(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        if isinstance(value, ast.AST):
            yield value
        elif isinstance(value, list):
            yield from (each for each in value if isinstance(each, ast.AST))


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    return [each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]


def _is_log(func: ast.expr) -> bool:
    while isinstance(func, ast.Attribute):
        if func.attr in _WORDS:
            return True
        func = func.value
    return isinstance(func, ast.Name) and func.id in _WORDS


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."
