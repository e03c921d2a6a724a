"""Pods in Spaces whose pods have to be isolated, whoever makes them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import OK, Attempt, Obj, create
from tests.attacks.tenants import made, path

REFUSED = "DECCO-0680"
CASES: tuple[tuple[str, str, Obj, str], ...] = (
    ("mapped", "without anything", {}, REFUSED),
    ("mapped", "in the node's user namespace", {"hostUsers": True}, REFUSED),
    ("mapped", "with a RuntimeClass that is no sandbox", {"runtimeClassName": "runc"}, REFUSED),
    ("mapped", "in a user namespace", {"hostUsers": False}, OK),
    ("mapped", "in a user namespace of another runtime", {"hostUsers": False, "runtimeClassName": "runc"}, OK),
    ("mapped", "in a sandbox", {"runtimeClassName": "gvisor"}, OK),
    ("boxed", "without anything", {}, REFUSED),
    ("boxed", "in a user namespace only", {"hostUsers": False}, REFUSED),
    ("boxed", "with a RuntimeClass that is no sandbox", {"runtimeClassName": "runc"}, REFUSED),
    ("boxed", "in the first sandbox", {"runtimeClassName": "kata"}, OK),
    ("boxed", "in another sandbox", {"runtimeClassName": "gvisor", "hostUsers": False}, OK),
    ("unknown", "in a user namespace only", {"hostUsers": False}, REFUSED),
    ("unknown", "in a sandbox", {"runtimeClassName": "kata"}, OK),
    ("closed", "without anything", {}, REFUSED),
    ("closed", "with a RuntimeClass", {"runtimeClassName": "kata"}, REFUSED),
    ("evil1", "without anything", {}, OK),
    ("evil1", "in the node's user namespace", {"hostUsers": True}, OK),
)
"""(Space, what, fields of the pod, expected)."""


def pods() -> Iterator[Attempt]:
    for where, what, fields, expect in CASES:
        pod = made("pods", {"containers": [{"name": "c", "image": "example.com/x:1"}], **fields})
        yield from create(f"makes a pod {what}", p.OWNER, expect, path("pods", where), pod)
    for who in (p.ADMIN, p.REPLICA_SETS):
        bare = made("pods", {"containers": [{"name": "c", "image": "example.com/x:1"}]})
        yield from create("makes a pod of a tenant's workload", who, REFUSED, path("pods", "boxed"), bare)


ISOLATION_ATTEMPTS = [*pods()]
