"""Forgery of decco's children, and what tenants do with the real ones."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import OK, Attempt, Obj, create, delete, edit, flat, merged
from tests.attacks.standing import CHILD_LABELS, ISSUED, owner
from tests.attacks.tenants import (
    BELOW,
    GATEWAY,
    INGRESSES,
    OWN,
    POLICIES,
    SERVICE,
    SERVICES,
    SPEC,
    UID,
    certificate,
    gateway,
    ingress,
    made,
    one,
    path,
    template,
)
from tests.attacks.world import app, apps

STANDING: tuple[str, ...] = (
    "services",
    "configmaps",
    "secrets",
    "networkpolicies.networking.k8s.io",
    "ingresses.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
    "deployments.apps",
    "statefulsets.apps",
    "jobs.batch",
    "pods",
)
"""Children named web in evil1, see ``World``."""
WORKLOADS = frozenset({"deployments.apps", "statefulsets.apps", "jobs.batch", "pods"})
CHANGES: dict[str, Obj] = {
    "services": {"spec": {"selector": {"a": "b"}}},
    "configmaps": {"data": {"stunnel.conf": "x"}},
    "secrets": {"data": {"a": "Yg=="}},
    "networkpolicies.networking.k8s.io": {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}},
    "ingresses.networking.k8s.io": {"spec": {"ingressClassName": "other"}},
    "httproutes.gateway.networking.k8s.io": {"spec": {"hostnames": [BELOW]}},
    "deployments.apps": {"spec": {"minReadySeconds": 5}},
    "statefulsets.apps": {"spec": {"minReadySeconds": 5}},
    "jobs.batch": {"spec": {"parallelism": 2}},
    "pods": {"spec": {"activeDeadlineSeconds": 5}},
}
SPACE_OWNER = {k: v for k, v in owner("evil1", UID).items() if k != "blockOwnerDeletion"}
MARKS: tuple[tuple[str, Obj], ...] = (
    ("decco's labels", {"labels": CHILD_LABELS}),
    ("the label managed-by", {"labels": {"app.kubernetes.io/managed-by": "decco"}}),
    ("an App's label", {"labels": {"decco.platform9.com/app": "web"}}),
    ("an unknown label", {"labels": {"decco.platform9.com/any": "x"}}),
    ("an annotation", {"annotations": {"decco.platform9.com/hash": "x"}}),
    ("a Space as owner", {"ownerReferences": [SPACE_OWNER]}),
    ("an App as owner", {"ownerReferences": [{**SPACE_OWNER, "kind": "App", "name": "web"}]}),
    ("an owner of an old version", {"ownerReferences": [{**SPACE_OWNER, "apiVersion": "decco.platform9.com/v1"}]}),
)


def forged() -> Iterator[Attempt]:
    for what, meta in MARKS:
        for resource, obj in (
            ("configmaps", made("configmaps", meta=meta)),
            ("secrets", made("secrets", meta=meta)),
        ):
            yield from create(f"makes one with {what}: {resource}", p.TENANT_A, "DECCO-0650", path(resource), obj)
        for resource, obj in (
            (SERVICES, made(SERVICES, SERVICE, meta=meta)),
            (INGRESSES, merged(ingress(OWN), {"metadata": meta})),
            (POLICIES, made(POLICIES, {"podSelector": {}}, meta=meta)),
            ("pods", made("pods", SPEC, meta=meta)),
            ("dnsendpoints.externaldns.k8s.io", made("dnsendpoints.externaldns.k8s.io", {}, meta=meta)),
        ):
            yield from one(f"makes one with {what}", p.OWNER, "DECCO-0650", resource, obj)
        yield from edit(
            f"gives its own {what}", p.KUBE_EDIT, "DECCO-0650", path(SERVICES, name="own"), {"metadata": meta}
        )
        yield from one(f"makes one with {what} as exempt", p.EXEMPT, OK, SERVICES, made(SERVICES, SERVICE, meta=meta))
    for kind, name, expect in (
        ("secrets", "decco-ca-0123456789abcdef", "DECCO-0650"),
        ("secrets", "b-decco-ca-0123456789abcdef", "DECCO-0650"),
        ("secrets", "decco-ca-0123456789", OK),
        ("secrets", "decco-issued-other", "DECCO-0650"),
        ("secrets", "my-decco-issued-http", OK),
        (INGRESSES, "web.0123456789abcdef", "DECCO-0650"),
        (INGRESSES, "b-web.redirect.0123456789abcdef", "DECCO-0650"),
        (INGRESSES, "web.0123456789abcdef.example", OK),
    ):
        obj = made(kind, name=name) if kind == "secrets" else merged(ingress(OWN), {"metadata": {"name": name}})
        yield from create(f"makes one named {name}", p.KUBE_EDIT, expect, path(kind), obj)
        yield from one(f"makes one named {name} as exempt", p.EXEMPT, OK, kind, obj)
    honest: tuple[Obj, ...] = (
        {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
        {"labels": {"a": "decco"}},
        {"finalizers": ["a.example/b"]},
    )
    for meta in honest:
        yield from create(f"makes one with {meta}", p.KUBE_EDIT, OK, path(SERVICES), made(SERVICES, SERVICE, meta=meta))
    yield from create("labels its App", p.TENANT_A, OK, apps("evil1"), app("n", "evil1", {"labels": {"team": "a"}}))
    labels = {"decco.platform9.com/app": "web"}
    pods: Obj = {"selector": {"matchLabels": {"a": "b"}}, "template": template(labels=labels)}
    job: Obj = {"template": {**template(labels=labels), "spec": {**SPEC, "restartPolicy": "Never"}}}
    cron: Obj = {
        "schedule": "0 0 * * *",
        "jobTemplate": {
            "metadata": {"labels": CHILD_LABELS},
            "spec": {"template": {**template(), "spec": job["template"]["spec"]}},
        },
    }
    for resource, spec in (
        ("deployments.apps", pods),
        ("statefulsets.apps", {**pods, "serviceName": "s"}),
        ("daemonsets.apps", pods),
        ("jobs.batch", job),
        ("cronjobs.batch", cron),
        ("cronjobs.batch", {**cron, "jobTemplate": {"spec": job}}),
        ("replicationcontrollers", {"selector": {"a": "b"}, "template": template(labels=labels)}),
    ):
        # The API server copies labels of a template to a Job and a ReplicationController without labels of their own.
        code = "DECCO-0650|DECCO-0654" if resource in {"jobs.batch", "replicationcontrollers"} else "DECCO-0654"
        yield from one("lets pods have decco's label", p.KUBE_EDIT, code, resource, made(resource, spec))
        yield from one("lets pods have decco's label as exempt", p.EXEMPT, OK, resource, made(resource, spec))
    labelled = gateway(OWN, infrastructure={"labels": CHILD_LABELS})
    yield from one("lets its proxy have decco's labels", p.OWNER, "DECCO-0654", GATEWAY, labelled)
    yield from one(
        "deploys", p.KUBE_EDIT, OK, "deployments.apps", made("deployments.apps", {**pods, "template": template()})
    )
    yield from edit(
        "lets its pods have decco's label",
        p.KUBE_EDIT,
        "DECCO-0654",
        path("deployments.apps", name="own"),
        {"spec": {"template": {"metadata": {"labels": labels}}}},
    )
    claim: Obj = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    for found, expect in ((labels, "DECCO-0654"), ({"team": "a"}, OK)):
        claims = [{"metadata": {"name": "d", "labels": found}, "spec": claim}]
        keeps = {**pods, "template": template(), "serviceName": "s", "volumeClaimTemplates": claims}
        yield from one(
            f"claims with {found}", p.KUBE_EDIT, expect, "statefulsets.apps", made("statefulsets.apps", keeps)
        )
    yield from by_cert_manager()
    copied = made("replicasets.apps", pods, meta={"labels": CHILD_LABELS})
    yield from one("copies the labels of a Deployment", p.DEPLOYMENTS, OK, "replicasets.apps", copied)


def by_cert_manager() -> Iterator[Attempt]:
    """Secrets that cert-manager writes, with more rights than the author of the Certificate."""
    resource = "certificates.cert-manager.io"
    for secret, expect in (
        ("decco-issued-http", "DECCO-0654"),
        ("decco-issued-tcp", "DECCO-0654"),
        ("decco-issued-http-0123456789abcdef", "DECCO-0654"),
        ("decco-ca-0123456789abcdef", "DECCO-0654"),
        ("b-decco-ca-0123456789abcdef", "DECCO-0654"),
        ("mine", OK),
    ):
        for issuer in ("ClusterIssuer", "Issuer"):
            named = certificate(issuer, secret, dnsNames=[OWN])
            yield from one(f"has {secret} written by {issuer}", p.OWNER, expect, resource, named)
            yield from one(f"has {secret} written by {issuer} as exempt", p.EXEMPT, OK, resource, named)
    for part, found, expect in (
        ("labels", CHILD_LABELS, "DECCO-0654"),
        ("labels", {"decco.platform9.com/share": "true"}, "DECCO-0654"),
        ("annotations", {"decco.platform9.com/share-with": "*"}, "DECCO-0654"),
        ("labels", {"app.kubernetes.io/managed-by": "Helm"}, OK),
        ("annotations", {"team": "a"}, OK),
    ):
        marked = certificate(dnsNames=[OWN], secretTemplate={part: found})
        yield from one(f"has {part} {next(iter(found))} written", p.OWNER, expect, resource, marked)
    for who in (p.TENANT_A, p.KUBE_EDIT):
        generated: Obj = {"metadata": {"generateName": "decco-issued-"}}
        yield Attempt("has a name generated", who, "DECCO-0650", "create", path("secrets"), generated)
    yield from edit("overwrites a copy", p.CERT_MANAGER, "DECCO-0651", path("secrets", name="web"), CHANGES["secrets"])


def children() -> Iterator[Attempt]:
    for resource in STANDING:
        child = path(resource, name="web")
        changes: tuple[tuple[str, Obj], ...] = (
            ("changes", CHANGES[resource]),
            ("holds", {"metadata": {"finalizers": ["attacker.example/hold"]}}),
            ("hides", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
            ("gives away", {"metadata": {"labels": {"decco.platform9.com/space": "bank"}}}),
            ("releases", {"metadata": {"ownerReferences": None}}),
        )
        for what, patch in changes:
            code = {"changes": "DECCO-0651", "holds": "DECCO-0652"}.get(what, "DECCO-0650")
            codes = "DECCO-0650|DECCO-0651" if code == "DECCO-0650" else code
            yield from edit(f"{what} a child: {resource}", p.OWNER, codes, child, patch, ways=("merge", "put"))
        deletable = resource in {"pods", "jobs.batch"}
        yield from delete(f"deletes a child: {resource}", p.OWNER, OK if deletable else "DECCO-0653", child)
        noted = {"metadata": {"annotations": {"team": "a"}, "labels": {"team": "a"}}}
        expect = OK if resource in WORKLOADS else "DECCO-0651"
        yield from edit(f"annotates a child: {resource}", p.OWNER, expect, child, noted)
        yield from edit(
            f"changes a child as exempt: {resource}", p.EXEMPT, OK, child, CHANGES[resource], ways=("merge",)
        )
        yield from edit(f"applies nothing new: {resource}", p.OWNER, OK, child, {"metadata": {}}, ways=("merge", "put"))
        collected = {"metadata": {"ownerReferences": None}}
        yield from edit(f"collects a child: {resource}", p.COLLECTOR, OK, child, collected, ways=("merge",))
        yield from delete(f"deletes with the namespace: {resource}", p.NAMESPACE_CONTROLLER, OK, child)
    for resource, code in ((SERVICES, "DECCO-0653"), ("secrets", "DECCO-0653"), ("pods", OK), ("jobs.batch", OK)):
        yield Attempt(f"deletes all {resource}", p.OWNER, code, "delete", path(resource))
    for who in (p.TENANT_A, p.KUBE_EDIT):
        yield from edit("changes a copied Secret", who, "DECCO-0651", path("secrets", name="web"), CHANGES["secrets"])
        yield Attempt("deletes a copied Secret", who, "DECCO-0653", "delete", path("secrets", name="web"))
        yield Attempt("deletes a pod", who, OK, "delete", path("pods", name="web"))
        scaled = {"spec": {"replicas": 3}}
        yield Attempt("scales", who, OK, "merge", f"{path('deployments.apps', name='web')}/scale", scaled)
    of_secrets: tuple[tuple[str, Obj], ...] = (
        ("freezes", {"immutable": True}),
        ("empties", {"data": None}),
        ("adds to", {"stringData": {"c": "d"}}),
    )
    for what, patch in of_secrets:
        where = path("secrets", name="web")
        yield from edit(f"{what} a copied Secret", p.TENANT_A, "DECCO-0651", where, patch, ways=("merge",))
    issued = path("secrets", name=ISSUED)
    for who, changed, deleted in ((p.TENANT_A, "DECCO-0651", "DECCO-0653"), (p.CERT_MANAGER, OK, OK)):
        yield from edit("changes an issued Secret", who, changed, issued, CHANGES["secrets"])
        yield from delete("deletes an issued Secret", who, deleted, issued)
    made_by = made("secrets", name="decco-issued-tcp")
    yield from create("writes what it has issued", p.CERT_MANAGER, OK, path("secrets"), made_by)
    copied = made("orders.acme.cert-manager.io", {"dnsNames": [OWN]}, meta={"labels": CHILD_LABELS})
    yield from one("orders for decco's Certificate", p.CERT_MANAGER, OK, "orders.acme.cert-manager.io", copied)
    web = path("deployments.apps", name="web")
    yield from edit("sets replicas", p.KUBE_EDIT, OK, web, {"spec": {"replicas": 2}})
    restarted = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    yield from edit(
        "restarts",
        p.KUBE_EDIT,
        OK,
        web,
        {"spec": {"template": {"metadata": {"annotations": restarted}}}},
        ways=("merge", "put"),
    )
    of_pods: tuple[tuple[str, Obj], ...] = (
        ("annotates its pods", {"metadata": {"annotations": {"team": "a"}}}),
        ("labels its pods", {"metadata": {"labels": {"team": "a"}}}),
        ("changes its pods", {"spec": {"hostname": "x"}}),
    )
    for what, patch in of_pods:
        yield from edit(
            what, p.KUBE_EDIT, "DECCO-0651|DECCO-0654", web, {"spec": {"template": patch}}, ways=("merge", "put")
        )
    yield from edit("pauses the rollout", p.KUBE_EDIT, "DECCO-0651", web, {"spec": {"paused": True}})
    yield from edit(
        "suspends", p.KUBE_EDIT, OK, path("jobs.batch", name="web"), {"spec": {"suspend": False}}, ways=("merge", "put")
    )
    status = {"status": {"observedGeneration": 1}}
    yield from edit("writes the status of a child", p.OWNER, OK, f"{web}/status", status, ways=("merge",))
    marked: Obj = {"metadata": {"labels": {"decco.platform9.com/space": "bank"}}}
    there = f"{path(SERVICES, name='web')}/status"
    yield from edit(
        "moves a child by its status", p.OWNER, "DECCO-0650|DECCO-0651", there, marked, ways=("merge", "put")
    )
    revision = {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}}}
    yield from edit("numbers the revision", p.DEPLOYMENTS, OK, web, revision, ways=("put",))


CHILD_ATTEMPTS = flat(forged(), children())
