"""What the model answers, in the form and words of the real server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.simulation.model.kinds import Kind, Obj


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The request is refused with this Status."""

    def __init__(self, code: int, reason: str, message: str, details: Obj | None = None, retry: int = 0) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details, self.retry = details or {}, retry

    def status(self) -> Obj:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }

    def answer(self) -> Answer:
        headers = {"Retry-After": str(self.retry)} if self.retry else {}
        return Answer(self.code, orjson.dumps(self.status()), headers)


def success(obj: Any, code: int = 200) -> Answer:
    return Answer(code, orjson.dumps(obj))


def _details(kind: Kind, name: str, causes: list[Obj] | None = None) -> Obj:
    found: Obj = {"name": name, "group": kind.group, "kind": kind.plural}
    return {**found, "causes": causes} if causes else found


def removed(kind: Kind, name: str, uid: str) -> Obj:
    """The answer to a deletion that leaves nothing."""
    details = {**_details(kind, name), "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def not_found(kind: Kind, name: str) -> Refused:
    return Refused(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


def not_served() -> Answer:
    return Answer(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})


def exists(kind: Kind, name: str) -> Refused:
    return Refused(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Refused:
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refused(409, "Conflict", message, _details(kind, name))


CHANGED = "the object has been modified; please apply your changes to the latest version and try again"


def forbidden(kind: Kind, name: str, why: str, causes: list[Obj] | None = None) -> Refused:
    return Refused(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', _details(kind, name, causes))


def denied(user: str, verb: str, kind: Kind, namespace: str, name: str) -> Refused:
    """RBAC refuses."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    why = f'User "{user}" cannot {verb} resource "{kind.plural}" in API group "{kind.group}" {where}'
    message = f'{kind.resource} "{name}" is forbidden: {why}' if name else f"{kind.resource} is forbidden: {why}"
    return Refused(403, "Forbidden", message, _details(kind, name))


def terminating(kind: Kind) -> Refused:
    """Its CustomResourceDefinition is being deleted."""
    message = "create not allowed while custom resource definition is terminating"
    return Refused(405, "MethodNotAllowed", message, _details(kind, ""))


def invalid(kind: Kind, name: str, field_: str, why: str) -> Refused:
    message = f'{kind.kind}{f".{kind.group}" if kind.group else ""} "{name}" is invalid: {field_}: {why}'
    causes = [{"reason": "FieldValueInvalid", "field": field_, "message": why}]
    return Refused(422, "Invalid", message, {**_details(kind, name, causes), "kind": kind.kind})


def expired(message: str = "The resourceVersion for the provided watch is too old.") -> Refused:
    return Refused(410, "Expired", message)


def refusal(status: int, words: str = "") -> Answer:
    """An answer as the API server, or what is in front of it, gives it."""
    reasons: dict[int, tuple[str, str]] = {
        403: ("Forbidden", "simulated: not allowed"),
        409: ("Conflict", CHANGED),
        429: ("TooManyRequests", "simulated: too many requests"),
        500: ("InternalError", "simulated: an internal error occurred"),
        503: ("ServiceUnavailable", "simulated: the server is currently unable to handle the request"),
        504: ("Timeout", "simulated: the server was unable to return a response in time"),
    }
    reason, message = reasons[status]
    message = words or message
    body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body |= {"message": message, "reason": reason, "code": status}
    headers = {"Retry-After": "1"} if status == 429 else {}
    return Answer(status, orjson.dumps(body), headers)
