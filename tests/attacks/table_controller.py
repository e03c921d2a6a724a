"""The controller's token in other hands: what admission refuses of what its roles allow."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks import tenants as t
from tests.attacks.attempts import ESCALATION, NAMESPACES, OK, RBAC, SPACES, Attempt, Obj, delete, edit, flat, merged
from tests.attacks.standing import SECRETS_ROLE, owner, secrets_binding
from tests.attacks.table_beyond import beyond
from tests.attacks.table_namespaces import BANK, FREE, label, owners
from tests.attacks.table_spaces import notes, spec
from tests.attacks.world import FINALIZER, app, apps, namespace, space

C = p.CONTROLLER
UID = "11111111-2222-3333-4444-555555555555"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"
POD: Obj = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "x"}], "serviceAccountName": "default"},
}
CHILDREN: tuple[tuple[str, Obj], ...] = (
    ("/api/v1/namespaces/{}/configmaps", {"metadata": {"name": "n"}}),
    ("/api/v1/namespaces/{}/secrets", {"metadata": {"name": "n"}}),
    (
        "/api/v1/namespaces/{}/services",
        {"metadata": {"name": "n"}, "spec": {"ports": [{"port": 443}], "selector": {"a": "b"}}},
    ),
    ("/api/v1/namespaces/{}/resourcequotas", {"metadata": {"name": "n"}, "spec": {"hard": {"pods": "1"}}}),
    ("/api/v1/namespaces/{}/limitranges", {"metadata": {"name": "n"}, "spec": {"limits": []}}),
    (
        "/apis/apps/v1/namespaces/{}/deployments",
        {"metadata": {"name": "n"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": POD}},
    ),
    (
        "/apis/apps/v1/namespaces/{}/statefulsets",
        {"metadata": {"name": "n"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": POD}},
    ),
    (
        "/apis/batch/v1/namespaces/{}/jobs",
        {"metadata": {"name": "n"}, "spec": {"template": {"spec": {**POD["spec"], "restartPolicy": "Never"}}}},
    ),
    ("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", {"metadata": {"name": "n"}, "spec": {"maxUnavailable": 1}}),
    (
        "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
        {"metadata": {"name": "n"}, "spec": {"podSelector": {}}},
    ),
    (
        "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
        {
            "metadata": {"name": "n"},
            "spec": {
                "defaultBackend": {"service": {"name": "n", "port": {"number": 80}}},
                "rules": [{"host": "evil1.evil.test"}],
            },
        },
    ),
    (
        "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "n"},
            "spec": {"hostnames": ["evil1.evil.test"]},
        },
    ),
    *(
        (t.path(resource, "{}"), t.made(resource, {}))
        for resource in (
            "certificates.cert-manager.io",
            "securitypolicies.gateway.envoyproxy.io",
            "backendtrafficpolicies.gateway.envoyproxy.io",
            "clienttrafficpolicies.gateway.envoyproxy.io",
            "middlewares.traefik.io",
            "peerauthentications.security.istio.io",
        )
    ),
)


def children() -> Iterator[Attempt]:
    for path, obj in CHILDREN:
        kind = path.rpartition("/")[2]
        for where in ("evil1", "bank"):
            yield Attempt(f"creates {kind} in a Space's namespace", C, OK, "create", path.format(where), obj)
        for where in ("kube-system", "default", "free", "labelled", "decco"):
            # Of Secrets it has no permission outside the namespaces of Spaces.
            expect = RBAC if kind == "secrets" else "DECCO-0640"
            yield Attempt(f"creates {kind} in {where}", C, expect, "create", path.format(where), obj)
    for where in ("kube-system", "default", "free"):
        yield Attempt(
            f"deletes in {where}", C, "DECCO-0640", "delete", f"/api/v1/namespaces/{where}/configmaps/kube-root-ca.crt"
        )
        path = f"/api/v1/namespaces/{where}/configmaps/kube-root-ca.crt"
        yield Attempt(
            f"replaces in {where}", C, "DECCO-0640", "put", path, lambda live: merged(live, {"data": {"a": "b"}})
        )
    yield Attempt(
        "replaces its parameters",
        C,
        "DECCO-0640",
        "put",
        "/api/v1/namespaces/decco/configmaps/decco-policy",
        lambda live: merged(live, {"data": {"quotaNeedsPermission": "false"}}),
    )
    yield Attempt(
        "deletes its parameters", C, "DECCO-0640", "delete", "/api/v1/namespaces/decco/configmaps/decco-policy"
    )
    yield Attempt("deletes a source", C, RBAC, "delete", "/api/v1/namespaces/decco/secrets/own")
    # Its neighbours have the same roles here, and are not confined by this policy but by theirs.
    yield Attempt(
        "creates a ConfigMap in free", p.NEIGHBOUR, OK, "create", CHILDREN[0][0].format("free"), CHILDREN[0][1]
    )


def own_records() -> Iterator[Attempt]:
    lease = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
    yield Attempt(
        "creates its Lease", C, OK, "create", lease.format("decco"), {"metadata": {"name": "decco-controller"}}
    )
    yield Attempt(
        "creates a Lease of a node", C, RBAC, "create", lease.format("kube-node-lease"), {"metadata": {"name": "n"}}
    )
    for where, expect in (
        ("default", OK),
        ("evil1", OK),
        ("decco", OK),
        ("kube-system", "DECCO-0640"),
        ("free", "DECCO-0640"),
    ):
        event: Obj = {
            "metadata": {"name": "n.1", "namespace": where},
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "action": "a",
            "reason": "R",
            "type": "Normal",
            "reportingController": "decco",
            "reportingInstance": "decco",
            "regarding": {"kind": "X", "name": "x", "namespace": "" if where == "default" else where},
        }
        path = f"/apis/events.k8s.io/v1/namespaces/{where}/events"
        yield Attempt(f"creates an Event in {where}", C, expect, "create", path, event)


def namespaces() -> Iterator[Attempt]:
    made = namespace("made", UID, "evil.test")
    yield Attempt("creates the namespace of a Space", C, OK, "create", NAMESPACES, made)
    for what, patch in (
        ("without an owner", {"metadata": {"ownerReferences": None}}),
        ("of another Space", owners(owner("bank", UID))),
        ("of another owner", owners({**owner("made", UID), "kind": "App"})),
        ("of another group", owners({**owner("made", UID), "apiVersion": "example.com/v1"})),
        ("without the label", label("decco.platform9.com/space", None)),
        ("with another's label", label("decco.platform9.com/space", "bank")),
    ):
        yield Attempt(f"creates a namespace {what}", C, "DECCO-0641", "create", NAMESPACES, merged(made, patch))
    for name in ("kube-evil", "openshift-evil"):
        forged = namespace(name, UID, "evil.test")
        yield Attempt(f"creates {name}", C, "DECCO-0641", "create", NAMESPACES, forged)
    for path in (FREE, f"{NAMESPACES}/kube-system", f"{NAMESPACES}/default", f"{NAMESPACES}/decco"):
        name = path.rpartition("/")[2]
        forged = namespace(name, UID, "evil.test")
        yield Attempt(
            f"makes {name} a Space's", C, "DECCO-0641", "put", path, lambda live, forged=forged: merged(live, forged)
        )
        yield Attempt(f"deletes {name}", C, RBAC, "delete", path)
    yield Attempt("deletes the namespace of a Space", C, RBAC, "delete", BANK)
    for what, patch, expect in (
        ("repairs a label", label("decco.platform9.com/project", "bank"), OK),
        ("gives the namespace away", owners(owner("evil1", UID)), "DECCO-0641"),
        ("releases the namespace", {"metadata": {"ownerReferences": None}}, "DECCO-0641"),
        ("removes the label", label("decco.platform9.com/space", None), "DECCO-0641"),
        ("sets restricted", label("pod-security.kubernetes.io/enforce", "restricted"), OK),
        # Bound to decco-controller-privileged here; test_controller_without_privileged takes the binding away.
        ("sets privileged", label("pod-security.kubernetes.io/enforce", "privileged"), OK),
    ):
        yield Attempt(what, C, expect, "put", BANK, lambda live, patch=patch: merged(live, patch))


PRIVILEGED = [
    Attempt(
        "sets privileged",
        C,
        "DECCO-0642",
        "put",
        BANK,
        lambda live: merged(live, label("pod-security.kubernetes.io/enforce", "privileged")),
    ),
    Attempt(
        "removes the level",
        C,
        "DECCO-0642",
        "put",
        BANK,
        lambda live: merged(live, label("pod-security.kubernetes.io/enforce", None)),
    ),
    Attempt(
        "creates a privileged namespace",
        C,
        "DECCO-0642",
        "create",
        NAMESPACES,
        namespace("made", UID, "evil.test", level="privileged"),
    ),
    Attempt(
        "creates a namespace", C, OK, "create", NAMESPACES, namespace("made", UID, "evil.test", level="restricted")
    ),
]
"""Without the binding of decco-controller-privileged."""


ANY_CODE = "DECCO-0643|DECCO-0601|DECCO-0605|DECCO-0612|DECCO-0620"


def own_kinds() -> Iterator[Attempt]:
    bank, db = f"{SPACES}/bank", f"{apps('bank')}/db"
    for path, kind in ((bank, "Space"), (db, "App")):
        for what, patch in (
            ("the spec", spec(hostnames=["any.where.org"]) if kind == "Space" else spec(initialReplicas=9)),
            ("an annotation", notes(paused="true")),
            ("a label", {"metadata": {"labels": {"a": "b"}}}),
            ("an owner", {"metadata": {"ownerReferences": [owner("evil1", UID)]}}),
            ("a foreign finalizer", {"metadata": {"finalizers": ["a.example/b"]}}),
        ):
            # Without "use" and "pause" it is refused by the policies on Spaces and Apps too.
            yield from edit(f"changes {what} of a {kind}", C, ANY_CODE, path, patch, ways=("merge", "apply"))
        yield from edit(
            f"sets the finalizer of a {kind}", C, OK, path, {"metadata": {"finalizers": [FINALIZER]}}, ways=("merge",)
        )
        yield from delete(f"deletes a {kind}", C, RBAC, path)
    yield Attempt("creates a Space", C, RBAC, "create", SPACES, space("n", "evil.test"))
    yield Attempt("creates an App", C, RBAC, "create", apps("evil1"), app("n", "evil1"))
    # Whoever else has these verbs: a role of the administrator's own, bound to the controller by mistake.
    yield from delete("deletes a Space by a mistaken role", p.IMPOSTOR, RBAC, bank)


def bindings() -> Iterator[Attempt]:
    def bound(role: str = SECRETS_ROLE, **subject: str) -> Obj:
        made = secrets_binding()
        made["metadata"]["name"] = "another"
        made["roleRef"]["name"] = role
        made["subjects"][0].update(subject)
        return made

    here = BINDINGS.format("evil1")
    yield Attempt("binds itself in a Space's namespace", C, OK, "create", here, bound())
    for where in ("kube-system", "default", "free", "decco"):
        yield Attempt(f"binds itself in {where}", C, "DECCO-0640", "create", BINDINGS.format(where), bound())
    # RBAC refuses what it may not bind: the answer names the missing permissions.
    yield Attempt("binds another role", C, ESCALATION, "create", here, bound("cluster-admin"))
    yield Attempt("binds somebody else", C, "DECCO-0644", "create", here, bound(name="default"))
    yield Attempt("binds its name in another namespace", C, "DECCO-0644", "create", here, bound(namespace="evil1"))
    user = {"kind": "User", "apiGroup": p.RBAC, "name": "tenant-a"}
    yield Attempt("binds a user", C, "DECCO-0644", "create", here, {**bound(), "subjects": [user]})
    yield Attempt(
        "binds itself and a user",
        C,
        "DECCO-0644",
        "create",
        here,
        {**bound(), "subjects": [*bound()["subjects"], user]},
    )
    yield Attempt(
        "binds in the cluster", C, RBAC, "create", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", bound()
    )
    yield Attempt("binds itself as an administrator", p.ADMIN, OK, "create", here, bound("view"))


ELSEWHERE: tuple[tuple[str, str, Obj], ...] = (
    ("a pod", "/api/v1/namespaces/evil1/pods", {"metadata": {"name": "n"}, "spec": POD["spec"]}),
    (
        "a pod in kube-system",
        "/api/v1/namespaces/kube-system/pods",
        {"metadata": {"name": "n"}, "spec": POD["spec"]},
    ),
    ("a node", "/api/v1/nodes", {"metadata": {"name": "n"}}),
    ("a service account", "/api/v1/namespaces/evil1/serviceaccounts", {"metadata": {"name": "n"}}),
    ("a token", "/api/v1/namespaces/evil1/serviceaccounts/default/token", {"spec": {"audiences": ["a"]}}),
    ("a ClusterRole", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "n"}}),
    ("a Role", "/apis/rbac.authorization.k8s.io/v1/namespaces/evil1/roles", {"metadata": {"name": "n"}}),
    ("a CRD", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {"metadata": {"name": "n"}}),
    (
        "a policy",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        {"metadata": {"name": "n"}, "spec": {}},
    ),
    (
        "a webhook",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        {"metadata": {"name": "n"}},
    ),
    ("a DaemonSet", "/apis/apps/v1/namespaces/evil1/daemonsets", {"metadata": {"name": "n"}}),
    (
        "a certificate request",
        "/apis/cert-manager.io/v1/namespaces/evil1/certificaterequests",
        t.made("certificaterequests.cert-manager.io", {}),
    ),
    (
        "an EnvoyPatchPolicy",
        "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/evil1/envoypatchpolicies",
        t.made("envoypatchpolicies.gateway.envoyproxy.io", {}),
    ),
    ("a CronJob", "/apis/batch/v1/namespaces/evil1/cronjobs", {"metadata": {"name": "n"}}),
    ("a GatewayClass", "/apis/gateway.networking.k8s.io/v1/gatewayclasses", {"metadata": {"name": "n"}}),
)


def elsewhere() -> Iterator[Attempt]:
    for what, path, obj in ELSEWHERE:
        yield Attempt(f"creates {what}", C, RBAC, "create", path, obj)


CONTROLLER_ATTEMPTS = flat(children(), beyond(), own_records(), namespaces(), own_kinds(), bindings(), elsewhere())
