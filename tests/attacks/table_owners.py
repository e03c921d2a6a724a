"""What makes the deletion of a Space wait: its UID in an owner reference. Its ownership record in the zone has it.

The garbage collector joins objects by the UID alone, so the other parts of the reference may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import OK, Attempt, Obj, create, edit, flat
from tests.attacks.standing import UID_OF
from tests.attacks.tenants import SERVICE, SERVICES, UID, made, one, path

FORMS = (("v1", "ConfigMap"), ("Decco.platform9.com/v1", "Space"), ("example.com/v1", "Anything"))
CODE = "DECCO-0676"


def owned(space: str, api: str = "v1", kind: str = "ConfigMap", **more: bool) -> Obj:
    return {"ownerReferences": [{"apiVersion": api, "kind": kind, "name": "x", "uid": f"{UID_OF}{space}", **more}]}


def owners() -> Iterator[Attempt]:
    blocks = {"blockOwnerDeletion": True}
    for space in ("bank", "evil1"):
        for api, kind in FORMS:
            for resource in ("configmaps", "secrets"):
                for who in (p.TENANT_A, p.KUBE_EDIT):
                    held = made(resource, meta=owned(space, api, kind, **blocks))
                    yield from create(f"holds {space} by {kind}", who, CODE, path(resource), held)
    stored = path(SERVICES, name="own")
    later: Obj = {"metadata": owned("bank", **blocks)}
    yield from edit("holds bank later", p.KUBE_EDIT, CODE, stored, later, ways=("merge",))
    # References without that field delete nothing but the object itself, and only its author's.
    for more in ({}, {"blockOwnerDeletion": False}):
        free = made(SERVICES, SERVICE, meta=owned("bank", **more))
        yield from one("does not hold bank", p.KUBE_EDIT, OK, SERVICES, free)
    other = {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": UID, **blocks}]}
    for who in (p.KUBE_EDIT, p.OWNER, p.CERT_MANAGER):
        yield from one("holds an object of its own", who, OK, "configmaps", made("configmaps", meta=other))
    for who in (p.EXEMPT, p.CONTROLLER, p.ADMIN):
        held = made("configmaps", meta=owned("evil1", **blocks))
        yield from one("holds its Space", who, OK, "configmaps", held)
    labelled = {"metadata": {"labels": {"a": "b"}}}
    standing = path("persistentvolumeclaims", name="held")
    yield from edit("labels what holds its Space already", p.KUBE_EDIT, OK, standing, labelled, ways=("merge", "put"))
    taken: Obj = {"metadata": owned("bank", **blocks)}
    yield from edit("adopts", p.COLLECTOR, OK, stored, taken, ways=("merge",))


OWNER_ATTEMPTS = flat(owners())
