"""Which exception an answer becomes."""

from __future__ import annotations

from typing import Any

import pytest

from decco.errors import DeccoError
from decco.kube import errors
from decco.kube.errors import ApiError, error_of_status


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", errors.BadRequest),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (405, "MethodNotAllowed", errors.MethodNotAllowed),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Gone", errors.Gone),
        (410, "Expired", errors.Gone),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerError),
        (504, "Timeout", errors.ServerError),
        (599, "", errors.ServerError),
        (406, "NotAcceptable", ApiError),
    ],
)
def test_class_by_code_and_reason(code: int, reason: str, expected: type[ApiError]) -> None:
    error = error_of_status({"kind": "Status", "code": code, "reason": reason, "message": "why"}, 500)
    assert type(error) is expected
    assert (error.status, error.reason, error.message) == (code, reason, "why")
    assert isinstance(error, DeccoError)


def test_http_status_stands_in_for_a_missing_code() -> None:
    error = error_of_status({"kind": "Status"}, 404)
    assert type(error) is errors.NotFound
    assert str(error) == "HTTP status 404 (404)"


@pytest.mark.parametrize(
    ("header", "details", "expected"),
    [
        (None, {}, None),
        (None, {"retryAfterSeconds": 3}, 3.0),
        (7.0, {"retryAfterSeconds": 3}, 7.0),
        (None, {"retryAfterSeconds": "3"}, None),
        (None, {"retryAfterSeconds": 0}, None),
        (None, "garbage", None),
    ],
)
def test_retry_after(header: float | None, details: Any, expected: float | None) -> None:
    assert error_of_status({"code": 429, "details": details}, 429, header).retry_after == expected


def test_a_terminating_namespace_is_distinguished_from_other_refusals() -> None:
    causes = [
        {"reason": "NamespaceTerminating", "message": "namespace x is being terminated", "field": "metadata.namespace"}
    ]
    error = error_of_status({"code": 403, "reason": "Forbidden", "details": {"causes": causes}}, 403)
    assert isinstance(error, errors.Forbidden)
    assert error.namespace_terminating
    other = error_of_status({"code": 403, "reason": "Forbidden", "details": {"causes": "none"}}, 403)
    assert isinstance(other, errors.Forbidden)
    assert not other.namespace_terminating


def test_an_exceeded_quota_is_distinguished_from_other_refusals() -> None:
    message = 'pods "a" is forbidden: exceeded quota: decco, requested: pods=1, used: pods=1, limited: pods=1'
    error = error_of_status({"code": 403, "reason": "Forbidden", "message": message}, 403)
    assert isinstance(error, errors.Forbidden)
    assert error.quota_exceeded
    assert not errors.Forbidden(403, "Forbidden", "exceeded patience").quota_exceeded


def test_messages_are_cleaned_and_bounded() -> None:
    error = error_of_status({"code": 422, "reason": "Invalid", "message": "spec\x1b]0;x\x07 " + "y" * 100_000}, 422)
    assert "\x1b" not in error.message
    assert len(error.message) <= 2048


def test_a_kind_that_is_not_served_is_not_an_object_that_is_not_there() -> None:
    """Both are a Status with the reason NotFound where the group and version have other kinds."""
    generic = {"code": 404, "reason": "NotFound", "message": "the server could not find the requested resource"}
    assert type(error_of_status({**generic, "details": {}}, 404)) is errors.NotServed
    gone = {"code": 404, "reason": "NotFound", "message": 'tlsroutes "web" not found', "details": {"name": "web"}}
    assert type(error_of_status(gone, 404)) is errors.NotFound


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.Unreachable("lost", sent=True), True),
        (errors.Unreachable("lost"), True),
        (errors.Unreachable("refused", sent=False), False),
        (errors.ServerError(500, "InternalError", "no"), True),
        (errors.Garbled("no JSON"), True),
        (errors.Conflict(409, "Conflict", "no"), False),
        (errors.Forbidden(403, "Forbidden", "no"), False),
        (errors.TooManyRequests(429, "TooManyRequests", "no"), False),
    ],
)
def test_a_write_may_have_happened_unless_the_answer_or_the_connection_excludes_it(error: Any, expected: bool) -> None:
    assert errors.may_have_happened(error) is expected
