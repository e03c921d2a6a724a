"""Results of a refusal: a reason, a message, and a requeue time."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired import reasons
from decco.desired.model import Child
from decco.kube.errors import Conflict, Garbled, Unreachable, error_of_status
from decco.kube.identity import Foreign
from decco.objects import NAMESPACES, SERVICES, Key
from decco.reconcilers.outcomes import REQUEUE_SECONDS, refusal_of, retryable, value_not_served

KEY = Key("acme", "db")


def answer(code: int, reason: str, message: str = "no", **details: Any) -> Exception:
    return error_of_status({"code": code, "reason": reason, "message": message, "details": details}, code)


REFUSALS: dict[str, tuple[Exception, str, float | None]] = {
    "foreign": (Foreign(SERVICES, KEY), reasons.CONFLICT, REQUEUE_SECONDS),
    "invalid": (answer(422, "Invalid"), reasons.INVALID, None),
    "unknown field": (answer(400, "BadRequest"), reasons.INVALID, None),
    "too large": (answer(413, "RequestEntityTooLarge"), reasons.INVALID, None),
    "not acceptable": (answer(406, "NotAcceptable"), reasons.INVALID, None),
    "RBAC": (answer(403, "Forbidden", 'User "x" cannot create'), reasons.FORBIDDEN, REQUEUE_SECONDS),
    "quota": (answer(403, "Forbidden", "exceeded quota: decco, requested"), reasons.QUOTA_EXCEEDED, REQUEUE_SECONDS),
    "namespace being deleted": (
        answer(403, "Forbidden", causes=[{"reason": "NamespaceTerminating"}]),
        reasons.NAMESPACE_TERMINATING,
        REQUEUE_SECONDS,
    ),
    "namespace gone": (
        answer(404, "NotFound", 'namespaces "acme" not found', kind="namespaces", name="acme"),
        reasons.NAMESPACE_NOT_READY,
        REQUEUE_SECONDS,
    ),
    "kind gone": (answer(404, "NotFound", "the server could not find"), reasons.INVALID, REQUEUE_SECONDS),
    "verb unknown": (answer(405, "MethodNotAllowed"), reasons.INVALID, REQUEUE_SECONDS),
}
NO_OPINION = {
    "another writer": answer(409, "Conflict"),
    "credentials": answer(401, "Unauthorized"),
    "expired": answer(410, "Expired"),
    "overload": answer(429, "TooManyRequests"),
    "a webhook that is down": answer(500, "InternalError", "failed calling webhook"),
    "storage": answer(503, "ServiceUnavailable"),
    "no answer": Unreachable("refused"),
    "no JSON": Garbled("<html>"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals(what: str) -> None:
    error, reason, requeue_after = REFUSALS[what]
    found = refusal_of(error, SERVICES, KEY)
    assert found is not None
    assert (found.problem.reason, found.requeue_after) == (reason, requeue_after)
    assert "acme" in found.problem.message


@pytest.mark.parametrize("what", NO_OPINION)
def test_what_says_nothing_about_the_object(what: str) -> None:
    assert refusal_of(NO_OPINION[what], SERVICES, KEY) is None


def test_the_servers_words_are_passed_on_but_not_without_end() -> None:
    outcome = refusal_of(answer(422, "Invalid", "spec.ports: " + "x" * 5000), SERVICES, KEY)
    assert outcome is not None
    assert outcome.problem.message.startswith("The API server refuses Service acme/db: spec.ports: xxx")
    assert len(outcome.problem.message) < 1100


def test_cluster_scoped_names_have_no_slash() -> None:
    outcome = refusal_of(Foreign(NAMESPACES, Key("", "acme")), NAMESPACES, Key("", "acme"))
    assert outcome is not None
    assert outcome.problem.message.startswith("Namespace acme exists already")


def test_a_retryable_error_is_reported_as_temporary() -> None:
    outcome = retryable(Conflict(409, "Conflict", "the object has been modified"), SERVICES, KEY)
    assert outcome.problem.reason in reasons.WAITING
    assert "Service acme/db" in outcome.problem.message
    assert "the object has been modified" in outcome.problem.message


FIELD = "spec.trafficDistribution"
NOT_SERVED = {"reason": "FieldValueNotSupported", "message": "Unsupported value", "field": FIELD}
OTHER = {"reason": "FieldValueInvalid", "message": "wrong", "field": "spec.ports"}
PREFERRING = Child(SERVICES, {"metadata": {"namespace": "acme", "name": "db"}}, without=(FIELD, {}))


def test_a_value_that_the_version_does_not_serve() -> None:
    refusal = value_not_served(answer(422, "Invalid", "Unsupported value", causes=[NOT_SERVED]), PREFERRING)
    assert refusal is not None
    assert refusal.optional
    assert refusal.problem.reason == reasons.VALUE_NOT_SERVED
    assert f"Service acme/db is written without {FIELD}" in refusal.problem.message


@pytest.mark.parametrize(
    "error",
    [
        answer(422, "Invalid", causes=[NOT_SERVED, OTHER]),
        answer(422, "Invalid", causes=[OTHER]),
        answer(422, "Invalid", causes=[{**NOT_SERVED, "reason": "FieldValueInvalid"}]),
        answer(422, "Invalid"),
        answer(403, "Forbidden", causes=[NOT_SERVED]),
        Unreachable("refused"),
    ],
)
def test_any_other_refusal_is_about_the_whole_object(error: Exception) -> None:
    assert value_not_served(error, PREFERRING) is None


def test_without_another_form_the_whole_object_is_refused() -> None:
    error = answer(422, "Invalid", causes=[NOT_SERVED])
    assert value_not_served(error, Child(SERVICES, PREFERRING.obj)) is None
