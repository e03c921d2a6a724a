"""The catalogue is complete, and its codes are permanent."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import Counter
from pathlib import Path

import pytest

import decco
from decco.desired import reasons
from decco.errors import DeccoError
from decco.kube.errors import NotFound, Unreachable
from decco.messages import Category, Message, Severity, error_code, log_codes, messages, usage_code
from decco.views.preflight.cluster import ADMISSION_POLICIES
from tests.sample import thorough
from tests.unit.messages.source import PACKAGE, calls, constants, texts, texts_of_parameter
from tools import messages_page

CODES = Path(__file__).resolve().parents[3] / "tools" / "message_codes.txt"
ALL = [(category, name, message) for category in Category for name, message in messages(category).items()]
RANGES = {
    Category.CONDITION: "1",
    Category.FINDING: "238",
    Category.IMPORT: "7",
    Category.LOG: "4",
    Category.ERROR: "5",
}
"""The hundreds of the codes of each category."""
LEVELS = {
    "warning": Severity.WARNING,
    "error": Severity.FAILURE,
    "exception": Severity.FAILURE,
    "critical": Severity.FAILURE,
}
NOT_FINDINGS = {
    "abandon-dns",
    "move",
    "cert-manager",
    "decco-controller",
    "envoy-gateway-system",
    "ingress-nginx",
    "x-kubernetes-validations",
    *ADMISSION_POLICIES,
}
"""Other words with hyphens in decco.views."""


def given() -> dict[str, str]:
    """Code -> "category name" of every code that was ever given."""
    return dict(line.split(" ", 1) for line in CODES.read_text().splitlines())


def test_no_code_is_given_twice() -> None:
    lines = CODES.read_text().splitlines()
    assert [code for code, count in Counter(line.split(" ")[0] for line in lines).items() if count > 1] == []
    assert [code for code, count in Counter(message.code for _, _, message in ALL).items() if count > 1] == []
    refused = {(code, policy) for policy, code, _ in messages_page.policies()}
    assert [code for code, count in Counter(code for code, _ in refused).items() if count > 1] == []
    assert all(re.fullmatch(r"DECCO-06\d\d", code) for code, _ in refused), "a refusal ends with its code"


def test_no_code_is_renumbered_reused_or_removed() -> None:
    """A message that decco no longer has stays in the catalogue, with ``retired``; no line of the list ever changes."""
    refused = {code: f"policies {policy}" for policy, code, _ in messages_page.policies()}
    assert given() == {message.code: f"{category} {name}" for category, name, message in ALL} | refused, (
        "codes are permanent: restore the entry with `retired`; `make generate` lists the codes of new messages"
    )


@pytest.mark.parametrize(("category", "name", "message"), ALL, ids=lambda each: each if isinstance(each, str) else "")
def test_each_message_is_explained(category: Category, name: str, message: Message) -> None:
    assert re.fullmatch(rf"DECCO-0[{RANGES[category]}]\d\d", message.code)
    assert message.summary.endswith(".")
    assert (category is Category.LOG) == bool(message.event)
    if message.severity is not Severity.OK:
        assert message.cause.endswith(".")
        assert message.action.endswith(".")


def test_every_reason_has_an_entry() -> None:
    known = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    entries = messages(Category.CONDITION)
    assert known == {name for name, message in entries.items() if not message.retired}
    # The severity "warning" is what ends by itself.
    conditions = {name for name, message in entries.items() if message.severity is Severity.WARNING}
    assert conditions - reasons.EVENTS == reasons.WAITING


def test_every_finding_has_an_entry() -> None:
    words = {text for text in constants("views") if re.fullmatch(r"[a-z]+(-[a-z]+)+", text)}
    words |= {text for text in constants("verify") if re.fullmatch(r"verify(-[a-z]+)+", text)}
    given = [(file, call.args[2]) for file, call, _ in calls("views", "cli", "moving") if _is_finding(call)]
    named = {name.value for _, name in given if isinstance(name, ast.Constant)}
    assert (words - NOT_FINDINGS) | (named - messages(Category.CONDITION).keys()) == {
        name for name, message in messages(Category.FINDING).items() if not message.retired
    }, "add it to findings.toml or findings-doctor.toml, or mark it as retired there"


def test_every_remark_of_the_import_has_an_entry() -> None:
    words = {text for text in constants("importing") if re.fullmatch(r"[a-z0-9]+(-[a-z]+)+", text)}
    entries = {name for name, message in messages(Category.IMPORT).items() if not message.retired}
    assert words - {"decco-derived-from", "default-scheduler", "space-creator"} == entries, "see imports.toml"


def _is_finding(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "Finding" and len(call.args) > 2


def log_lines() -> dict[str, set[Severity]]:
    """Event -> the severities with which the source logs it, from warnings on."""
    found: dict[str, set[Severity]] = {}
    for file, call, scope in calls("."):
        if "get_logger(" not in (PACKAGE / file).read_text():
            continue
        for level in levels_of(call, scope) if call.args else ():
            events = texts(call.args[0], scope) or texts_of_parameter(file, call.args[0], scope)
            assert events, f"{file}:{call.lineno}: the message is not a constant"
            for event in events:
                found.setdefault(event, set()).add(LEVELS[level])
    return found


def levels_of(call: ast.Call, scope: ast.AST) -> set[str]:
    """The levels of a call of a logger's method, also of one that was assigned to a variable."""
    methods: list[ast.expr] = [call.func]
    if isinstance(call.func, ast.Name):
        given = [each.value for each in ast.walk(scope) if isinstance(each, ast.Assign) and _is_to(each, call.func.id)]
        methods = [
            method for each in given for method in ([each.body, each.orelse] if isinstance(each, ast.IfExp) else [each])
        ]
    return {
        method.attr
        for method in methods
        if isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name) and method.attr in LEVELS
    }


def _is_to(assignment: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in assignment.targets)


@thorough
def test_every_warning_and_error_of_the_log_has_an_entry() -> None:
    entries = {message.event: message for message in messages(Category.LOG).values() if not message.retired}
    lines = log_lines()
    assert len(lines) > 25
    assert lines["reconcile failed"] == {Severity.WARNING}, "a method of a logger that was assigned to a variable"
    assert lines.keys() == entries.keys(), "correct logs.toml: a changed text keeps its name and code"
    assert [event for event, message in entries.items() if message.severity not in lines[event]] == []
    assert log_codes()["leadership lost"] == messages(Category.LOG)["leadership-lost"].code


INTERNAL = {
    "AlreadyExists",
    "BadRequest",
    "BatchRefused",
    "Conflict",
    "DriftConflict",
    "Fenced",
    "Foreign",
    "Gone",
    "Invalid",
    "InvalidObjectError",
    "MethodNotAllowed",
    "NotFound",
    "NotListed",
    "NotServed",
    "Postponed",
    "ReconcileError",
    "ServerError",
    "TerminalError",
    "TooLargeError",
    "TooManyRequests",
}
"""Errors without an explanation of their own: they have the code of their base class, and most never end a command."""


def test_every_error_has_an_entry() -> None:
    for module in pkgutil.walk_packages(decco.__path__, "decco."):
        importlib.import_module(module.name)
    left, found = [DeccoError], set()
    while left:
        error = left.pop()
        found.add(error)
        left += error.__subclasses__()
    of_decco = {error for error in found if error.__module__.startswith("decco.")}
    by_reason = {error for error in of_decco if getattr(error, "reason", "") in messages(Category.CONDITION)}
    named = {error.__name__ for error in of_decco - by_reason}
    assert named - INTERNAL == messages(Category.ERROR).keys() - {"CommandLine"}
    assert all(error_code(error) for error in of_decco)


def test_an_error_without_an_entry_has_the_code_of_its_base() -> None:
    entries = messages(Category.ERROR)
    assert error_code(Unreachable) == entries["Unreachable"].code
    assert error_code(NotFound) == entries["ApiError"].code
    assert error_code(KeyError) == ""
    assert usage_code() == entries["CommandLine"].code
