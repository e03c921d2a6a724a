"""decco is no confused deputy: what it calls because of somebody, they may call, or SECURITY.md lists and guards it."""

from __future__ import annotations

from functools import cache

import pytest

from testbed.audit import SERVICE_ACCOUNT, AuditEvent
from tests.attacks.life import Call, Life
from tests.delegated import delegated

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
ITS_OWN = {"leases", "selfsubjectaccessreviews", "selfsubjectreviews"}
"""Its leader election, and questions about its own permissions."""

BY_TIME = {
    ("get", "namespaces"),
    ("update", "spaces/status"),
    ("update", "apps/status"),
    ("create", "events"),
    ("patch", "events"),
}
"""Requests about other Spaces meanwhile: time alone makes decco read a conflict again, and report a late failure."""


def resource(event: AuditEvent) -> str:
    return f"{event.resource}/{event.subresource}".rstrip("/")


def caused(life: Life) -> list[Call]:
    """Watches are opened again from time to time, whoever does what."""
    return [
        call
        for call in life.calls
        if call.event.resource and call.event.verb != "watch" and call.event.resource not in ITS_OWN
    ]


def test_every_call_is_the_causer_s_own_or_delegated(life: Life) -> None:
    @cache
    def allowed(user: str, event: AuditEvent) -> bool:
        attributes = {
            "verb": event.verb,
            "group": event.group,
            "resource": event.resource,
            "subresource": event.subresource,
            "namespace": event.namespace,
            "name": event.name,
        }
        review = {"spec": {"user": user, "groups": ["system:authenticated"], "resourceAttributes": attributes}}
        return bool(life.cp.create(REVIEWS, review)["status"]["allowed"])

    listed = {request: each.number for each in delegated() for request in each.requests}
    calls = caused(life)
    assert len(calls) > 100, "a life has many calls"
    wrong = set()
    for call in calls:
        event = call.event
        if allowed(call.cause.user, event):
            continue
        if (event.verb, resource(event)) not in listed:
            wrong.add(f"{call.cause} in {call.space}: {event.verb} {resource(event)} is not a delegated call")
        elif not guarded(call):
            wrong.add(f"{call.cause} in {call.space}: {event.verb} {event.uri} is elsewhere")
    assert not wrong, "\n".join(sorted(wrong))


def guarded(call: Call) -> bool:
    """In the Space's namespace, or about the Space itself, its Events and the records of its names; see BY_TIME."""
    event = call.event
    match event.resource:
        case "namespaces" | "spaces":
            here = event.name == call.space
        case "events":
            here = event.namespace in {call.space, "default"}
        case "dnsendpoints" if event.verb == "list":
            here = True
        case "dnsendpoints":
            fqdn = f"{call.space}.{'evil' if call.space == 'evil1' else 'victim'}.test"
            # The name of the object is that of the record, and a digest; a request to create has none.
            here = event.namespace == "decco" and (fqdn in event.name or event.verb == "create")
        case _:
            here = event.namespace == call.space
    return here or (event.verb, resource(event)) in BY_TIME


@pytest.mark.full
def test_every_entry_of_the_list_is_used(life: Life) -> None:
    called = {(event.verb, resource(event)) for event in life.cp.audit() if event.user == SERVICE_ACCOUNT}
    entries = delegated()
    unused = {
        f"{each.number}: {verb} {name}"
        for each in entries
        for verb, name in each.requests
        if (verb, name) not in called
    }
    assert unused == set()


def test_the_guard_notices_another_space(life: Life) -> None:
    """The check can fail: the same calls, caused in another Space."""
    [some] = [each for each in caused(life) if each.event.resource == "deployments" and each.event.verb == "create"][:1]
    assert guarded(some)
    assert not guarded(Call(some.cause, "another", some.event))
