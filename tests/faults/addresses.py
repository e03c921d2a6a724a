"""Names of requests and of watch events that are the same in every run of a scenario.

All objects of one run have its token in their name or namespace, and nothing else has it: so runs side by side on one
control plane are distinguished by a search for these bytes, and an address has ``PLAN`` in its place.
"""

from __future__ import annotations

import re

import orjson

from testbed.faults import Call

PLAN = "PLAN"
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_EVENT = re.compile(r"(/events/.*)\.[0-9a-f]+$")
"""The name of an Event ends with the time of its beginning."""
_VERSIONED = re.compile(r"^/(?:api|apis/([^/]+))/[^/]+/")


def of_call(call: Call, token: str) -> str:
    """``POST apps:namespaces/PLAN/deployments/web``: method, group, path; the name of a new object is in its body."""
    path = _VERSIONED.sub(lambda match: f"{(match[1] or 'core').split('.')[0]}:", call.path)
    if call.method == "POST" and call.body:
        path = f"{path}/{_name(call.body)}"
    if "dryRun" in call.query:
        path += "?dryRun"
    return _EVENT.sub(r"\1", f"{call.method} {path}".replace(token, PLAN))


def of_event(path: str, line: bytes, token: str) -> str:
    """``WATCH apps:deployments MODIFIED PLAN/web``."""
    event = orjson.loads(line)
    meta = event["object"]["metadata"]
    kind = _VERSIONED.sub(lambda match: f"{(match[1] or 'core').split('.')[0]}:", path)
    where = f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]
    return f"WATCH {kind} {event['type']} {where}".replace(token, PLAN)


def _name(body: bytes) -> str:
    try:
        obj = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if obj.get("kind") == "Event":
        # Its name has the time of its beginning.
        return str(obj.get("reason", ""))
    return str(obj.get("metadata", {}).get("name") or "")


def is_write(call: Call) -> bool:
    """Whether it changes something: not a dry run, not a question about permissions."""
    return call.method in WRITES and "dryRun" not in call.query and not call.path.startswith("/apis/authorization")


def is_event(address: str) -> bool:
    """Whether it is about an Event, which informs people and is no part of the state."""
    return "/events/" in address
