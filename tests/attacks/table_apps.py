"""Apps: what tenants may leave behind, by role; and what the roles contain."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import OK, RBAC, Attempt, Obj, create, delete, edit, flat
from tests.attacks.table_spaces import ABANDON, PAUSED, finalizers, notes, spec
from tests.attacks.world import FINALIZER, app, apps

WEB, HELD, DB = f"{apps('evil1')}/web", f"{apps('evil1')}/held", f"{apps('bank')}/db"
TENANTS = (p.TENANT_A, p.KUBE_EDIT, p.KUBE_ADMIN, p.WIDE_TENANT)


def lifecycle() -> Iterator[Attempt]:
    for who in (*TENANTS, p.TENANT_PAUSER):
        yield from create("creates an App", who, OK, apps("evil1"), app("n", "evil1"))
        yield from edit("edits an App", who, OK, WEB, spec(initialReplicas=3))
        yield from edit("sets an annotation", who, OK, WEB, notes(a="b"))
        yield from delete("deletes an App", who, OK, WEB)
        yield from create("creates an App in another Space", who, RBAC, apps("bank"), app("n", "bank"))
        yield from edit("edits an App of another Space", who, RBAC, DB, spec(initialReplicas=0), ways=("merge", "put"))
        yield from delete("deletes an App of another Space", who, RBAC, DB)
    for who in (p.VIEWER, p.STRANGER, p.OPERATOR_A, p.OPERATOR_B, p.MAKER):
        yield from create("creates an App", who, RBAC, apps("evil1"), app("n", "evil1"))
        yield from edit("edits an App", who, RBAC, WEB, spec(initialReplicas=3), ways=("merge", "put"))
        yield Attempt("deletes an App", who, RBAC, "delete", WEB)
    yield from edit("edits any App", p.ADMIN, OK, DB, spec(initialReplicas=3))
    yield from edit("removes foregroundDeletion", p.COLLECTOR, OK, DB, finalizers(), ways=("merge",))
    yield from delete("collects an App", p.COLLECTOR, OK, DB)
    yield Attempt("deletes an App with its namespace", p.NAMESPACE_CONTROLLER, OK, "delete", DB)


def left_behind() -> Iterator[Attempt]:
    removed: Obj = {"metadata": {"finalizers": None}}
    for who in TENANTS:
        for value in ("true", "false"):
            yield from edit(f"pauses with {value!r}", who, "DECCO-0620", WEB, notes(paused=value))
        yield from edit("resumes", who, "DECCO-0620", HELD, notes(paused=None))
        paused = app("n", "evil1", {"annotations": {PAUSED: "true"}})
        yield from create("creates a paused App", who, "DECCO-0620", apps("evil1"), paused)
        yield from edit("leaves records behind", who, "DECCO-0621", WEB, notes(abandon="true"))
        left = app("n", "evil1", {"annotations": {ABANDON: "true"}})
        yield from create("creates an App that leaves records behind", who, "DECCO-0621", apps("evil1"), left)
        yield from edit("removes decco's finalizer", who, "DECCO-0622", HELD, removed)
        yield from edit(
            "replaces decco's finalizer", who, "DECCO-0622", HELD, finalizers("a.example/b"), ways=("merge", "put")
        )
        yield from edit(
            "adds a finalizer of its own", who, OK, HELD, finalizers(FINALIZER, "a.example/b"), ways=("merge", "put")
        )
    full = p.TENANT_PAUSER
    yield from edit("pauses", full, OK, WEB, notes(paused="true"))
    yield from edit("resumes", full, OK, HELD, notes(paused=None))
    yield from edit("leaves records behind", full, OK, WEB, notes(abandon="true"))
    yield from edit("removes decco's finalizer", full, OK, HELD, removed)
    yield from edit("removes decco's finalizer", p.CLEANER, OK, HELD, removed)
    yield from edit("removes decco's finalizer", p.ADMIN, OK, HELD, removed)
    yield from edit("pauses", p.CLEANER, "DECCO-0620", WEB, notes(paused="true"))
    yield from edit("sets its finalizer", p.CONTROLLER, OK, WEB, finalizers(FINALIZER), ways=("merge",))
    yield from edit("removes its finalizer", p.CONTROLLER, OK, HELD, removed, ways=("merge",))


def status() -> Iterator[Attempt]:
    forged: Obj = {"status": {"conditions": [], "endpoints": []}}
    path = f"{WEB}/status"
    for who, expect in (
        (p.WIDE_TENANT, "DECCO-0625"),
        (p.STATUS_WRITER, "DECCO-0625"),
        (p.TENANT_A, RBAC),
        (p.KUBE_EDIT, RBAC),
        (p.KUBE_ADMIN, RBAC),
        (p.OPERATOR_A, RBAC),
        (p.ADMIN, OK),
    ):
        yield from edit("writes the status of an App", who, expect, path, forged, ways=("merge", "put"))
    yield from edit("writes the status of an App", p.CONTROLLER, OK, path, forged, ways=("put",))


APP_ATTEMPTS = flat(lifecycle(), left_behind(), status())
