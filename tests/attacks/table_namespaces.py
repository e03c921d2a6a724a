"""Namespaces: labels, annotations, owner references, finalizers and deletion, by whoever may write namespaces."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import NAMESPACES, OK, RBAC, Attempt, Change, Obj, create, delete, edit, flat, merged
from tests.attacks.standing import API

BANK, EVIL1, FREE, LABELLED = (f"{NAMESPACES}/{name}" for name in ("bank", "evil1", "free", "labelled"))
PREFIX = "decco.platform9.com/"
SPACE_OWNER: Obj = {
    "apiVersion": API,
    "kind": "Space",
    "name": "bank",
    "uid": "11111111-2222-3333-4444-555555555555",
    "controller": True,
}
OTHER_OWNER: Obj = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "11111111-2222-3333-4444-555555555556"}


def label(key: str, value: str | None) -> Obj:
    return {"metadata": {"labels": {key: value}}}


def annotation(key: str, value: str | None) -> Obj:
    return {"metadata": {"annotations": {key: value}}}


def owners(*references: Obj) -> Obj:
    return {"metadata": {"ownerReferences": list(references)}}


OLD_GRANT = ".bank.victim.test@2020-01-01T00:00:00Z/1"
RESTORED: Obj = {
    "metadata": {
        "labels": {"app.kubernetes.io/managed-by": "decco", f"{PREFIX}space": "new"},
        "annotations": {
            f"{PREFIX}fqdn": "new.victim.test",
            f"{PREFIX}hostnames": OLD_GRANT,
            f"{PREFIX}restored": "2030-01-01T00:00:00Z",
        },
    }
}


def new(*patches: Obj) -> Obj:
    made: Obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}
    for patch in patches:
        made = merged(made, patch)
    return made


OF_ANY: tuple[tuple[str, Obj, str], ...] = (
    ("joins a project", label(f"{PREFIX}project", "bank"), "DECCO-0630"),
    ("claims to be a Space's", label(f"{PREFIX}space", "bank"), "DECCO-0630"),
    ("claims to be monitoring", label(f"{PREFIX}monitoring", "true"), "DECCO-0630"),
    ("sets an unknown label of decco's", label(f"{PREFIX}x", ""), "DECCO-0630"),
    ("enters the cache", label("app.kubernetes.io/managed-by", "decco"), "DECCO-0630"),
    ("claims an FQDN", annotation(f"{PREFIX}fqdn", "bank.victim.test"), "DECCO-0631"),
    ("grants itself host names", annotation(f"{PREFIX}hostnames", "[]"), "DECCO-0631"),
    ("forges the hash", annotation(f"{PREFIX}hash", "x"), "DECCO-0631"),
    ("claims to have been restored", annotation(f"{PREFIX}restored", "2030-01-01T00:00:00Z"), "DECCO-0631"),
    ("looks like the restored namespace of a Space", RESTORED, "DECCO-0630"),
    ("forges the owner reference", owners(SPACE_OWNER), "DECCO-0632"),
    (
        "forges the owner reference in another version",
        owners({**SPACE_OWNER, "apiVersion": f"{PREFIX}v1"}),
        "DECCO-0632",
    ),
)
"""What nobody does to any namespace, also at creation."""
OF_SPACES: tuple[tuple[str, Obj | Change, str], ...] = (
    ("leaves the project", label(f"{PREFIX}project", None), "DECCO-0630"),
    ("changes the project", label(f"{PREFIX}project", "widgets"), "DECCO-0630"),
    ("removes the Space's label", label(f"{PREFIX}space", None), "DECCO-0630"),
    ("removes all labels", {"metadata": {"labels": None}}, "DECCO-0630"),
    ("leaves the cache", label("app.kubernetes.io/managed-by", None), "DECCO-0630"),
    ("renames the manager", label("app.kubernetes.io/managed-by", "Helm"), "DECCO-0630"),
    ("lowers Pod Security", label("pod-security.kubernetes.io/enforce", "privileged"), "DECCO-0630"),
    ("removes Pod Security", label("pod-security.kubernetes.io/enforce", None), "DECCO-0630"),
    ("pins an old Pod Security", label("pod-security.kubernetes.io/enforce-version", "v1.20"), "DECCO-0630"),
    ("joins the mesh", label("istio.io/dataplane-mode", "ambient"), "DECCO-0630"),
    ("leads it through a waypoint", label("istio.io/use-waypoint", "evil"), "DECCO-0630"),
    ("leads it through another's waypoint", label("istio.io/use-waypoint-namespace", "evil1"), "DECCO-0630"),
    ("injects a proxy", label("istio-injection", "enabled"), "DECCO-0630"),
    ("injects another proxy", label("istio.io/rev", "evil"), "DECCO-0630"),
    ("gives it another network", label("topology.istio.io/network", "evil"), "DECCO-0630"),
    ("injects Linkerd", annotation("linkerd.io/inject", "enabled"), "DECCO-0631"),
    ("configures Linkerd", annotation("config.linkerd.io/skip-inbound-ports", "1-65535"), "DECCO-0631"),
    ("moves its pods to a node", annotation("scheduler.alpha.kubernetes.io/node-selector", "a=b"), "DECCO-0631"),
    ("lets its pods tolerate", annotation("scheduler.alpha.kubernetes.io/defaultTolerations", "[]"), "DECCO-0631"),
    ("claims to be in the mesh", annotation(f"{PREFIX}mesh", "Istio/Strict@2026-11-30T12:00:00Z"), "DECCO-0631"),
    ("removes the FQDN", annotation(f"{PREFIX}fqdn", None), "DECCO-0631"),
    ("changes the FQDN", annotation(f"{PREFIX}fqdn", "x.evil.test"), "DECCO-0631"),
    ("claims to have been restored", annotation(f"{PREFIX}restored", "2030-01-01T00:00:00Z"), "DECCO-0631"),
    ("records an old grant of another's name", annotation(f"{PREFIX}hostnames", OLD_GRANT), "DECCO-0631"),
    ("removes the owner", {"metadata": {"ownerReferences": None}}, "DECCO-0632"),
    (
        "adds an owner",
        lambda live: merged(live, owners(*live["metadata"]["ownerReferences"], OTHER_OWNER)),
        "DECCO-0632",
    ),
    ("changes the owner", owners({**SPACE_OWNER, "name": "evil1", "controller": False}), "DECCO-0632"),
    ("holds the deletion", {"metadata": {"finalizers": ["attacker.example/hold"]}}, "DECCO-0633"),
)
HONEST: tuple[tuple[str, Obj], ...] = (
    ("sets a label of its own", label("team", "a")),
    ("sets an annotation of its own", annotation("team", "a")),
    ("sets Pod Security's warnings", label("pod-security.kubernetes.io/warn", "restricted")),
    ("sets a label that looks alike", label("xdecco.platform9.com/space", "bank")),
)


def anywhere() -> Iterator[Attempt]:
    for what, patch, code in OF_ANY:
        yield from edit(what, p.MAKER, code, FREE, patch)
        yield from create(f"creates a namespace: {what}", p.MAKER, code, NAMESPACES, new(patch))
        for subresource in ("status", "finalize"):
            yield Attempt(f"{what}, by {subresource}", p.MAKER, code, "put", f"{FREE}/{subresource}", _put(patch))
        yield from edit(f"{what}, by status", p.MAKER, code, f"{FREE}/status", patch, ways=("merge",))
    for what, patch in HONEST:
        yield from edit(what, p.MAKER, OK, FREE, patch)
        yield from create(f"creates a namespace: {what}", p.MAKER, OK, NAMESPACES, new(patch))
    yield from edit("sets another manager", p.MAKER, OK, FREE, label("app.kubernetes.io/managed-by", "Helm"))
    yield from edit("sets Pod Security", p.MAKER, OK, FREE, label("pod-security.kubernetes.io/enforce", "privileged"))
    for key in ("istio-injection", "istio.io/use-waypoint"):
        yield from edit(f"sets {key}", p.MAKER, OK, FREE, label(key, "enabled"))
    yield from edit("injects Linkerd", p.MAKER, OK, FREE, annotation("linkerd.io/inject", "enabled"))
    yield from edit("sets an owner", p.MAKER, OK, FREE, owners(OTHER_OWNER))
    yield from edit("sets a finalizer", p.MAKER, OK, FREE, {"metadata": {"finalizers": ["a.example/b"]}})
    yield from delete("deletes", p.MAKER, OK, FREE)
    yield from delete("deletes a namespace for monitoring", p.MAKER, OK, LABELLED)
    generated: Obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "new-"}}
    yield Attempt("creates a namespace by generateName", p.MAKER, OK, "create", NAMESPACES, generated)
    forged = merged(generated, label(f"{PREFIX}space", "bank"))
    yield Attempt("creates a forged one by generateName", p.MAKER, "DECCO-0630", "create", NAMESPACES, forged)
    yield from edit("stops monitoring", p.MAKER, "DECCO-0630", LABELLED, label(f"{PREFIX}monitoring", None))
    yield from edit("stops monitoring", p.LABELLER, OK, LABELLED, label(f"{PREFIX}monitoring", None))
    yield from edit("labels another", p.LABELLER, "DECCO-0630", FREE, label(f"{PREFIX}monitoring", "true"))


def of_spaces() -> Iterator[Attempt]:
    for what, patch, code in OF_SPACES:
        if callable(patch):
            yield Attempt(what, p.MAKER, code, "put", BANK, patch)
            yield Attempt(what, p.LABELLER, OK, "put", BANK, patch)
            continue
        yield from edit(what, p.MAKER, code, BANK, patch)
        yield from edit(what, p.LABELLER, OK, BANK, patch, ways=("merge",))
        for subresource in ("status", "finalize"):
            yield Attempt(f"{what}, by {subresource}", p.MAKER, code, "put", f"{BANK}/{subresource}", _put(patch))
    for what, patch in HONEST:
        yield from edit(what, p.MAKER, OK, BANK, patch)
    yield from delete("deletes the namespace of a Space", p.MAKER, "DECCO-0634", BANK)
    yield from delete("deletes the namespace of a Space", p.LABELLER, OK, BANK)
    yield from delete("deletes the namespace of a Space", p.LABELLER, "DECCO-0634", EVIL1)
    yield from delete("deletes the namespace of a Space", p.ADMIN, OK, BANK)
    for who in (p.TENANT_A, p.KUBE_EDIT, p.KUBE_ADMIN, p.OPERATOR_A, p.STRANGER):
        yield from edit("labels the namespace", who, RBAC, EVIL1, label(f"{PREFIX}project", "bank"), ways=("merge",))
        yield Attempt("deletes the namespace", who, RBAC, "delete", EVIL1)
    orphaned: Obj = {"metadata": {"ownerReferences": None}}
    yield from edit("releases the namespace of an orphaned Space", p.COLLECTOR, OK, BANK, orphaned, ways=("merge",))
    yield from delete("collects the namespace of a deleted Space", p.COLLECTOR, OK, BANK)
    yield Attempt(
        "finalizes the namespace",
        p.NAMESPACE_CONTROLLER,
        OK,
        "put",
        f"{BANK}/finalize",
        _put({"spec": {"finalizers": []}}),
    )


def _put(patch: Obj) -> Change:
    return lambda live: merged(live, patch)


NAMESPACE_ATTEMPTS = flat(anywhere(), of_spaces())
