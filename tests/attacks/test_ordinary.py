"""Ordinary work under the policies, stored for real: deletion by each propagation policy, and kubectl's commands.

The garbage collector and the namespace controller of kube-controller-manager do their part.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed import helm
from testbed.found import AssetsMissing
from tests.attacks import people
from tests.attacks.attempts import NAMESPACES, OK, RBAC, SPACES, Attempt
from tests.attacks.people import CONTROLLER, KUBE_EDIT, OPERATOR_A, TENANT_A
from tests.attacks.standing import CHILD_LABELS, owner
from tests.attacks.tenants import path
from tests.attacks.third_parties import API_OF
from tests.attacks.world import FINALIZER, World, app, apps, namespace, space, until

GOLDEN = Path(__file__).parents[1] / "golden"
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_a_space_is_deleted(world: World, policy: str) -> None:
    name = f"gone-{policy.lower()}"
    operator, controller = world.api(OPERATOR_A), world.api(CONTROLLER)
    uid = operator.create(SPACES, space(name, "evil.test"))["metadata"]["uid"]
    controller.create(NAMESPACES, namespace(name, uid, "evil.test"))
    controller.create(f"{NAMESPACES}/{name}/configmaps", {"metadata": {"name": "child"}})
    held = {"metadata": {"finalizers": [FINALIZER]}}
    assert controller.request("PATCH", f"{SPACES}/{name}", held, headers=MERGE).status == 200
    assert operator.request("DELETE", f"{SPACES}/{name}?propagationPolicy={policy}").status == 200
    until(lambda: _released(world, f"{SPACES}/{name}"), "the removal of decco's finalizer")
    until(lambda: _get(world, f"{SPACES}/{name}") is None, f"the end of {name}")
    if policy == "Orphan":
        stays = until(lambda: "ownerReferences" not in _get(world, f"{NAMESPACES}/{name}")["metadata"], "the release")
        assert stays
        assert world.api(people.ADMIN).request("DELETE", f"{NAMESPACES}/{name}").status == 200
    until(lambda: _get(world, f"{NAMESPACES}/{name}") is None, f"the end of namespace {name}")


def _released(world: World, path: str) -> bool:
    """Removes decco's finalizer from the live object, as decco does; garbage collection removes its own meanwhile."""
    live = _get(world, path)
    left = [each for each in live["metadata"]["finalizers"] if each != FINALIZER]
    meta = {"resourceVersion": live["metadata"]["resourceVersion"], "finalizers": left or None}
    answer = world.api(CONTROLLER).request("PATCH", path, {"metadata": meta}, headers=MERGE)
    assert answer.status in {200, 409}, answer.body
    return bool(answer.status == 200)


def _get(world: World, path: str):  # type: ignore[no-untyped-def]
    answer = world.cp.request("GET", path)
    return answer.json() if answer.status == 200 else None


def test_kubectl_of_an_operator(world: World, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    text = (
        "apiVersion: decco.platform9.com/v1beta2\nkind: Space\nmetadata: {name: byhand}\n"
        "spec: {domainName: evil.test, project: widgets, hostnames: [a.evil.test]}\n"
    )
    file.write_text(text)
    kubectl(world, OPERATOR_A, "apply", "-f", str(file))
    file.write_text(text.replace("a.evil.test", "b.evil.test"))
    kubectl(world, OPERATOR_A, "diff", "-f", str(file), status=1)
    kubectl(world, OPERATOR_A, "apply", "-f", str(file))
    kubectl(world, OPERATOR_A, "apply", "--server-side", "--force-conflicts", "-f", str(file))
    kubectl(world, OPERATOR_A, "label", "space", "byhand", "team=a")
    kubectl(world, OPERATOR_A, "annotate", "space", "byhand", "team=a")
    kubectl(world, OPERATOR_A, "patch", "space", "byhand", "--type=merge", "-p", '{"spec":{"encryptHttp":true}}')
    kubectl(world, OPERATOR_A, "replace", "-f", str(file))
    kubectl(world, OPERATOR_A, "get", "spaces")
    said = kubectl(world, OPERATOR_A, "annotate", "space", "byhand", "decco.platform9.com/paused=true", status=1)
    assert "[DECCO-0612]" in said
    said = kubectl(world, OPERATOR_A, "delete", "space", "bank", status=1)
    assert "[DECCO-0601]" in said
    kubectl(world, OPERATOR_A, "delete", "space", "byhand")


def test_kubectl_of_a_tenant(world: World, tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(
        "apiVersion: decco.platform9.com/v1beta2\nkind: App\nmetadata: {name: byhand, namespace: evil1}\n"
        "spec: {endpoints: [], pod: {containers: [{name: c, image: example.com/x}]}}\n"
    )
    here = ("--namespace", "evil1")
    kubectl(world, TENANT_A, "apply", "-f", str(file))
    kubectl(world, TENANT_A, "apply", "--server-side", "--force-conflicts", "-f", str(file))
    kubectl(world, TENANT_A, "get", "apps,pods,services,httproutes", *here)
    kubectl(world, TENANT_A, "create", "secret", "generic", "s", "--from-literal=a=b", *here)
    said = kubectl(world, TENANT_A, "annotate", "app", "byhand", "decco.platform9.com/paused=true", *here, status=1)
    assert "[DECCO-0620]" in said
    kubectl(world, TENANT_A, "delete", "app", "byhand", *here)
    kubectl(world, TENANT_A, "delete", "secret", "s", *here)


OBJECTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: mine, labels: {app.kubernetes.io/managed-by: Helm, app: mine}}
spec:
  replicas: 0
  selector: {matchLabels: {app: mine}}
  template:
    metadata: {labels: {app: mine}, annotations: {prometheus.io/scrape: "true"}}
    spec: {containers: [{name: c, image: example.com/x}]}
---
apiVersion: v1
kind: Service
metadata: {name: mine, labels: {app.kubernetes.io/managed-by: Helm}}
spec: {selector: {app: mine}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: mine, annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}
spec:
  rules:
  - host: mine.evil1.evil.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: mine, port: {name: http}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mine}
spec: {podSelector: {matchLabels: {app: mine}}, ingress: [{from: [{podSelector: {}}]}]}
"""


def test_kubectl_of_a_tenant_with_objects(world: World, tmp_path: Path) -> None:
    """What a Helm chart brings, and what people do with it and with decco's workloads."""
    file = tmp_path / "objects.yaml"
    file.write_text(OBJECTS)

    def run(*arguments: str, status: int = 0) -> str:
        return kubectl(world, KUBE_EDIT, *arguments, "--namespace", "evil1", status=status)

    run("apply", "-f", str(file))
    run("apply", "--server-side", "--force-conflicts", "-f", str(file))
    file.write_text(OBJECTS.replace("mine.evil1", "other.evil1"))
    run("apply", "-f", str(file))
    run("set", "image", "deployment/mine", "c=example.com/y")
    run("expose", "deployment", "mine", "--port=81", "--name=mine-too")
    run("create", "ingress", "byhand", "--rule=evil1.evil.test/x*=mine:80")
    run("create", "job", "byhand", "--image=example.com/x")
    for name in ("mine", "web"):
        run("scale", f"deployment/{name}", "--replicas=1")
        run("scale", f"deployment/{name}", "--replicas=0")
        run("rollout", "restart", f"deployment/{name}")
        run("annotate", f"deployment/{name}", "team=a", "--overwrite")
        run("label", f"deployment/{name}", "team=a", "--overwrite")
        run("autoscale", f"deployment/{name}", "--max=2")
    said = run("create", "ingress", "steal", "--rule=bank.victim.test/*=mine:80", status=1)
    assert "[DECCO-0655]" in said
    said = run("annotate", "service", "mine", "external-dns.alpha.kubernetes.io/hostname=bank.victim.test", status=1)
    assert "[DECCO-0662]" in said
    said = run("expose", "deployment", "mine", "--port=82", "--name=mine-lb", "--type=LoadBalancer", status=1)
    assert "[DECCO-0668]" in said
    said = run("set", "image", "deployment/web", "c=example.com/y", status=1)
    assert "[DECCO-0651]" in said
    said = run("delete", "service", "web", status=1)
    assert "[DECCO-0653]" in said
    run("delete", "hpa", "mine", "web")
    run("delete", "-f", str(file))
    run("delete", "service/mine-too", "ingress/byhand", "job/byhand")


def test_helm_of_a_tenant(world: World, tmp_path: Path) -> None:
    try:
        program = helm.provide()
    except AssetsMissing as error:
        pytest.skip(str(error))
    chart = tmp_path / "mine"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: mine\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text("host: mine.evil1.evil.test\n")
    (chart / "templates" / "all.yaml").write_text(OBJECTS.replace("mine.evil1.evil.test", "{{ .Values.host }}"))
    config = world.cp.kubeconfig_for(KUBE_EDIT.user, KUBE_EDIT.groups)

    def run(*arguments: str, status: int = 0) -> str:
        argv = [str(program), f"--kubeconfig={config}", "--namespace=evil1", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    run("install", "release", str(chart))
    run("upgrade", "release", str(chart), "--set", "host=other.evil1.evil.test")
    said = run("upgrade", "release", str(chart), "--set", "host=bank.victim.test", status=1)
    assert "[DECCO-0655]" in said
    run("rollback", "release", "1")
    run("uninstall", "release", "--wait")


def test_argo_cd_of_a_tenant(world: World, tmp_path: Path) -> None:
    """Its way of work: server-side apply with its own manager, a label and an annotation of its own, deletion in the
    foreground.
    """
    objects = list(yaml.safe_load_all(OBJECTS))
    for each in objects:
        each["metadata"].setdefault("labels", {})["app.kubernetes.io/instance"] = "a"
        each["metadata"].setdefault("annotations", {})["argocd.argoproj.io/tracking-id"] = "a:apps/Any:evil1/mine"
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "--namespace=evil1")
    for dry in ("--dry-run=server", "--dry-run=none", "--dry-run=server", "--dry-run=none"):
        kubectl(world, people.OWNER, *apply, dry, "-f", str(file))
    kubectl(world, people.OWNER, "delete", "--cascade=foreground", "--namespace=evil1", "-f", str(file))


def test_what_decco_writes_is_not_refused(world: World) -> None:
    """Each child of the golden files, under the policies that confine the controller."""
    of_kind = {known: resource for resource, known in API_OF.items()}
    seen, refused = set(), []
    for file in sorted(GOLDEN.rglob("*.yaml")):
        for obj in _objects(list(yaml.safe_load_all(file.read_text()))):
            resource = of_kind.get((obj["apiVersion"], obj["kind"]))
            if resource is None or obj["kind"] == "App":
                continue
            meta = {key: value for key, value in obj["metadata"].items() if key in {"name", "labels", "annotations"}}
            body = {**{key: value for key, value in obj.items() if key != "status"}, "metadata": meta}
            got = world.verdict(Attempt("writes a child", CONTROLLER, OK, "create", path(resource), body))
            seen.add(obj["kind"])
            if got.startswith("DECCO-") or got == RBAC:
                refused.append(f"{file.name}: {obj['kind']} {meta['name']}: {got}")
    assert seen >= {"Ingress", "Service", "Gateway", "ListenerSet", "Middleware", "Deployment", "Certificate"}
    assert not refused, "\n".join(refused)


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict) and {"apiVersion", "kind", "metadata"} <= part.keys():
        yield part
    elif isinstance(part, dict | list):
        for each in part.values() if isinstance(part, dict) else part:
            yield from _objects(each)


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_an_app_is_deleted(world: World, policy: str) -> None:
    """A tenant deletes the App; garbage collection deletes or releases its children, which no tenant may do."""
    name = f"gone-{policy.lower()}"
    tenant, controller, admin = world.api(TENANT_A), world.api(CONTROLLER), world.api(people.ADMIN)
    uid = tenant.create(apps("evil1"), app(name, "evil1"))["metadata"]["uid"]
    reference = {**owner(name, uid), "kind": "App"}
    meta = {"name": name, "labels": CHILD_LABELS, "ownerReferences": [reference]}
    controller.create("/api/v1/namespaces/evil1/configmaps", {"metadata": meta})
    child = f"/api/v1/namespaces/evil1/configmaps/{name}"
    assert tenant.request("DELETE", child).status == 403
    assert tenant.request("DELETE", f"{apps('evil1')}/{name}?propagationPolicy={policy}").status == 200
    until(lambda: _get(world, f"{apps('evil1')}/{name}") is None, f"the end of {name}")
    if policy == "Orphan":
        until(lambda: "ownerReferences" not in _get(world, child)["metadata"], "the release")
        assert admin.request("DELETE", child).status == 200
    until(lambda: _get(world, child) is None, f"the end of the child of {name}")


def kubectl(world: World, person: people.Person, *arguments: str, status: int = 0) -> str:
    config = world.cp.kubeconfig_for(person.user, person.groups)
    program = world.cp.binaries.kubernetes["kubectl"]
    argv = [str(program), f"--kubeconfig={config}", f"--cache-dir={world.cp.folder / 'cache'}", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr
