"""The roles and examples of manifests/ on a real API server; tests/attacks tests the policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from decco.cli import main as cli
from testbed.api import Api, Response
from testbed.controlplane import ControlPlane
from testbed.pki import KeyPair
from tests.integration.harness import eventually
from tests.unit.api.admission_table import Obj, app, space

MANIFESTS = Path(__file__).parents[2] / "manifests"
SPACES = "/apis/decco.platform9.com/v1beta2/spaces"
NAMESPACES = "/api/v1/namespaces"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
MERGE = {"Content-Type": "application/merge-patch+json"}
DRY = "?dryRun=All"

OPERATORS, CONTROLLERS = "policy-operators", "policy-controllers"


def rule(groups: str, resources: str, verbs: str, *names: str) -> Obj:
    made: Obj = {"apiGroups": [groups], "resources": resources.split(), "verbs": verbs.split()}
    return {**made, "resourceNames": list(names)} if names else made


ROLES = {
    "policy-use-green": [
        rule("decco.platform9.com", "projects", "use", "green"),
        rule("decco.platform9.com", "domains", "use", "green.example.com"),
    ],
}
BINDINGS = (
    ("policy-use-green", OPERATORS),
    ("decco-space-admin", OPERATORS),
    *((role, CONTROLLERS) for role in ("decco-controller", "decco-controller-gateway", "decco-controller-traefik")),
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
    forbidden = space("policy-probe", project="blue", domainName="green.example.com")
    operator = as_user(control_plane, "probe", OPERATORS)
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


# Roles ------------------------------------------------------------


def may(cp: ControlPlane, groups: list[str], verb: str, resource: str, namespace: str = "") -> bool:
    """Whether RBAC allows it; ``resource`` as resource[/subresource].group, the core group ending in a dot."""
    name, _, group = resource.partition(".")
    plural, _, subresource = name.partition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "namespace": namespace}
    review = {"spec": {"user": "somebody", "groups": groups, "resourceAttributes": attributes}}
    return bool(cp.create(REVIEWS, review)["status"]["allowed"])


WRITTEN = ("get", "list", "watch", "create", "update", "delete")
CHILDREN = (
    *("configmaps.", "services.", "resourcequotas.", "limitranges."),
    *("deployments.apps", "jobs.batch", "networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io"),
    *(f"{kind}.gateway.networking.k8s.io" for kind in ("gateways", "listenersets", "httproutes", "tlsroutes")),
    *("backendtlspolicies.gateway.networking.k8s.io", "ingressroutetcps.traefik.io", "middlewares.traefik.io"),
)


def test_doctor_finds_policies_in_force_and_their_parameters_missing(
    installed: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    logging_restored: None,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(installed.kubeconfig))

    def checks() -> dict[str, str]:
        capsys.readouterr()
        cli.main(["doctor", "-o", "json"])
        return {each["check"]: each["text"] for each in json.loads(capsys.readouterr().out)["checks"]}

    found = checks()
    files = sum(
        "kind: ValidatingAdmissionPolicy\n" in each.read_text() for each in (MANIFESTS / "policies").glob("*.yaml")
    )
    assert found["policies"] == f"all {files} are in force"
    assert found["permissions"].startswith("service account decco/decco-controller may do all of")
    installed.kubectl("delete", "configmap", "decco-policy", "-n", "decco")
    try:
        assert "the ConfigMap decco/decco-policy, are not there" in checks()["policy space-parameters"]
    finally:
        installed.kubectl("apply", "--server-side", "-f", str(MANIFESTS / "policies" / "0-parameters.yaml"))


def test_the_controller_may_do_its_work_and_no_more(installed: ControlPlane) -> None:
    groups = [CONTROLLERS]
    for resource in CHILDREN:
        for verb in WRITTEN:
            assert may(installed, groups, verb, resource, "any"), (verb, resource)
        assert not may(installed, groups, "deletecollection", resource, "any"), resource
    for verb in WRITTEN:
        assert may(installed, groups, verb, "namespaces.") is (verb != "delete"), verb
        assert not may(installed, groups, verb, "secrets.", "any"), verb
    for kind in ("spaces", "apps"):
        for resource, allowed in (
            (kind, {"list", "watch", "patch"}),
            (f"{kind}/status", {"update"}),
            (f"{kind}/finalizers", {"update"}),
        ):
            for verb in (*WRITTEN, "patch", "deletecollection"):
                found = may(installed, groups, verb, f"{resource}.decco.platform9.com", "any")
                assert found is (verb in allowed), (verb, resource)
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
    assert len(files) == 7
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
        installed.kubectl("apply", "-f", str(MANIFESTS / "examples" / "7-tenants.yaml"))
        tenant = as_user(installed, "tina", "acme-tenants")
        (one,) = files["2-http-app.yaml"]
        eventually(lambda: tenant.request("POST", apps + strict, one).status == 201, 10)
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
