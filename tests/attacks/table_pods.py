"""Pods, and what pods are made of, with priorities of the cluster's own; and what an App says of its pods."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import OK, RBAC, Attempt, Obj, create, edit, flat
from tests.attacks.standing import NEAR_OTHERS
from tests.attacks.tenants import SPEC, made, one, path
from tests.attacks.world import app, apps

NODE, CLUSTER = "system-node-critical", "system-cluster-critical"
LABELS: Obj = {"metadata": {"labels": {"a": "b"}}}


def bearers(name: str) -> list[tuple[str, Obj]]:
    """Objects of all kinds that pods are made of, with this class."""
    return bearers_of({"priorityClassName": name})


def bearers_of(fields: Obj) -> list[tuple[str, Obj]]:
    """The same, with these fields of a PodSpec."""
    pod = {**SPEC, **fields}
    template: Obj = {**LABELS, "spec": pod}
    pods: Obj = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    job: Obj = {"template": {**LABELS, "spec": {**pod, "restartPolicy": "Never"}}}
    return [
        ("pods", made("pods", pod)),
        ("podtemplates", made("podtemplates", template=template)),
        ("replicationcontrollers", made("replicationcontrollers", {"selector": {"a": "b"}, "template": template})),
        ("deployments.apps", made("deployments.apps", pods)),
        ("daemonsets.apps", made("daemonsets.apps", pods)),
        ("replicasets.apps", made("replicasets.apps", pods)),
        ("statefulsets.apps", made("statefulsets.apps", {**pods, "serviceName": "s"})),
        ("jobs.batch", made("jobs.batch", job)),
        ("cronjobs.batch", made("cronjobs.batch", {"schedule": "0 0 * * *", "jobTemplate": {"spec": job}})),
        ("apps.decco.platform9.com", app("n", "evil1", pod=pod)),
    ]


def priorities() -> Iterator[Attempt]:
    for name in (NODE, CLUSTER):
        for resource, obj in bearers(name):
            yield from one(f"takes {name}", p.OWNER, "DECCO-0674", resource, obj)
            yield from one(f"takes {name} as exempt", p.EXEMPT, OK, resource, obj)
    for resource, obj in bearers(CLUSTER):
        if resource != "podtemplates":  # not in Kubernetes' role edit
            yield from one(f"may take {CLUSTER}", p.BALANCED, OK, resource, obj)
    for resource, obj in bearers(NODE):
        if resource not in {"podtemplates", "apps.decco.platform9.com"}:
            yield from one(f"takes {NODE}", p.KUBE_EDIT, "DECCO-0674", resource, obj)
    yield from one(f"may not take {NODE}", p.BALANCED, "DECCO-0674", *bearers(NODE)[-1])
    web = f"{apps('evil1')}/web"
    for who in (p.TENANT_A, p.KUBE_EDIT):
        yield from create(f"has an App take {NODE}", who, "DECCO-0674", apps("evil1"), bearers(NODE)[-1][1])
        taken: Obj = {"spec": {"pod": {"priorityClassName": NODE}}}
        yield from edit("has a running App take it", who, "DECCO-0674", web, taken, ways=("merge", "put"))
    yield from one(
        "writes what an App may have", p.CONTROLLER, OK, "deployments.apps", dict(bearers(NODE))["deployments.apps"]
    )
    yield from one(
        "makes pods of what was checked", p.DEPLOYMENTS, OK, "replicasets.apps", dict(bearers(NODE))["replicasets.apps"]
    )
    for resource, obj in bearers(""):
        yield from one("takes no class", p.OWNER, OK, resource, obj)
    # Classes of the cluster administrator's own are limited by quotas. There is none of this name.
    for resource, obj in bearers("business-critical"):
        if resource != "pods":
            yield from one("takes another class", p.OWNER, OK, resource, obj)
    own = path("deployments.apps", name="own")
    later: Obj = {"spec": {"template": {"spec": {"priorityClassName": NODE}}}}
    yield from edit("takes it later", p.KUBE_EDIT, "DECCO-0674", own, later, ways=("merge", "put"))
    yield from edit("takes none later", p.KUBE_EDIT, OK, own, {"spec": {"replicas": 0}}, ways=("merge", "put"))


REQUIRED, PREFERRED = (f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred"))
ZONE = "topology.kubernetes.io/zone"
OTHERS: tuple[Obj, ...] = (
    {"namespaceSelector": {}},
    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "good1"}}},
    {"namespaces": ["good1"]},
    {"namespaces": ["evil1", "good1"]},
)
"""Whose pods: those of all namespaces, or of another Space."""


def affinity(kind: str, how: str, whose: Obj) -> Obj:
    term = {"topologyKey": ZONE, "labelSelector": {}, **whose}
    terms = [term] if how == REQUIRED else [{"weight": 100, "podAffinityTerm": term}]
    return {"affinity": {kind: {how: terms}}}


def affinities() -> Iterator[Attempt]:
    """The scheduler keeps new pods away from pods that run and have an anti-affinity to them."""
    everywhere = affinity("podAntiAffinity", REQUIRED, OTHERS[0])
    for resource, obj in bearers_of(everywhere):
        yield from one("keeps everybody off a zone", p.OWNER, "DECCO-0675", resource, obj)
        yield from one("keeps everybody off as exempt", p.EXEMPT, OK, resource, obj)
    for kind in ("podAffinity", "podAntiAffinity"):
        for how in (REQUIRED, PREFERRED):
            for whose in OTHERS:
                resource, obj = bearers_of(affinity(kind, how, whose))[0]
                yield from one(f"has a {how[:9]} {kind} to {whose}", p.OWNER, "DECCO-0675", resource, obj)
            for own in ({}, {"namespaces": ["evil1"]}, {"namespaces": []}):
                resource, obj = bearers_of(affinity(kind, how, own))[0]
                yield from one(f"has a {how[:9]} {kind} to its own by {own}", p.OWNER, OK, resource, obj)
    nodes: Obj = {"affinity": {"nodeAffinity": {PREFERRED: []}}}
    for resource, obj in bearers_of(nodes):
        yield from one("chooses nodes", p.OWNER, OK, resource, obj)
    web = f"{apps('evil1')}/web"
    for who in (p.TENANT_A, p.KUBE_EDIT):
        yield from create("has an App do it", who, "DECCO-0675", apps("evil1"), bearers_of(everywhere)[-1][1])
        later: Obj = {"spec": {"pod": everywhere}}
        yield from edit("has a running App do it", who, "DECCO-0675", web, later, ways=("merge", "put"))
    yield from one("writes what an App may have", p.CONTROLLER, OK, *bearers_of(everywhere)[3])
    yield from one("makes pods of what was checked", p.DEPLOYMENTS, OK, *bearers_of(everywhere)[5])
    zones: Obj = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    for resource, obj in bearers_of({"topologySpreadConstraints": [zones]}):
        yield from one("spreads its own pods", p.OWNER, OK, resource, obj)
    before = path("deployments.apps", name="near")
    terms = NEAR_OTHERS["affinity"]["podAffinity"][REQUIRED]
    more = [*terms, *affinity("podAffinity", REQUIRED, OTHERS[0])["affinity"]["podAffinity"][REQUIRED]]
    for what, expect, changed in (("more", "DECCO-0675", more), ("the same", OK, terms), ("none", OK, [])):
        spec: Obj = {"affinity": {"podAffinity": {REQUIRED: changed}}}
        body: Obj = {"spec": {"replicas": 0, "template": {"spec": spec}}}
        yield from edit(f"has {what} than before", p.KUBE_EDIT, expect, before, body, ways=("merge", "put"))


def scales() -> Iterator[Attempt]:
    """The subresource has no way to the rest of the App."""
    web = f"{apps('evil1')}/web/scale"
    for who, expect in (
        (p.TENANT_A, OK),
        (p.WIDE_TENANT, OK),
        (p.KUBE_EDIT, OK),
        (p.KUBE_ADMIN, OK),
        (p.VIEWER, RBAC),
        (p.TENANT_B, RBAC),
        (p.OPERATOR_A, RBAC),
    ):
        yield Attempt("scales an App", who, expect, "merge", web, {"spec": {"replicas": 3}})


POD_ATTEMPTS = flat(priorities(), affinities(), scales())
