"""The texts of conditions in the source: every reason has one, and what needs somebody says what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest

from decco.desired import reasons
from decco.dns import errors
from tests.unit.messages.source import calls, name_of, texts, texts_of_parameter

CURES = (
    "add", "ask", "change", "choose", "correct", "create", "delete", "give", "install", "label", "look at", "permit",
    "raise", "remove", "rename", "renew", "resume", "set", "smaller", "must",
)  # fmt: skip
"""Each message that needs an action contains one of these words."""
CURES_OF_DNS = ("allow", "check", "see who", "shorter")
QUOTED = {
    "NotAccepted",  # the gateway's own message
    "NotProgrammed",
    "Invalid",  # some are completed by the message of a Format, which says what the value must be
    "RouteNotSupported",
}
DNS_ERRORS = {
    "InvalidRecord",
    "ProviderRefused",
    "ProviderThrottled",
    "ProviderUnreachable",
    "RecordConflict",
    "ZoneNotFound",
}


class Text(NamedTuple):
    reason: str
    text: str
    file: str


def conditions() -> Iterator[Text]:
    """Messages of the conditions of Spaces and Apps: the argument after a reason, whatever is called."""
    for file, call, scope in calls("desired", "reconcilers"):
        for argument, following in pairwise(call.args):
            for reason in reasons_in(argument):
                for text in texts(following, scope) or texts_of_parameter(file, following, scope):
                    if " " in text:
                        yield Text(reason, text, file)


def reasons_in(node: ast.expr) -> list[str]:
    """The reasons that the expression may be, as far as they are constants."""
    if isinstance(node, ast.IfExp):
        return [*reasons_in(node.body), *reasons_in(node.orelse)]
    reason = getattr(reasons, name_of(node), None) if name_of(node).isupper() else None
    return [reason] if isinstance(reason, str) else []


def of_dns() -> Iterator[Text]:
    for file, call, scope in calls("dns"):
        if name_of(call.func) in DNS_ERRORS and call.args:
            for text in texts(call.args[0], scope):
                yield Text(name_of(call.func), text, file)


def test_every_reason_has_a_message() -> None:
    said = {each.reason for each in conditions()}
    by_dns = {name for name in vars(reasons) if name.startswith(("RECORD", "ZONE", "PROVIDER", "INVALID_R", "DNS_F"))}
    known = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    absent = known - said - {getattr(reasons, name) for name in by_dns}
    # Ready, Resumed and LeftOver are said in status and Events, Reconciled is a default, JobComplete, NotProbed and
    # Suspended come after their messages, as do those of a placement; else a function chooses the reason.
    good = {"Ready", "Resumed", "LeftOver", "Reconciled", "JobComplete", "NotProbed", "Suspended"}
    good |= {"NotPlaced", "Standby", "TookOver"}
    assert absent <= good | {"Forbidden", "QuotaExceeded", "ReservedName"}, absent


@pytest.mark.parametrize("message", sorted(set(conditions())), ids=lambda each: f"{each.reason}-{each.text[:30]}")
def test_what_needs_somebody_says_what_to_do(message: Text) -> None:
    reason = message.reason
    good = {reasons.READY, reasons.RECONCILED, reasons.JOB_COMPLETE}
    if reason in reasons.WAITING | good | QUOTED or message.text.endswith(">"):
        return
    assert any(word in message.text.lower() for word in CURES), f"{message.file}: {message.text}"


@pytest.mark.parametrize("message", sorted(set(of_dns())), ids=lambda each: f"{each.reason}-{each.text[:30]}")
def test_what_dns_says_needs_somebody_says_what_to_do_too(message: Text) -> None:
    error = getattr(errors, message.reason)
    if error.advice or message.file.startswith("dns/providers/memory/") or message.text.endswith(">"):
        return  # the class says it; a provider for trials; the provider's own words
    assert any(word in message.text.lower() for word in (*CURES, *CURES_OF_DNS)), f"{message.file}: {message.text}"


def test_a_variable_is_what_was_assigned_last() -> None:
    source = """
def f(a):
    if a:
        text = "one"
        Problem(R, text)
    else:
        text = "two" if a else f"three {a.b}"
        Problem(R, text)
    text = "four"
    match a:
        case 1:
            text = "five"
            Problem(R, text)
    Problem(R, text)
"""
    scope = ast.parse(source).body[0]
    calls = [node for node in ast.walk(scope) if isinstance(node, ast.Call)]
    found = {call.lineno: texts(call.args[1], scope) for call in calls}
    assert found == {5: ["one"], 8: ["two", "three <b>"], 13: ["five"], 14: ["five"]}
