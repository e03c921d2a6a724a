"""The admission policies and roles of manifests/, asked on a real API server by users with certificates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from testbed.api import Api, Response
from testbed.controlplane import ControlPlane
from testbed.pki import KeyPair
from tests.integration.harness import eventually
from tests.unit.api.admission_table import Obj, app, put, space

MANIFESTS = Path(__file__).parents[2] / "manifests"
SPACES = "/apis/decco.platform9.com/v1beta2/spaces"
NAMESPACES = "/api/v1/namespaces"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
DRY = "?dryRun=All"
PROJECT = "decco.platform9.com/project"

OPERATORS, NAMESPACE_ADMINS, CONTROLLERS = "policy-operators", "policy-namespace-admins", "policy-controllers"


def rule(groups: str, resources: str, verbs: str, *names: str) -> Obj:
    made: Obj = {"apiGroups": [groups], "resources": resources.split(), "verbs": verbs.split()}
    return {**made, "resourceNames": list(names)} if names else made


ROLES = {
    "policy-use-green": [
        rule("decco.platform9.com", "projects", "use", "green"),
        rule("decco.platform9.com", "domains", "use", "green.example.com"),
    ],
    "policy-namespaces": [rule("", "namespaces namespaces/status namespaces/finalize", "*")],
}
BINDINGS = (
    ("policy-use-green", OPERATORS),
    ("decco-space-admin", OPERATORS),
    ("policy-namespaces", NAMESPACE_ADMINS),
    ("decco-controller", CONTROLLERS),
)


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane with manifests/rbac and manifests/policies in force, and with the roles and bindings above."""
    for folder in ("rbac", "policies"):
        control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(MANIFESTS / folder))
    for name, rules in ROLES.items():
        control_plane.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    for role, group in BINDINGS:
        control_plane.create(
            f"{RBAC}/clusterrolebindings",
            {
                "metadata": {"name": f"{role}-{group}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
            },
        )
    label = {"metadata": {"name": "policy-probe", "labels": {PROJECT: "x"}}}
    admin = as_user(control_plane, "probe", NAMESPACE_ADMINS)
    forbidden = space("policy-probe", project="blue", domainName="green.example.com")
    operator = as_user(control_plane, "probe", OPERATORS)
    eventually(lambda: refused(admin.request("POST", NAMESPACES + DRY, label)), 30, "the policy on namespaces")
    eventually(lambda: refused(operator.request("POST", SPACES + DRY, forbidden)), 30, "the policy on Spaces")
    yield control_plane
    control_plane.kubectl("delete", "-f", str(MANIFESTS / "policies"))
    for role, group in BINDINGS:
        control_plane.request("DELETE", f"{RBAC}/clusterrolebindings/{role}-{group}")
    for name in ROLES:
        control_plane.request("DELETE", f"{RBAC}/clusterroles/{name}")


def as_user(cp: ControlPlane, user: str, *groups: str) -> Api:
    config = json.loads(cp.kubeconfig_for(user, groups).read_text())
    files = config["users"][0]["user"]
    pair = KeyPair(Path(files["client-certificate"]), Path(files["client-key"]))
    return Api(urlsplit(cp.url).port or 443, cp.ca_file, pair)


def refused(answer: Response) -> bool:
    """Whether a policy, and not RBAC, said no."""
    return answer.status == 403 and "ValidatingAdmissionPolicy" in answer.json()["message"]


def refusal(answer: Response) -> str:
    """What the policy said, without the server's introduction."""
    assert refused(answer), (answer.status, answer.json())
    return str(answer.json()["message"]).partition(" denied request: ")[2]


# Projects and domains ------------------------------------------------------------


def green(name: str, **spec: Any) -> Obj:
    return space(name, **{"domainName": "green.example.com", **spec})


@pytest.fixture
def operator(installed: ControlPlane) -> Api:
    """May edit Spaces, and use project green and domain green.example.com."""
    return as_user(installed, "olga", OPERATORS)


@pytest.fixture
def stored(installed: ControlPlane) -> Iterator[Callable[[Obj], Obj]]:
    """Stores a Space as administrator, for the time of a test."""
    paths: list[str] = []

    def store(obj: Obj) -> Obj:
        paths.append(f"{SPACES}/{obj['metadata']['name']}")
        return dict(installed.create(SPACES, obj))

    yield store
    for path in paths:
        installed.request("DELETE", path)


def test_naming_a_project_needs_use(operator: Api) -> None:
    assert operator.request("POST", SPACES + DRY, green("p1", project="green")).status == 201
    assert operator.request("POST", SPACES + DRY, green("p1")).status == 201
    assert refusal(operator.request("POST", SPACES + DRY, green("p1", project="blue"))) == (
        'spec.project: you may not name project blue: choose another, or ask for the permission "use" on '
        'projects.decco.platform9.com "blue"'
    )


def test_naming_a_domain_needs_use(operator: Api) -> None:
    for domain in ("example.com", "sub.green.example.com"):
        assert refusal(operator.request("POST", SPACES + DRY, green("p2", domainName=domain))) == (
            f'spec.domainName: you may not name domain {domain}: choose another, or ask for the permission "use" on '
            f'domains.decco.platform9.com "{domain}"'
        )


def test_server_side_apply_that_creates_is_asked_too(operator: Api) -> None:
    path = f"{SPACES}/p3?fieldManager=test&dryRun=All"
    assert refused(operator.request("PATCH", path, green("p3", project="blue"), headers=APPLY))
    assert operator.request("PATCH", path, green("p3", project="green"), headers=APPLY).status == 201


def test_a_change_is_asked_and_everything_else_is_not(operator: Api, stored: Callable[[Obj], Obj]) -> None:
    path = f"{SPACES}/p4"
    stored(green("p4", project="blue"))

    def patch(spec: Obj, meta: Obj | None = None) -> Response:
        return operator.request("PATCH", path, {"metadata": meta or {}, "spec": spec}, headers=MERGE)

    assert patch({"encryptHttp": True}).status == 200, "the project stays as it was"
    assert patch({}, {"labels": {"a": "b"}}).status == 200
    assert refused(patch({"project": "red"}))
    assert patch({"project": "green"}).status == 200
    assert refused(patch({"project": "blue"})), "a return needs the permission again"
    assert patch({"project": None}).status == 200, "leaving a project needs nothing"
    assert refused(patch({"project": "blue"}))


def test_a_foreign_domain_does_not_hinder_other_changes(operator: Api, stored: Callable[[Obj], Obj]) -> None:
    stored(space("p5", domainName="example.com"))
    patch = {"spec": {"mesh": "Istio"}}
    assert operator.request("PATCH", f"{SPACES}/p5", patch, headers=MERGE).status == 200
    assert operator.request("DELETE", f"{SPACES}/p5").status == 200


def test_who_may_do_everything_may_use_everything(installed: ControlPlane) -> None:
    assert installed.request("POST", SPACES + DRY, green("p6", project="blue", domainName="any.example")).status == 201


def test_decco_may_finalise_and_report_on_any_space(installed: ControlPlane, stored: Callable[[Obj], Obj]) -> None:
    controller = as_user(installed, "controller", CONTROLLERS)
    made = stored(green("p7", project="blue"))
    finalized = put(made, "metadata.finalizers", ["decco.platform9.com/test"])
    answer = controller.request("PUT", f"{SPACES}/p7", finalized)
    assert answer.status == 200, answer.json()
    answer = controller.request("PUT", f"{SPACES}/p7/status", {**answer.json(), "status": {"namespace": "p7"}})
    assert answer.status == 200, answer.json()
    assert controller.request("PUT", f"{SPACES}/p7", put(answer.json(), "metadata.finalizers", [])).status == 200


# Labels of namespaces ------------------------------------------------------------


@pytest.fixture
def namespace_admin(installed: ControlPlane) -> Api:
    """May do everything with Namespace objects, as far as RBAC goes."""
    return as_user(installed, "nora", NAMESPACE_ADMINS)


@pytest.fixture(scope="module")
def namespace(installed: ControlPlane) -> Iterator[str]:
    """Path of a namespace with a label and an annotation of ours and of others; written to as dry runs only."""
    name = "policy-labelled"
    meta = {
        "name": name,
        "labels": {PROJECT: "green", "a": "b"},
        "annotations": {"decco.platform9.com/fqdn": "x.example.com", "a": "b"},
    }
    installed.create(NAMESPACES, {"metadata": meta})
    yield f"{NAMESPACES}/{name}"
    installed.request("DELETE", f"{NAMESPACES}/{name}")


def relabel(api: Api, path: str, labels: Obj | None = None, annotations: Obj | None = None) -> Response:
    patch = {"metadata": {"labels": labels or {}, "annotations": annotations or {}}}
    return api.request("PATCH", path + DRY, patch, headers=MERGE)


def test_nobody_but_decco_sets_our_labels(namespace_admin: Api, namespace: str) -> None:
    assert refusal(relabel(namespace_admin, namespace, {PROJECT: "blue"})) == (
        f"label {PROJECT} of namespace policy-labelled is decco's: leave it as it is, or ask for the permission "
        '"label" on namespaces.decco.platform9.com "policy-labelled"'
    )
    for wrong in (
        {PROJECT: None},
        {"decco.platform9.com/monitoring": "true"},
        {"decco.platform9.com/": None, PROJECT: ""},
    ):
        assert refused(relabel(namespace_admin, namespace, wrong)), wrong
    for right in ({"a": "c"}, {"a": None, "b": "c"}, {"xdecco.platform9.com/project": "x"}, {PROJECT: "green"}):
        answer = relabel(namespace_admin, namespace, right)
        assert answer.status == 200, answer.json()


def test_nobody_but_decco_sets_our_annotations(namespace_admin: Api, namespace: str) -> None:
    fqdn = "decco.platform9.com/fqdn"
    assert refusal(relabel(namespace_admin, namespace, annotations={fqdn: "bank.example.com"})).startswith(
        f"annotation {fqdn} of namespace policy-labelled is decco's"
    )
    assert refused(relabel(namespace_admin, namespace, annotations={fqdn: None}))
    assert relabel(namespace_admin, namespace, annotations={"a": "c"}).status == 200


@pytest.mark.parametrize("name", [{"name": "policy-new"}, {"generateName": "policy-new-"}])
def test_nobody_but_decco_creates_a_namespace_with_them(namespace_admin: Api, name: Obj) -> None:
    plain = {"metadata": {**name, "labels": {"a": "b"}, "annotations": {"a": "b"}}}
    assert namespace_admin.request("POST", NAMESPACES + DRY, plain).status == 201
    assert namespace_admin.request("POST", NAMESPACES + DRY, {"metadata": name}).status == 201
    for part in ("labels", "annotations"):
        wrong = {"metadata": {**name, part: {"decco.platform9.com/space": "x"}}}
        assert refused(namespace_admin.request("POST", NAMESPACES + DRY, wrong))


@pytest.mark.parametrize("subresource", ["status", "finalize"])
def test_no_way_round_by_a_subresource(
    installed: ControlPlane, namespace_admin: Api, namespace: str, subresource: str
) -> None:
    live = installed.request("GET", namespace).json()
    sly = put(live, "metadata.labels", {PROJECT: "blue"})
    assert refused(namespace_admin.request("PUT", f"{namespace}/{subresource}{DRY}", sly))
    assert namespace_admin.request("PUT", f"{namespace}/{subresource}{DRY}", live).status == 200


def test_decco_itself_may(installed: ControlPlane, namespace: str) -> None:
    controller = as_user(installed, "controller", CONTROLLERS)
    answer = controller.request(
        "PUT", namespace + DRY, put(installed.request("GET", namespace).json(), "metadata.labels", {})
    )
    assert answer.status == 200, answer.json()
    made = {"metadata": {"name": "policy-made", "labels": {PROJECT: "green"}}}
    assert controller.request("POST", NAMESPACES + DRY, made).status == 201


def test_a_labelled_namespace_can_be_deleted_to_the_end(installed: ControlPlane, namespace_admin: Api) -> None:
    """kube-controller-manager empties and finalises it, and does not have our permission."""
    path = f"{NAMESPACES}/policy-doomed"
    installed.create(NAMESPACES, {"metadata": {"name": "policy-doomed", "labels": {PROJECT: "green"}}})
    installed.create(f"{path}/configmaps", {"metadata": {"name": "a"}})
    assert namespace_admin.request("DELETE", path).status == 200
    eventually(lambda: installed.request("GET", path).status == 404, 30, "the namespace to go")


def test_the_policies_are_well_typed(installed: ControlPlane) -> None:
    """The API server type-checks policies and writes what it finds into their status."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"

    def checked() -> list[Obj] | None:
        policies = [
            policy
            for policy in installed.request("GET", path).json()["items"]
            if policy["metadata"]["name"].endswith(".decco.platform9.com")
        ]
        return policies if policies and all("typeChecking" in policy.get("status", {}) for policy in policies) else None

    assert [policy["status"]["typeChecking"] for policy in eventually(checked)] == [{}, {}]


# Roles ------------------------------------------------------------


def may(cp: ControlPlane, groups: list[str], verb: str, resource: str, namespace: str = "") -> bool:
    """Whether RBAC allows it; ``resource`` as resource[/subresource].group, the core group ending in a dot."""
    name, _, group = resource.partition(".")
    plural, _, subresource = name.partition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "namespace": namespace}
    review = {"spec": {"user": "somebody", "groups": groups, "resourceAttributes": attributes}}
    return bool(cp.create(REVIEWS, review)["status"]["allowed"])


CHILDREN = (
    *("namespaces.", "configmaps.", "services.", "resourcequotas.", "limitranges."),
    *("deployments.apps", "jobs.batch", "networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io"),
    *(f"{kind}.gateway.networking.k8s.io" for kind in ("gateways", "listenersets", "httproutes", "tlsroutes")),
    *("backendtlspolicies.gateway.networking.k8s.io", "ingressroutetcps.traefik.io", "middlewares.traefik.io"),
)


def test_the_controller_may_do_its_work_and_no_more(installed: ControlPlane) -> None:
    groups = [CONTROLLERS]
    for resource in CHILDREN:
        for verb in ("get", "list", "watch", "create", "update", "delete"):
            assert may(installed, groups, verb, resource, "any"), (verb, resource)
        assert not may(installed, groups, "deletecollection", resource, "any"), resource
    for verb in ("get", "list", "watch", "create", "update", "delete"):
        assert not may(installed, groups, verb, "secrets.", "any"), verb
    for kind in ("spaces", "apps"):
        for resource, verb in (
            *((kind, verb) for verb in ("get", "list", "watch", "update", "patch")),
            *((f"{kind}/status", verb) for verb in ("update", "patch")),
            (f"{kind}/finalizers", "update"),
        ):
            assert may(installed, groups, verb, f"{resource}.decco.platform9.com", "any"), (verb, resource)
        for verb in ("create", "delete"):
            assert not may(installed, groups, verb, f"{kind}.decco.platform9.com", "any"), (verb, kind)
    assert may(installed, groups, "create", "events.events.k8s.io", "any")
    for resource in ("pods.", "nodes.", "clusterroles.rbac.authorization.k8s.io", "serviceaccounts.", "pods/exec."):
        assert not may(installed, groups, "create", resource, "any"), resource
    # Of Leases, the one of the election and no other; to create, which has no name yet, in its own namespace only.
    for verb, namespace, name, allowed in (
        ("update", "decco", "decco-controller", True),
        ("update", "decco", "another", False),
        ("update", "default", "decco-controller", False),
        ("create", "decco", "", True),
        ("create", "default", "", False),
    ):
        review = {
            "spec": {
                "user": "system:serviceaccount:decco:decco-controller",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:decco"],
                "resourceAttributes": {
                    "verb": verb,
                    "group": "coordination.k8s.io",
                    "resource": "leases",
                    "namespace": namespace,
                    "name": name,
                },
            }
        }
        answer = installed.create(REVIEWS, review)["status"]
        assert answer["allowed"] is allowed, (verb, namespace, name)


def test_tenants_have_apps_by_kubernetes_own_roles(installed: ControlPlane) -> None:
    installed.create(NAMESPACES, {"metadata": {"name": "policy-tenant"}})
    for role in ("view", "edit", "admin"):
        binding = {
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": f"tenant-{role}"}],
        }
        installed.create(f"{RBAC}/namespaces/policy-tenant/rolebindings", binding)
    apps, spaces = "apps.decco.platform9.com", "spaces.decco.platform9.com"

    def tenant(role: str, verb: str, resource: str, namespace: str = "policy-tenant") -> bool:
        return may(installed, [f"tenant-{role}"], verb, resource, namespace)

    try:
        # The controller-manager aggregates roles a moment after they appear.
        eventually(lambda: all(tenant(role, "list", apps) for role in ("view", "edit", "admin")), 30)
        eventually(lambda: all(tenant(role, "create", apps) for role in ("edit", "admin")), 30)
        assert not tenant("view", "create", apps)
        assert not tenant("edit", "create", apps, "default")
        for role in ("view", "edit", "admin"):
            assert not tenant(role, "update", "apps/status.decco.platform9.com")
            assert not tenant(role, "create", spaces, "")
            assert not tenant(role, "label", "namespaces.decco.platform9.com")
            assert not tenant(role, "use", "projects.decco.platform9.com", "")
    finally:
        installed.request("DELETE", f"{NAMESPACES}/policy-tenant")


def test_space_admins_have_no_authority_over_names(installed: ControlPlane) -> None:
    groups = [OPERATORS]
    assert may(installed, groups, "create", "spaces.decco.platform9.com")
    assert not may(installed, groups, "update", "spaces/status.decco.platform9.com")
    assert not may(installed, groups, "use", "projects.decco.platform9.com")
    assert not may(installed, groups, "label", "namespaces.decco.platform9.com")


# Examples ------------------------------------------------------------


def test_the_examples_are_accepted_by_an_operator_with_the_permissions_they_show(installed: ControlPlane) -> None:
    files = {
        path.name: list(yaml.safe_load_all(path.read_text()))
        for path in sorted((MANIFESTS / "examples").glob("*.yaml"))
    }
    assert len(files) == 6
    installed.kubectl("apply", "-f", str(MANIFESTS / "examples" / "6-operators.yaml"))
    installed.create(NAMESPACES, {"metadata": {"name": "acme"}})
    operator = as_user(installed, "otto", "widgets-operators")
    try:
        (the_space,) = files["1-space.yaml"]
        strict = f"{DRY}&fieldValidation=Strict"
        eventually(lambda: operator.request("POST", SPACES + strict, the_space).status == 201, 10)
        apps = f"/apis/decco.platform9.com/v1beta2/namespaces/{the_space['metadata']['name']}/apps"
        for name in ("2-http-app.yaml", "3-tcp-app.yaml", "4-endpoints-and-egresses.yaml", "5-job.yaml"):
            (one,) = files[name]
            answer = installed.request("POST", apps + strict, one)
            assert answer.status == 201, (name, answer.json())
        # The PodSpecs, judged by the API server as the level "restricted" judges them.
        installed.request("PATCH", f"{NAMESPACES}/acme", ENFORCED, headers=MERGE)
        for name in ("2-http-app.yaml", "3-tcp-app.yaml", "4-endpoints-and-egresses.yaml", "5-job.yaml"):
            (one,) = files[name]
            pod = {"metadata": {"name": one["metadata"]["name"]}, "spec": one["spec"]["pod"]}
            answer = installed.request("POST", f"{NAMESPACES}/acme/pods{strict}", pod)
            assert answer.status == 201, (name, answer.json())
    finally:
        installed.kubectl("delete", "--ignore-not-found", "-f", str(MANIFESTS / "examples" / "6-operators.yaml"))
        installed.request("DELETE", f"{NAMESPACES}/acme")


ENFORCED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


def test_an_app_needs_no_permission_of_decco(installed: ControlPlane) -> None:
    """The policies stand between operators and Spaces only; an App is stopped by RBAC alone."""
    answer = as_user(installed, "olga", OPERATORS).request(
        "POST", f"/apis/decco.platform9.com/v1beta2/namespaces/default/apps{DRY}", app()
    )
    assert answer.status == 403
    assert not refused(answer)
