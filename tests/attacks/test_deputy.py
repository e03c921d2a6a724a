"""decco is no confused deputy: what it calls because of somebody, they may call, or SECURITY.md lists and guards it."""

from __future__ import annotations

from functools import cache

import pytest

from testbed.audit import SERVICE_ACCOUNT, AuditEvent
from tests.attacks.life import ISSUED, Call, Life
from tests.delegated import delegated

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
ITS_OWN = {"leases", "selfsubjectaccessreviews", "selfsubjectreviews"}
"""Its leader election, and questions about its own permissions."""


def resource(event: AuditEvent) -> str:
    return f"{event.resource}/{event.subresource}".rstrip("/")


def caused(life: Life) -> list[Call]:
    """But for watches, lists of all namespaces of what is watched, and the counts of repeated Events: these come from
    time to time, a count a minute after its Event, whoever does what.
    """
    watched = {call.event.resource for call in life.calls if call.event.verb == "watch"}
    return [
        call
        for call in life.calls
        if call.event.resource
        and call.event.verb != "watch"
        and not (call.event.verb == "list" and not call.event.namespace and call.event.resource in watched)
        and (call.event.resource, call.event.verb) != ("events", "patch")
        and call.event.resource not in ITS_OWN
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
        if not guarded(call):
            wrong.add(f"{call.cause} in {call.space}: {event.verb} {event.uri} is elsewhere")
        if (event.verb, resource(event)) not in listed and not allowed(call.cause.user, event):
            wrong.add(f"{call.cause} in {call.space}: {event.verb} {resource(event)} is not a delegated call")
    assert not wrong, "\n".join(sorted(wrong))


def guarded(call: Call) -> bool:
    """In the Space's namespace, or about the Space itself, its Events, the records of its names, and the ClusterIssuer
    that it names. Whoever may do more themselves does not make decco do more.
    """
    event, space = call.event, call.space
    match event.resource:
        case "namespaces" | "spaces":
            return event.name == space
        case "clusterissuers":
            return (event.verb, event.name) == ("get", ISSUED["certificates"]["issuerRef"]["name"])
        case "events":
            return event.namespace == space or (event.namespace == "default" and event.name.startswith(f"{space}."))
        case "dnsendpoints":
            # The name of the object is that of the record, and a digest; the list is of all names of the cluster.
            owned = f"{space}.{'evil' if space == 'evil1' else 'victim'}.test-"
            return event.verb == "list" or (event.namespace == "decco" and owned in event.name)
        case _:
            return event.namespace == space


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
