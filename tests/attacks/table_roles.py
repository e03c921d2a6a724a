"""decco-tenant-edit, decco-tenant-view and decco-space-admin: what they suffice for, and what they do not contain."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import OK, RBAC, Attempt, Obj, flat
from tests.attacks.table_controller import CHILDREN, POD

IN = "/namespaces/{}"
SPEC: Obj = POD["spec"]
TEMPLATE: Obj = {"selector": {"matchLabels": {"a": "b"}}, "template": POD}
GATEWAY = "gateway.networking.k8s.io"


def named(spec: Obj | None = None, kind: str = "", api: str = "", **more: object) -> Obj:
    made: Obj = {"metadata": {"name": "n"}, **more}
    if kind:
        made |= {"apiVersion": api, "kind": kind}
    return {**made, "spec": spec} if spec is not None else made


SUFFICES: tuple[tuple[str, Obj], ...] = (
    ("/api/v1/namespaces/{}/secrets", named()),
    ("/api/v1/namespaces/{}/configmaps", named()),
    (
        "/api/v1/namespaces/{}/persistentvolumeclaims",
        named({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}),
    ),
    (
        "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
        named({"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}),
    ),
    ("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", named({"maxUnavailable": 1})),
)
"""What Apps need beside Apps."""
NOT_FOR_TENANTS: tuple[tuple[str, Obj], ...] = (
    *(each for each in CHILDREN if each[0] not in {path for path, _ in SUFFICES}),
    ("/api/v1/namespaces/{}/pods", named(SPEC)),
    ("/api/v1/namespaces/{}/serviceaccounts", named()),
    ("/api/v1/namespaces/{}/serviceaccounts/default/token", {"spec": {"audiences": ["a"]}}),
    ("/api/v1/namespaces/{}/endpoints", named()),
    ("/api/v1/namespaces/{}/replicationcontrollers", named()),
    ("/api/v1/namespaces/{}/events", named()),
    ("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", named(addressType="IPv4", endpoints=[])),
    ("/apis/apps/v1/namespaces/{}/statefulsets", named(TEMPLATE)),
    ("/apis/apps/v1/namespaces/{}/daemonsets", named(TEMPLATE)),
    ("/apis/apps/v1/namespaces/{}/replicasets", named(TEMPLATE)),
    ("/apis/batch/v1/namespaces/{}/cronjobs", named()),
    ("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles", named()),
    ("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", named()),
    ("/apis/coordination.k8s.io/v1/namespaces/{}/leases", named()),
    (f"/apis/{GATEWAY}/v1/namespaces/{{}}/gateways", named({}, "Gateway", f"{GATEWAY}/v1")),
    (f"/apis/{GATEWAY}/v1/namespaces/{{}}/tlsroutes", named({}, "TLSRoute", f"{GATEWAY}/v1")),
    (f"/apis/{GATEWAY}/v1/namespaces/{{}}/grpcroutes", named({}, "GRPCRoute", f"{GATEWAY}/v1")),
    (f"/apis/{GATEWAY}/v1/namespaces/{{}}/listenersets", named({}, "ListenerSet", f"{GATEWAY}/v1")),
    (f"/apis/{GATEWAY}/v1/namespaces/{{}}/backendtlspolicies", named({}, "BackendTLSPolicy", f"{GATEWAY}/v1")),
    (f"/apis/{GATEWAY}/v1beta1/namespaces/{{}}/referencegrants", named({}, "ReferenceGrant", f"{GATEWAY}/v1beta1")),
)
CLUSTER_SCOPED: tuple[tuple[str, Obj], ...] = (
    ("/api/v1/namespaces", named()),
    ("/api/v1/nodes", named()),
    ("/api/v1/persistentvolumes", named()),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", named()),
    ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", named()),
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", named()),
    ("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", named()),
    ("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", named()),
    ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", named()),
    (f"/apis/{GATEWAY}/v1/gatewayclasses", named()),
)


def kind(path: str) -> str:
    return path.partition("{}/")[2] or path.rpartition("/")[2]


def tenants() -> Iterator[Attempt]:
    for path, obj in SUFFICES:
        what = kind(path)
        yield Attempt(f"creates {what}", p.TENANT_A, OK, "create", path.format("evil1"), obj)
        for who, where in ((p.TENANT_A, "bank"), (p.TENANT_A, "decco"), (p.VIEWER, "evil1"), (p.STRANGER, "evil1")):
            yield Attempt(f"creates {what} in {where}", who, RBAC, "create", path.format(where), obj)
    for path, obj in NOT_FOR_TENANTS:
        what = kind(path)
        for who in (p.TENANT_A, p.VIEWER, p.OPERATOR_A):
            yield Attempt(f"creates {what}", who, RBAC, "create", path.format("evil1"), obj)
    for path, obj in CLUSTER_SCOPED:
        for who in (p.TENANT_A, p.KUBE_ADMIN, p.OPERATOR_A):
            yield Attempt(f"creates {kind(path)}", who, RBAC, "create", path, obj)
    default = "/api/v1/namespaces/evil1/serviceaccounts/default"
    yield Attempt("changes the default account", p.TENANT_A, RBAC, "merge", default, {"imagePullSecrets": []})
    yield Attempt("changes a source of Secrets", p.TENANT_A, RBAC, "merge", OWN, {"data": {}})
    yield Attempt("changes a source of Secrets", p.OPERATOR_A, RBAC, "merge", OWN, {"data": {}})
    yield Attempt("changes the parameters", p.OPERATOR_A, RBAC, "merge", PARAMETERS, {"data": {}})
    yield Attempt("deletes the parameters", p.OPERATOR_A, RBAC, "delete", PARAMETERS)
    yield Attempt("changes the parameters", p.ADMIN, OK, "merge", PARAMETERS, {"data": {"isolationFloor": "Standard"}})


OWN = "/api/v1/namespaces/decco/secrets/own"
PARAMETERS = "/api/v1/namespaces/decco/configmaps/decco-policy"
ROLE_ATTEMPTS = flat(tenants())

READS: tuple[tuple[p.Person, str, str, bool], ...] = (
    *(
        (who, f"/api/v1{IN}/{kind}", "evil1", True)
        for who in (p.TENANT_A, p.VIEWER)
        for kind in ("pods", "services", "events")
    ),
    *((who, f"/apis/apps/v1{IN}/deployments", "evil1", True) for who in (p.TENANT_A, p.VIEWER)),
    *((who, f"/apis/{GATEWAY}/v1{IN}/httproutes", "evil1", True) for who in (p.TENANT_A, p.VIEWER)),
    *((who, f"/apis/networking.k8s.io/v1{IN}/networkpolicies", "evil1", True) for who in (p.TENANT_A, p.VIEWER)),
    *((who, f"/api/v1{IN}/secrets", "evil1", who is p.TENANT_A) for who in (p.TENANT_A, p.VIEWER)),
    *((who, f"/api/v1{IN}/{kind}", "bank", False) for who in (p.TENANT_A, p.VIEWER) for kind in ("pods", "secrets")),
    *((who, f"/api/v1{IN}/secrets", "decco", False) for who in (p.TENANT_A, p.OPERATOR_A, p.MAKER, p.VIEWER)),
    *((who, "/apis/decco.platform9.com/v1beta2/spaces", "", False) for who in (p.TENANT_A, p.VIEWER, p.KUBE_ADMIN)),
    (p.OPERATOR_A, "/apis/decco.platform9.com/v1beta2/spaces", "", True),
    (p.OPERATOR_A, f"/apis/decco.platform9.com/v1beta2{IN}/apps", "evil1", False),
    (p.OPERATOR_A, f"/api/v1{IN}/secrets", "evil1", False),
    (p.CONTROLLER, f"/api/v1{IN}/secrets", "decco", True),
    (p.CONTROLLER, f"/api/v1{IN}/pods", "evil1", False),
    (p.CONTROLLER, "/api/v1/nodes", "", False),
)
"""Who may list what, in which namespace."""
