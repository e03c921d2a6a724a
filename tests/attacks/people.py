"""Who tries what: users with certificates, with exactly the roles of manifests/rbac and a few permissions beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]
GROUP = "decco.platform9.com"
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Person:
    """A user with its groups, as the API server would find them in its certificate or token."""

    user: str
    groups: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.user.rpartition(":")[2]


def account(namespace: str, name: str) -> Person:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return Person(f"system:serviceaccount:{namespace}:{name}", groups)


ADMIN = Person("alice-admin")
"""Bound to cluster-admin, but not of system:masters: RBAC and the policies are asked."""
OPERATOR_A = Person("operator-a")
"""Of domain evil.test and project widgets."""
OPERATOR_B = Person("operator-b")
"""Of domains victim.test and example.net, and project bank."""
OPERATOR_MANY = Person("operator-many")
"""Of evil.test, nine more domains d1.test to d9.test, and single names n1.single.test to n9.single.test."""
OPERATOR_MOVES = Person("operator-moves")
"""Of evil.test and victim.test, with "transfer" on example.net and on the name www.single.test."""
OPERATOR_FULL = Person("operator-full")
"""Of evil.test and widgets, with every permission that space-privileges and space-parameters ask for."""
QUOTED = Person("operator-quoted")
"""Of evil.test and widgets, with the quotas of evil1 and quoted; the isolation floor binds it."""
PAUSER = Person("pauser")
"""Of evil.test and widgets; may pause, and not leave records behind."""
CLEANER = Person("cleaner")
"""May abandon DNS records, and edit Spaces and Apps; may use no domain."""
PLAIN_OPERATOR = Person("plain-operator")
"""decco-space-admin alone."""
DOMAIN_ONLY = Person("domain-only")
"""Of domain victim.test, but not of project bank."""
PROJECT_ONLY = Person("project-only")
"""Of project bank, but not of domain victim.test."""
TENANT_A = Person("tenant-a")
"""decco-tenant-edit in namespace evil1."""
TENANT_B = Person("tenant-b")
"""decco-tenant-edit in namespace bank."""
VIEWER = Person("viewer-a")
"""decco-tenant-view in namespace evil1."""
KUBE_EDIT = Person("kube-edit-a")
"""Kubernetes' own role edit in namespace evil1."""
KUBE_ADMIN = Person("kube-admin-a")
"""Kubernetes' own role admin in namespace evil1."""
WIDE_TENANT = Person("wide-tenant-a")
"""A role of somebody's own in evil1, with apps and all their subresources, but without wildcards in its verbs."""
TENANT_PAUSER = Person("tenant-pauser-a")
"""decco-tenant-edit in evil1, with "pause" and "abandon-dns" on its Apps."""
MAKER = Person("namespace-maker")
"""Everything with namespaces, and reading the cluster."""
LABELLER = Person("labeller")
"""As MAKER, with the permission "label" on the namespace labelled and on bank."""
SWEEPER = Person("sweeper")
"""Of evil.test and widgets, with deletecollection on Spaces and on Apps of every namespace."""
STATUS_WRITER = Person("status-writer")
"""Update of the status of all Spaces and Apps, and nothing else."""
OWNER = Person("owner-a")
"""Writes of every kind in evil1, granted and lost, as by a role of somebody's own without wildcards in its verbs."""
EXEMPT = Person("exempt-a")
"""As OWNER in evil1, and exempt there."""
BALANCED = Person("balanced-a")
"""Kubernetes' own role edit in namespace evil1, load balancers, and the priority system-cluster-critical."""
STRANGER = Person("stranger")
"""Any authenticated user."""

CONTROLLER = account("decco", "decco-controller")
NEIGHBOUR = account("decco", "default")
"""Another account of decco's namespace."""
IMPOSTOR = account("evil1", "decco-controller")
"""An account of a tenant, named as the controller's."""
COLLECTOR = account("kube-system", "generic-garbage-collector")
NAMESPACE_CONTROLLER = account("kube-system", "namespace-controller")
MANAGER = Person("system:kube-controller-manager")
REPLICA_SETS = account("kube-system", "replicaset-controller")
DEPLOYMENTS = account("kube-system", "deployment-controller")
ENDPOINTS = account("kube-system", "endpoint-controller")
ENDPOINT_SLICES = account("kube-system", "endpointslice-controller")
CERT_MANAGER = account("cert-manager", "cert-manager")
"""Writes of every kind in evil1, and exempt for what docs/certificates.md names."""


def rule(group: str, resources: str, verbs: str, *names: str) -> Obj:
    made: Obj = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return {**made, "resourceNames": list(names)} if names else made


def use(resource: str, *names: str, verb: str = "use") -> Obj:
    return rule(GROUP, resource, verb, *names)


WRITE = "get list watch create update patch delete deletecollection"
ROLES: dict[str, list[Obj]] = {
    "use-evil": [use("projects", "widgets"), use("domains", "evil.test")],
    "use-victim": [use("projects", "bank"), use("domains", "victim.test", "example.net")],
    "use-many": [
        use("domains", "evil.test", *(f"d{i}.test" for i in range(1, 10))),
        use("domains", *(f"n{i}.single.test" for i in range(1, 10))),
    ],
    "use-moves": [
        use("projects", "bank"),
        use("domains", "evil.test", "victim.test"),
        use("domains", "example.net", "www.single.test", verb="transfer"),
    ],
    "use-full": [
        use("projects", "widgets"),
        use("domains", "evil.test"),
        use("podsecuritylevels", "privileged"),
        use("meshes", "Istio"),
        use("placements", "evil.test"),
        use("isolationlevels", "Standard", "UserNamespace"),
        use("quotas", "evil1", "quoted"),
        use("spaces", "evil1", "held", verb="pause"),
        use("spaces", "evil1", "held", verb="abandon-dns"),
        use("spaces", "evil1", "held", verb="move"),
    ],
    "use-quotas": [use("projects", "widgets"), use("domains", "evil.test"), use("quotas", "evil1", "quoted")],
    "use-pause": [use("projects", "widgets"), use("domains", "evil.test"), use("spaces", verb="pause")],
    "clean": [use("spaces apps", verb="abandon-dns"), rule(GROUP, "spaces apps", "get update patch")],
    "use-victim-domain": [use("domains", "victim.test")],
    "use-bank-project": [use("projects", "bank")],
    "make-namespaces": [rule("", "namespaces namespaces/status namespaces/finalize", WRITE)],
    "label-some": [use("namespaces", "labelled", "bank", verb="label")],
    "sweep": [use("projects", "widgets"), use("domains", "evil.test"), rule(GROUP, "spaces apps", "deletecollection")],
    "write-status": [rule(GROUP, "spaces spaces/status apps apps/status", "get list update patch")],
    "apps-and-subresources": [rule(GROUP, "apps apps/status apps/scale apps/finalizers", WRITE)],
    "write-everything": [rule("*", "*", WRITE)],
    "exempt": [use("tenantobjects", verb="exempt")],
    "exempt-requests": [
        use(
            "tenantobjects",
            "certificaterequests.cert-manager.io",
            "issued-secrets",
            "orders.acme.cert-manager.io",
            verb="exempt",
        )
    ],
    "use-load-balancers": [use("servicetypes", "LoadBalancer"), use("priorityclasses", "system-cluster-critical")],
    "pause-apps": [use("apps", verb="pause abandon-dns")],
}

CLUSTER_WIDE: tuple[tuple[str, Person], ...] = (
    ("cluster-admin", ADMIN),
    *(
        ("decco-space-admin", person)
        for person in (
            *(OPERATOR_A, OPERATOR_B, OPERATOR_MANY, OPERATOR_MOVES, OPERATOR_FULL, PAUSER, QUOTED),
            *(PLAIN_OPERATOR, DOMAIN_ONLY, PROJECT_ONLY),
        )
    ),
    ("use-evil", OPERATOR_A),
    ("use-victim", OPERATOR_B),
    ("use-many", OPERATOR_MANY),
    ("use-moves", OPERATOR_MOVES),
    ("use-full", OPERATOR_FULL),
    ("use-quotas", QUOTED),
    ("use-pause", PAUSER),
    ("clean", CLEANER),
    ("use-victim-domain", DOMAIN_ONLY),
    ("use-bank-project", PROJECT_ONLY),
    ("make-namespaces", MAKER),
    ("view", MAKER),
    ("make-namespaces", LABELLER),
    ("label-some", LABELLER),
    ("write-status", STATUS_WRITER),
    ("sweep", SWEEPER),
    # Whatever these two have beside, identity decides.
    ("decco-controller", NEIGHBOUR),
    ("decco-controller", IMPOSTOR),
)

ISOLATED = ("mapped", "boxed", "unknown", "closed")
"""Spaces whose pods have to be isolated."""
IN_NAMESPACE: tuple[tuple[str, Person, str], ...] = (
    ("decco-tenant-edit", TENANT_A, "evil1"),
    ("decco-tenant-edit", TENANT_B, "bank"),
    ("decco-tenant-view", VIEWER, "evil1"),
    ("edit", KUBE_EDIT, "evil1"),
    ("admin", KUBE_ADMIN, "evil1"),
    ("apps-and-subresources", WIDE_TENANT, "evil1"),
    ("decco-tenant-edit", TENANT_PAUSER, "evil1"),
    ("pause-apps", TENANT_PAUSER, "evil1"),
    *(("write-everything", OWNER, where) for where in ("evil1", "granted", "lost", *ISOLATED)),
    ("write-everything", EXEMPT, "evil1"),
    ("exempt", EXEMPT, "evil1"),
    ("edit", BALANCED, "evil1"),
    ("use-load-balancers", BALANCED, "evil1"),
    ("write-everything", CERT_MANAGER, "evil1"),
    ("exempt-requests", CERT_MANAGER, "evil1"),
)


def roles() -> Iterator[Obj]:
    for name, rules in ROLES.items():
        yield {"metadata": {"name": name}, "rules": rules}


def binding(role: str, person: Person, namespace: str = "") -> Obj:
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": f"{role}-{person}-{len(person.user)}"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": person.user}],
    }
