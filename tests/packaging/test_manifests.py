"""The manifests before a real API server: each is accepted as it is, and the controller's pod passes `restricted`."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from testbed import manifests
from testbed.controlplane import ControlPlane
from testbed.monitoring import monitoring_crds
from tests.packaging.conftest import Tool
from tests.packaging.objects import Obj, objects, one

COMPONENTS = ("servicemonitor", "alerts", "dashboard")
PODS = "/api/v1/namespaces/decco/pods?dryRun=All"


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """With the CRDs of decco, of the Prometheus Operator and no others, and with decco's namespace."""
    manifests.install_crds(control_plane.api, monitoring_crds())
    control_plane.install_decco()
    return control_plane


def everything(kubectl: Tool, folder: Path, **more: object) -> dict[tuple[str, str, str, str], Obj]:
    """The base with all components, as an overlay of somebody's own has them."""
    up = Path(*[".."] * (len(folder.parts) - 1)) / manifests.MANIFESTS.relative_to("/")
    overlay = {"resources": [str(up)], "components": [str(up / "monitoring" / name) for name in COMPONENTS], **more}
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))
    return objects(kubectl("kustomize", folder))


def test_every_object_is_accepted_as_it_is(kubectl: Tool, installed: ControlPlane, tmp_path: Path) -> None:
    rendered = everything(kubectl, tmp_path)
    kinds = {kind for _, kind, _, _ in rendered}
    assert {"Deployment", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "PrometheusRule"} <= kinds
    text = "---\n".join(json.dumps(obj) + "\n" for obj in rendered.values())
    arguments = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-"]
    said = kubectl("--kubeconfig", installed.kubeconfig, *arguments, text=text.encode())
    assert said.count("serverside-applied") == len(rendered)


def test_the_controllers_pod_is_restricted(kubectl: Tool, installed: ControlPlane, tmp_path: Path) -> None:
    rendered = everything(kubectl, tmp_path)
    assert (
        one(rendered, "Namespace", "decco")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    )
    template = copy.deepcopy(one(rendered, "Deployment")["spec"]["template"])
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"]["name"] = "controller"
    answer = installed.request("POST", PODS, pod)
    assert answer.status == 201, answer.json()["message"]
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    answer = installed.request("POST", PODS, pod)
    assert answer.status == 403
    assert "violates PodSecurity" in answer.json()["message"]


def test_an_overlays_settings_are_new_pods(kubectl: Tool, tmp_path: Path) -> None:
    """As docs/install.md says: settings of one's own under another name, which changes with them."""
    (tmp_path / "decco.yaml").write_text("clusterId: east\n")
    generator = {"name": "decco-settings", "namespace": "decco", "files": ["decco.yaml"]}
    volumes = [{"name": "settings", "configMap": {"name": "decco-settings"}}]
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "decco-controller", "namespace": "decco"},
        "spec": {"template": {"spec": {"volumes": volumes}}},
    }
    rendered = everything(kubectl, tmp_path, configMapGenerator=[generator], patches=[{"patch": json.dumps(patch)}])
    [name] = [name for _, kind, _, name in rendered if kind == "ConfigMap" and name.startswith("decco-settings-")]
    assert one(rendered, "ConfigMap", name)["data"] == {"decco.yaml": "clusterId: east\n"}
    found = one(rendered, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "settings", "configMap": {"name": name}} in found
    assert [volume["name"] for volume in found] == ["settings", "tmp"]


def test_names_and_selectors_fit_together(kubectl: Tool, tmp_path: Path) -> None:
    rendered = everything(kubectl, tmp_path)
    template = one(rendered, "Deployment")["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    [container] = template["spec"]["containers"]
    [port] = container["ports"]
    service = one(rendered, "Service")["spec"]
    policy = one(rendered, "NetworkPolicy")["spec"]
    assert one(rendered, "Deployment")["spec"]["selector"]["matchLabels"].items() <= labels
    assert service["selector"].items() <= labels
    assert policy["podSelector"]["matchLabels"].items() <= labels
    assert one(rendered, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    for constraint in template["spec"]["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"].items() <= labels
    monitor = one(rendered, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= one(rendered, "Service")["metadata"]["labels"].items()
    assert [each["port"] for each in monitor["endpoints"]] == [each["name"] for each in service["ports"]]
    assert [each["targetPort"] for each in service["ports"]] == [port["name"]]
    assert [each["port"] for rule in policy["ingress"] for each in rule["ports"]] == [port["containerPort"]]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    assert template["spec"]["serviceAccountName"] == one(rendered, "ServiceAccount")["metadata"]["name"]
