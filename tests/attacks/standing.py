"""Objects that stand in the namespaces of Spaces before the attacks: children of an App, and a tenant's own."""

from __future__ import annotations

from tests.attacks.attempts import Obj

API = "decco.platform9.com/v1beta2"
CLAIM: Obj = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
UID_OF = "the UID of "
"""In the body of a row, before the name of a Space, for its UID."""


def owner(name: str, uid: str) -> Obj:
    return {
        "apiVersion": API,
        "kind": "Space",
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


LOST = {"external-dns.alpha.kubernetes.io/hostname": "bank.victim.test"}
"""An annotation from before the policies, or from before the Space lost the name."""
SECRETS_ROLE = "decco-controller-secrets"


def secrets_binding() -> Obj:
    """As decco makes it in a Space's namespace."""
    account = {"kind": "ServiceAccount", "name": "decco-controller", "namespace": "decco"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SECRETS_ROLE}
    return {"metadata": {"name": SECRETS_ROLE}, "roleRef": role, "subjects": [account]}


GRANTS: dict[str, dict[str, str]] = {
    "granted": {
        "decco.platform9.com/hostnames": (
            ".granted.evil.test@2026-01-01T00:00:00Z/1,*.wild.evil.test@2026-01-01T00:00:00Z/2, "
            "Single.evil.test@2026-01-01T00:00:00Z/2"
        ),
        "decco.platform9.com/egress-policy": "Declared",
    },
    "lost": {"decco.platform9.com/hostnames": ""},
}
"""Annotations of namespaces, as decco records grants there."""
LEVEL, SANDBOXES = "decco.platform9.com/isolation", "decco.platform9.com/sandboxes"
ISOLATED: dict[str, Obj] = {
    "mapped": {"labels": {LEVEL: "UserNamespace"}, "annotations": {SANDBOXES: "kata,gvisor"}},
    "boxed": {"labels": {LEVEL: "Sandboxed"}, "annotations": {SANDBOXES: "kata,gvisor"}},
    "unknown": {"labels": {LEVEL: "Later"}, "annotations": {SANDBOXES: "kata"}},
    "closed": {"labels": {LEVEL: "Sandboxed"}},
}
"""Spaces whose pods have to be isolated, with the metadata of their namespaces; closed is without sandboxes in the
settings."""
RUNTIME_CLASSES = ("kata", "gvisor", "runc")
CHILD_LABELS = {
    "app.kubernetes.io/managed-by": "decco",
    "decco.platform9.com/space": "evil1",
    "decco.platform9.com/app": "web",
}


ISSUED = "decco-issued-http"
"""A Secret that cert-manager has written for a Certificate of decco; it has none of decco's labels."""


def children(uid: str) -> list[tuple[str, Obj]]:
    """Children of the App web of evil1 by the path of their collection, one of each form, without running pods."""
    meta: Obj = {
        "name": "web",
        "labels": CHILD_LABELS,
        "ownerReferences": [{**owner("web", uid), "kind": "App"}],
    }
    pod: Obj = {"containers": [{"name": "c", "image": "example.com/x:1"}]}
    template: Obj = {"metadata": {"labels": CHILD_LABELS}, "spec": pod}
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    route: Obj = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    bodies: tuple[tuple[str, Obj], ...] = (
        ("/api/v1", {"kind": "services", "spec": {"ports": [{"port": 80}], "selector": CHILD_LABELS}}),
        ("/api/v1", {"kind": "configmaps", "data": {"a": "b"}}),
        ("/api/v1", {"kind": "secrets", "data": {"a": "YQ=="}}),
        ("/apis/networking.k8s.io/v1", {"kind": "networkpolicies", "spec": {"podSelector": {}}}),
        (
            "/apis/networking.k8s.io/v1",
            {"kind": "ingresses", "spec": {"rules": [{"host": "evil1.evil.test", "http": {"paths": paths}}]}},
        ),
        (
            "/apis/gateway.networking.k8s.io/v1",
            {"kind": "httproutes", "spec": {"hostnames": ["evil1.evil.test"], "parentRefs": [{"name": "decco"}]}},
        ),
        (
            "/apis/apps/v1",
            {
                "kind": "deployments",
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"decco.platform9.com/app": "web"}},
                    "template": template,
                },
            },
        ),
        (
            "/apis/apps/v1",
            {
                "kind": "statefulsets",
                "spec": {
                    "replicas": 0,
                    "serviceName": "web-pods",
                    "selector": {"matchLabels": {"decco.platform9.com/app": "web"}},
                    "template": template,
                },
            },
        ),
        (
            "/apis/batch/v1",
            {
                "kind": "jobs",
                "spec": {"suspend": True, "template": {**template, "spec": {**pod, "restartPolicy": "Never"}}},
            },
        ),
        ("/api/v1", {"kind": "pods", "spec": pod}),
    )
    issued = {"metadata": {"name": ISSUED}, "data": {"a": "YQ=="}}
    made: list[tuple[str, Obj]] = [("/api/v1/namespaces/evil1/secrets", issued)]
    for api, body in bodies:
        plural = body["kind"]
        obj: Obj = {**{key: value for key, value in body.items() if key != "kind"}, "metadata": meta}
        made.append((f"{api}/namespaces/evil1/{plural}", {**route, **obj} if plural == "httproutes" else obj))
    return made


NEAR_OTHERS: Obj = {
    "affinity": {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {}, "namespaces": ["good1"]}
            ]
        }
    }
}


def owned() -> list[tuple[str, Obj]]:
    """A tenant's objects in evil1: ``own`` is honest, ``old`` is from before the policies."""
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    service: Obj = {"ports": [{"port": 443}], "selector": {"a": "b"}}
    container = {"name": "c", "image": "example.com/x:1"}

    def ingress(host: str) -> Obj:
        return {"rules": [{"host": host, "http": {"paths": paths}}]}

    objects: tuple[tuple[str, str, Obj], ...] = (
        ("/api/v1", "services", {"own": service, "old": {**service, "externalIPs": ["203.0.113.10"]}}),
        (
            "/apis/networking.k8s.io/v1",
            "ingresses",
            {"own": ingress("evil1.evil.test"), "old": ingress("bank.victim.test")},
        ),
        (
            "/apis/networking.k8s.io/v1",
            "networkpolicies",
            {
                "own": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
                "old": {"podSelector": {}, "ingress": [{}]},
            },
        ),
        (
            "/apis/apps/v1",
            "deployments",
            {
                "own": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"a": "b"}},
                    "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
                },
                "near": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"a": "b"}},
                    "template": {
                        "metadata": {"labels": {"a": "b"}},
                        "spec": {"containers": [container], **NEAR_OTHERS},
                    },
                },
            },
        ),
        ("/apis/traefik.io/v1alpha1", "ingressrouteudps", {"old": {"any": "thing"}}),
    )
    made: list[tuple[str, Obj]] = []
    for api, plural, specs in objects:
        for name, spec in specs.items():
            head: Obj = {"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRouteUDP"} if "traefik" in api else {}
            meta: Obj = {
                "name": name,
                **({"finalizers": ["a.example/b"]} if name == "old" and plural == "ingresses" else {}),
                **({"annotations": LOST} if name == "old" and plural == "services" else {}),
            }
            made.append((f"{api}/namespaces/evil1/{plural}", {**head, "metadata": meta, "spec": spec}))
    return made
