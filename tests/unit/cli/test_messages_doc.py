"""The list of messages: nothing is missing that people meet, and what needs somebody says what to do."""

from __future__ import annotations

import ast

import pytest

from decco.cli import messages_doc, messages_source
from decco.cli.messages_doc import conditions, of_dns, page
from decco.desired import reasons
from decco.dns import errors
from tests.sample import thorough

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


@thorough
def test_the_page_is_of_today() -> None:
    assert messages_doc.PAGE.read_text() == page(), "run `make generate`"


def test_every_reason_with_a_message_is_documented() -> None:
    documented = {each.about.strip("`") for each in conditions()}
    by_dns = {name for name in vars(reasons) if name.startswith(("RECORD", "ZONE", "PROVIDER", "INVALID_R", "DNS_F"))}
    known = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    absent = known - documented - {getattr(reasons, name) for name in by_dns}
    # Ready, Resumed and LeftOver are said in status and Events; else a function chooses the reason or the message.
    assert absent <= {"Ready", "Resumed", "LeftOver", "Forbidden", "QuotaExceeded", "ReservedName"}, absent


@pytest.mark.parametrize("message", sorted(set(conditions())), ids=lambda each: f"{each.about}-{each.text[:30]}")
def test_what_needs_somebody_says_what_to_do(message: messages_doc.Message) -> None:
    reason = message.about.strip("`")
    good = {reasons.READY, reasons.RECONCILED, reasons.JOB_COMPLETE}
    if reason.startswith("<") or reason in reasons.WAITING | good | QUOTED or message.text.endswith(">"):
        return
    assert any(word in message.text.lower() for word in CURES), f"{message.file}: {message.text}"


def test_a_new_message_is_found_however_it_is_said() -> None:
    source = '''
"""A docstring is not said to anybody."""
FIX = "apply the new one"
def f(x, log):
    """Nor is this one of these."""
    log.warning("something happened here", reason=f"the reason was {x.why}")
    parser.add_argument("--x", help="what the flag is for")
    parser.epilog = "some words of help"
    if x == "what some server says":
        raise RuntimeError("a defect of the program")
    if x.late:
        raise SomeError(f"there is no {x.kind}: " + "make it" if x else f"{x}: {f'{x.a} and the inner' if x.b else ''}")
    return Verdict(text=f"all is well with {x.name}", label="one", schema={"description": "some long words"})
'''
    assert messages_source.messages_in("new.py", source) == (
        "apply the new one",
        "there is no <kind>: make it",
        "<a> and the inner",
        "all is well with <name>",
    )


def test_every_file_that_says_something_has_its_section() -> None:
    for file in messages_source.files():
        if messages_source.messages_in(file):
            messages_doc.section_of(file)
    with pytest.raises(KeyError, match=r"elsewhere\.py has messages"):
        messages_doc.section_of("elsewhere.py")
    assert [file for file in messages_source.SILENT_FILES if not (messages_source.PACKAGE / file).is_file()] == []


@pytest.mark.parametrize("message", sorted(set(of_dns())), ids=lambda each: f"{each.about}-{each.text[:30]}")
def test_what_dns_says_needs_somebody_says_what_to_do_too(message: messages_doc.Message) -> None:
    error = getattr(errors, message.about.strip("`"))
    if error.advice or message.file == "dns/providers/memory/client.py" or message.text.endswith(">"):
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
    found = {call.lineno: messages_source.texts(call.args[1], scope) for call in calls}
    assert found == {5: ["one"], 8: ["two", "three <b>"], 13: ["five"], 14: ["five"]}
