"""Pods, and what pods are made of, with priorities of the cluster's own; and what an App says of its pods."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import OK, RBAC, Attempt, Obj, create, edit, flat
from tests.attacks.tenants import SPEC, made, one, path
from tests.attacks.world import app, apps

NODE, CLUSTER = "system-node-critical", "system-cluster-critical"
LABELS: Obj = {"metadata": {"labels": {"a": "b"}}}


def bearers(name: str) -> list[tuple[str, Obj]]:
    """Objects of all kinds that pods are made of, with this class."""
    pod = {**SPEC, "priorityClassName": name}
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


def scales() -> Iterator[Attempt]:
    """The subresource has no way to the rest of the App."""
    web = f"{apps('evil1')}/web/scale"
    for who, expect in (
        (p.TENANT_A, OK),
        (p.WIDE_TENANT, OK),
        (p.VIEWER, RBAC),
        (p.TENANT_B, RBAC),
        (p.OPERATOR_A, RBAC),
    ):
        yield Attempt("scales an App", who, expect, "merge", web, {"spec": {"replicas": 3}})


POD_ATTEMPTS = flat(priorities(), scales())
