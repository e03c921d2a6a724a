"""The Helm chart, rendered by the real Helm: the same objects as the kustomize base; each value does what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from testbed.controlplane import ControlPlane
from testbed.manifests import MANIFESTS
from tests.packaging.conftest import Tool
from tests.packaging.objects import Identity, Obj, objects, one

CHART = MANIFESTS / "chart"
RUNBOOKS = "https://example.com/runbooks"
MONITORING = {
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}, "runbookBaseUrl": f"{RUNBOOKS}/"},
        "dashboard": {"enabled": True},
    }
}


@pytest.fixture
def render(helm_: Tool, tmp_path: Path) -> Callable[..., dict[Identity, Obj]]:
    def rendered(values: Obj | None = None, namespace: str = "decco") -> dict[Identity, Obj]:
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values or {}))
        return objects(helm_("template", "decco", CHART, "--namespace", namespace, "--values", file))

    return rendered


def test_the_defaults_are_the_kustomize_base(kubectl: Tool, render: Callable[..., dict[Identity, Obj]]) -> None:
    base = objects(kubectl("kustomize", MANIFESTS))
    chart = render()
    # Helm keeps its release in that namespace, so it must be there before; the CRDs outlive the release.
    del base["v1", "Namespace", "", "decco"]
    for (_, kind, _, _), obj in chart.items():
        if kind == "CustomResourceDefinition":
            assert obj["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert chart.keys() == base.keys()
    for identity, obj in base.items():
        assert chart[identity] == obj, identity


def test_monitoring_is_that_of_the_components(
    kubectl: Tool, render: Callable[..., dict[Identity, Obj]], tmp_path: Path
) -> None:
    components = ["servicemonitor", "alerts", "dashboard"]
    # kustomize takes folders only by relative paths.
    up = Path(*[".."] * (len(tmp_path.parts) - 1))
    overlay = {
        "resources": [str(up / MANIFESTS.relative_to("/"))],
        "components": [str(up / (MANIFESTS / "monitoring" / name).relative_to("/")) for name in components],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
    base = objects(kubectl("kustomize", tmp_path))
    chart = render(MONITORING)
    for kind, name in [("ServiceMonitor", "decco-controller"), ("ConfigMap", "decco-dashboard")]:
        ours, theirs = one(base, kind, name), one(chart, kind, name)
        theirs["metadata"]["labels"].pop("release", None)
        assert ours == theirs
    ours, theirs = one(base, "PrometheusRule"), one(chart, "PrometheusRule")
    assert theirs["metadata"]["labels"].pop("release") == "prometheus"
    assert json.dumps(ours).replace("docs/runbooks/", f"{RUNBOOKS}/") == json.dumps(theirs)


def test_another_namespace_is_taken_everywhere(render: Callable[..., dict[Identity, Obj]]) -> None:
    base, elsewhere = render(MONITORING), render(MONITORING, "elsewhere")
    assert {(v, k, n and "elsewhere", name) for v, k, n, name in base} == elsewhere.keys()
    for obj in elsewhere.values():
        for subject in obj.get("subjects", []):
            assert subject["namespace"] == "elsewhere"
    policies = [obj for obj in elsewhere.values() if obj["kind"].startswith("ValidatingAdmissionPolicy")]
    accounts = json.dumps(policies)
    assert "system:serviceaccount:elsewhere:decco-controller" in accounts
    assert "system:serviceaccount:decco:" not in accounts
    references = [obj["spec"]["paramRef"] for obj in policies if "paramRef" in obj["spec"]]
    # What selects its parameters selects Spaces, which have no namespace.
    selecting = [reference for reference in references if "selector" in reference]
    assert len(selecting) == 1
    assert "namespace" not in selecting[0]
    named = [reference for reference in references if "name" in reference]
    assert len(named) == len(references) - 1 > 0
    assert {reference["namespace"] for reference in named} == {"elsewhere"}


def _deployment(found: dict[Identity, Obj]) -> Obj:
    return dict(one(found, "Deployment")["spec"])


def _pod(found: dict[Identity, Obj]) -> Obj:
    return dict(_deployment(found)["template"]["spec"])


def _container(found: dict[Identity, Obj]) -> Obj:
    return dict(_pod(found)["containers"][0])


DIGEST = f"sha256:{'a' * 64}"
VALUES: list[tuple[Obj, Callable[[dict[Identity, Obj]], object], object]] = [
    ({"replicas": 1}, lambda f: _deployment(f)["replicas"], 1),
    ({"image": {"repository": "r/c", "tag": "t"}}, lambda f: _container(f)["image"], "r/c:t"),
    ({"image": {"repository": "r/c", "digest": DIGEST}}, lambda f: _container(f)["image"], f"r/c@{DIGEST}"),
    ({"image": {"pullPolicy": "Never"}}, lambda f: _container(f)["imagePullPolicy"], "Never"),
    ({"image": {"pullSecrets": [{"name": "s"}]}}, lambda f: _pod(f)["imagePullSecrets"], [{"name": "s"}]),
    ({"resources": {"limits": {"memory": "1Gi"}}}, lambda f: _container(f)["resources"]["limits"]["memory"], "1Gi"),
    (
        {"serviceAccount": {"annotations": {"a/b": "c"}}},
        lambda f: one(f, "ServiceAccount")["metadata"]["annotations"],
        {"a/b": "c"},
    ),
    ({"env": [{"name": "A", "value": "b"}]}, lambda f: _container(f)["env"][-1], {"name": "A", "value": "b"}),
    ({"volumes": [{"name": "v", "emptyDir": {}}]}, lambda f: _pod(f)["volumes"][-1], {"name": "v", "emptyDir": {}}),
    (
        {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        lambda f: _container(f)["volumeMounts"][-1],
        {"name": "v", "mountPath": "/v"},
    ),
    ({"podLabels": {"l": "m"}}, lambda f: _deployment(f)["template"]["metadata"]["labels"]["l"], "m"),
    ({"podAnnotations": {"l": "m"}}, lambda f: _deployment(f)["template"]["metadata"]["annotations"]["l"], "m"),
    ({"priorityClassName": "p"}, lambda f: _pod(f)["priorityClassName"], "p"),
    ({"nodeSelector": {"n": "o"}}, lambda f: _pod(f)["nodeSelector"]["n"], "o"),
    ({"tolerations": [{"operator": "Exists"}]}, lambda f: _pod(f)["tolerations"], [{"operator": "Exists"}]),
    ({"affinity": {"nodeAffinity": {}}}, lambda f: _pod(f)["affinity"], {"nodeAffinity": {}}),
    (
        {"topologySpreadConstraints": [{"maxSkew": 2}]},
        lambda f: _pod(f)["topologySpreadConstraints"],
        [{"maxSkew": 2}],
    ),
    ({"podDisruptionBudget": {"enabled": False}}, lambda f: "PodDisruptionBudget" in {k for _, k, _, _ in f}, False),
    ({"networkPolicy": {"enabled": False}}, lambda f: "NetworkPolicy" in {k for _, k, _, _ in f}, False),
    ({"crds": {"install": False}}, lambda f: "CustomResourceDefinition" in {k for _, k, _, _ in f}, False),
    (
        {"crds": {"keep": False}},
        lambda f: one(f, "CustomResourceDefinition", "apps.decco.platform9.com")["metadata"].get("annotations"),
        None,
    ),
    ({"policies": {"install": False}}, lambda f: "ValidatingAdmissionPolicy" in {k for _, k, _, _ in f}, False),
    (
        {"policies": {"parameters": {"isolationFloor.example.com": "Sandboxed"}}},
        lambda f: one(f, "ConfigMap", "decco-policy")["data"],
        {"isolationFloor.example.com": "Sandboxed"},
    ),
    (
        {"monitoring": {"serviceMonitor": {"enabled": True, "interval": "5s"}}},
        lambda f: one(f, "ServiceMonitor")["spec"]["endpoints"][0]["interval"],
        "5s",
    ),
    (
        {"monitoring": {"dashboard": {"enabled": True, "annotations": {"folder": "x"}}}},
        lambda f: one(f, "ConfigMap", "decco-dashboard")["metadata"]["annotations"],
        {"folder": "x"},
    ),
]


@pytest.mark.parametrize(
    ("values", "select", "expected"), VALUES, ids=lambda v: str(v)[:40] if isinstance(v, dict) else ""
)
def test_a_value_does_what_it_says(
    values: Obj,
    select: Callable[[dict[Identity, Obj]], object],
    expected: object,
    render: Callable[..., dict[Identity, Obj]],
) -> None:
    try:
        default = select(render())
    except (KeyError, IndexError, ValueError):
        default = "absent"
    assert default != expected
    assert select(render(values)) == expected


def test_new_settings_are_new_pods(render: Callable[..., dict[Identity, Obj]]) -> None:
    def annotation(found: dict[Identity, Obj]) -> str | None:
        text = _deployment(found)["template"]["metadata"]["annotations"].get("checksum/settings")
        return str(text) if text is not None else None

    settings = {"routing": {"backend": "none"}, "edge": {"cidrs": ["192.0.2.0/24"]}}
    found = render({"settings": settings})
    assert yaml.safe_load(one(found, "ConfigMap")["data"]["decco.yaml"]) == settings
    other = render({"settings": {"routing": {"backend": "ingress"}}})
    assert len({annotation(render()), annotation(found), annotation(other)}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "replica=1"], "additional properties 'replica' not allowed"),
        (["--set", "image.tags=x"], "additional properties 'tags' not allowed"),
        (["--set", "replicas=-1"], "/replicas"),
        (["--set", "image.digest=latest"], "/image/digest"),
        (["--set-json", 'env=[{"name":"DECCO_NAMESPACE"}]'], "/env/0/name"),
        (["--set", "settings.namespace=x"], "decco's namespace is the release's own; choose it with --namespace"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_values_are_refused_with_their_path(helm_: Tool, arguments: list[str], message: str) -> None:
    assert message in helm_.refusal("template", "decco", CHART, *arguments)


def test_helm_has_nothing_to_complain_about(helm_: Tool) -> None:
    said = helm_("lint", "--strict", CHART)
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


@pytest.fixture
def bare() -> Iterator[ControlPlane]:
    """Without anything of decco's: Helm takes over nothing that it did not make."""
    with ControlPlane() as cp:
        yield cp


def test_install_upgrade_uninstall(helm_: Tool, bare: ControlPlane, tmp_path: Path) -> None:
    """On a real API server: an upgrade brings CRDs up to date, an uninstall leaves them and what was made of them."""
    chart = tmp_path / "chart"
    for file in CHART.rglob("*"):
        if file.is_file():
            (chart / file.relative_to(CHART)).parent.mkdir(parents=True, exist_ok=True)
            (chart / file.relative_to(CHART)).write_bytes(file.read_bytes())
    here = ["--kubeconfig", str(bare.kubeconfig), "--namespace", "chart-test"]
    space = "/apis/decco.platform9.com/v1beta2/spaces"
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/spaces.decco.platform9.com"
    notes = helm_("install", "decco", chart, "--create-namespace", *here)
    assert "kubectl label namespace chart-test pod-security.kubernetes.io/enforce=restricted" in notes
    bare.create(
        space,
        {
            "apiVersion": "decco.platform9.com/v1beta2",
            "kind": "Space",
            "metadata": {"name": "kept"},
            "spec": {"domainName": "example.net"},
        },
    )
    file = chart / "files" / "crds" / "decco.platform9.com_spaces.yaml"
    file.write_text(file.read_text().replace("    - dspace\n", "    - dspace\n    - spc\n"))
    helm_("upgrade", "decco", chart, "--set", "replicas=1", "--set", "settings.clusterId=x", *here)
    assert bare.request("GET", crd).json()["spec"]["names"]["shortNames"] == ["dspace", "spc"]
    deployment = "/apis/apps/v1/namespaces/chart-test/deployments/decco-controller"
    assert bare.request("GET", deployment).json()["spec"]["replicas"] == 1
    helm_("uninstall", "decco", "--wait", *here)
    assert bare.request("GET", deployment).status == 404
    assert bare.request("GET", f"{space}/kept").status == 200
    # Taken up again by a new release of the same name.
    helm_("install", "decco", chart, *here)
    helm_("uninstall", "decco", "--wait", *here)
