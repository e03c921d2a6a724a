"""One row of a table: who tries which request, and what the API server must answer.

Every request is a dry run, for which the API server evaluates RBAC, validation and admission as for any other, and
stores nothing. So the rows are independent of one another and of their order.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.api import Api, Response
from tests.attacks.people import Person

Obj = dict[str, Any]
Change = Callable[[Obj], Obj]

OK = ""
RBAC = "RBAC"
"""Refused by the roles: no policy was asked."""
ESCALATION = "escalation"
"""Refused by RBAC: nobody binds a role with more than they have, without the verb bind."""
SPACES = "/apis/decco.platform9.com/v1beta2/spaces"
NAMESPACES = "/api/v1/namespaces"

_CODE = re.compile(r"\[(DECCO-\d{4})\]")
_TYPES = {
    "merge": "application/merge-patch+json",
    "apply": "application/apply-patch+yaml",
    "json": "application/json-patch+json",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """``expect`` is a code (DECCO-0601; several separated by "|" if several policies refuse it), RBAC, or OK. ``body``
    may be a function of the live object, read before as administrator. ``technique`` is create, merge, apply, put or
    delete.
    """

    what: str
    who: Person
    expect: str
    technique: str
    path: str
    body: Obj | list[Obj] | Change | None = None
    query: str = ""

    @property
    def id(self) -> str:
        return f"{self.expect or 'allowed'}: {self.who} {self.what} ({self.technique})"

    @property
    def expected(self) -> frozenset[str]:
        return frozenset(self.expect.split("|"))

    def send(self, admin: Api, own: Api) -> Response:
        """``own`` has the identity of ``who``."""
        body = self.body
        if callable(body):
            live = admin.request("GET", self.path.removesuffix("/status").removesuffix("/finalize"))
            assert live.status == 200, (self.path, live.status)
            body = body(live.json())
        method = {"create": "POST", "put": "PUT", "delete": "DELETE"}.get(self.technique, "PATCH")
        query = "dryRun=All" + ("&fieldManager=attack&force=true" if self.technique == "apply" else "") + self.query
        headers = {"Content-Type": _TYPES[self.technique]} if self.technique in _TYPES else {}
        return own.request(method, f"{self.path}?{query}", body, headers=headers)


def verdict(answer: Response) -> str:
    """A code, RBAC, OK, or the answer's text for anything else, which no row expects."""
    if answer.status < 300:
        return OK
    message = str(json.loads(answer.body).get("message", "")) if answer.body else ""
    if "ValidatingAdmissionPolicy" in message:
        found = _CODE.search(message)
        return found.group(1) if found else message.partition("ValidatingAdmissionPolicy")[2]
    if answer.status == 403 and "attempting to grant RBAC permissions" in message:
        return ESCALATION
    if answer.status == 403 and " cannot " in message:
        return RBAC
    return f"{answer.status} {message}"


# Builders: lists of attempts by several techniques ---------------------------------------------------------------


def create(what: str, who: Person, expect: str, path: str, obj: Obj) -> Iterator[Attempt]:
    """By POST, and by a server-side apply that creates."""
    yield Attempt(what, who, expect, "create", path, obj)
    if "name" in obj["metadata"]:
        yield Attempt(what, who, expect, "apply", f"{path}/{obj['metadata']['name']}", obj)


def edit(
    what: str, who: Person, expect: str, path: str, patch: Obj, *, ways: Sequence[str] = ("merge", "put", "apply")
) -> Iterator[Attempt]:
    """By merge patch, by PUT of the live object with the patch in it, and by server-side apply, which cannot remove."""
    for way in ways:
        match way:
            case "merge":
                yield Attempt(what, who, expect, "merge", path, patch)
            case "put":
                yield Attempt(what, who, expect, "put", path, lambda live: merged(live, patch))
            case "apply" if not _removes(patch):
                yield Attempt(
                    what, who, expect, "apply", path, lambda live: {**_identity(live), **_joined(live, patch)}
                )


def delete(what: str, who: Person, expect: str, path: str) -> Iterator[Attempt]:
    """By each propagation policy."""
    for policy in ("Background", "Foreground", "Orphan"):
        yield Attempt(f"{what}, {policy}", who, expect, "delete", path, query=f"&propagationPolicy={policy}")


def merged(live: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    target = copy.deepcopy(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merged(target.get(key), value)
    return target


def _removes(patch: Any) -> bool:
    if isinstance(patch, dict):
        return any(value is None or _removes(value) for value in patch.values())
    return isinstance(patch, list) and not patch


def _identity(live: Obj) -> Obj:
    return {key: live[key] for key in ("apiVersion", "kind")}


def _joined(live: Obj, patch: Obj) -> Obj:
    joined = copy.deepcopy(patch)
    joined["metadata"] = {**joined.get("metadata", {}), "name": live["metadata"]["name"]}
    return joined


def flat(*parts: Iterable[Attempt]) -> list[Attempt]:
    return [attempt for part in parts for attempt in part]
