"""The kustomize configuration for Apps with the real kustomize, which is part of kubectl."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from testbed.manifests import MANIFESTS
from tests.packaging.conftest import Tool
from tests.packaging.objects import Obj, objects

CONFIGURATION = MANIFESTS / "gitops" / "kustomizeconfig.yaml"
GROUP = "decco.platform9.com"
NAMES = ("settings", "login", "data", "runner", "pull")
"""Of objects that the kustomization makes or renames."""


def container(name: str) -> Obj:
    keys = ("configMapKeyRef", "settings"), ("secretKeyRef", "login")
    return {
        "name": name,
        "image": f"example.com/{name}:1",
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "login"}}],
        "env": [{"name": key, "valueFrom": {key: {"name": ref, "key": "A"}}} for key, ref in keys],
    }


POD: Obj = {
    "serviceAccountName": "runner",
    "imagePullSecrets": [{"name": "pull"}],
    "initContainers": [container("setup")],
    "containers": [container("web")],
    "volumes": [
        {"name": "a", "configMap": {"name": "settings"}},
        {"name": "b", "secret": {"secretName": "login"}},
        {
            "name": "c",
            "projected": {"sources": [{"configMap": {"name": "settings"}}, {"secret": {"name": "login"}}]},
        },
        {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "e", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "login"}}},
        {"name": "f", "image": {"reference": "example.com/model:1"}},
    ],
}
APP: Obj = {
    "apiVersion": f"{GROUP}/v1beta2",
    "kind": "App",
    "metadata": {"name": "web"},
    "spec": {
        "endpoints": [{"name": "db", "port": 5432, "certAndCaSecretName": "login"}],
        "tlsEgresses": [{"localPort": 1, "fqdn": "a.b", "certAndCaSecretName": "login"}],
        "pod": POD,
    },
}
SCALER: Obj = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {"scaleTargetRef": {"apiVersion": f"{GROUP}/v1beta2", "kind": "App", "name": "web"}, "maxReplicas": 3},
}
OTHERS: list[Obj] = [
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runner"}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}},
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {}},
]


@pytest.fixture
def build(kubectl: Tool, tmp_path: Path) -> Any:
    def built(resources: list[Obj], **fields: Any) -> dict[tuple[str, str, str, str], Obj]:
        shutil.copy(CONFIGURATION, tmp_path)
        (tmp_path / "all.yaml").write_text("---\n".join(json.dumps(obj) + "\n" for obj in resources))
        kustomization = {"resources": ["all.yaml"], "configurations": [CONFIGURATION.name], **fields}
        (tmp_path / "kustomization.yaml").write_text(json.dumps(kustomization))
        return objects(kubectl("kustomize", tmp_path))

    return built


def the(found: dict[tuple[str, str, str, str], Obj], kind: str) -> Obj:
    [obj] = [obj for (_, its_kind, _, _), obj in found.items() if its_kind == kind]
    return obj


def texts(node: Any) -> list[str]:
    """All texts in ``node``, keys excepted."""
    if isinstance(node, dict):
        return [text for value in node.values() for text in texts(value)]
    if isinstance(node, list):
        return [text for value in node for text in texts(value)]
    return [node] if isinstance(node, str) else []


def test_images_and_generated_names_reach_an_app(build: Any) -> None:
    """A ConfigMap of a generator has another name with each content: that is what starts new pods."""
    found = build(
        [APP],
        namespace="acme",
        configMapGenerator=[{"name": "settings", "literals": ["A=1"]}],
        images=[{"name": "example.com/web", "newTag": "2"}, {"name": "example.com/model", "newTag": "3"}],
        replicas=[{"name": "web", "count": 4}],
    )
    app, settings = the(found, "App"), the(found, "ConfigMap")
    assert settings["metadata"]["name"].startswith("settings-")
    assert app["metadata"]["namespace"] == "acme"
    assert app["spec"]["initialReplicas"] == 4
    said = texts(app["spec"]["pod"])
    assert said.count(settings["metadata"]["name"]) == 6
    assert "settings" not in said
    assert {text for text in said if "example.com" in text} == {
        "example.com/web:2",
        "example.com/setup:1",
        "example.com/model:3",
    }


def test_every_name_in_an_app_follows(build: Any) -> None:
    found = build(
        [APP, SCALER, *OTHERS],
        namePrefix="blue-",
        configMapGenerator=[{"name": "settings", "literals": ["A=1"], "options": {"disableNameSuffixHash": True}}],
        secretGenerator=[{"name": "login", "literals": ["A=1"], "options": {"disableNameSuffixHash": True}}],
    )
    app = the(found, "App")
    assert app["metadata"]["name"] == "blue-web"
    said = texts(app["spec"])
    for name in NAMES:
        assert name not in said, f"{name} is not renamed everywhere"
        assert f"blue-{name}" in said
    assert the(found, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "blue-web"


def test_a_canary_follows_the_name_of_its_app(build: Any) -> None:
    main = {**APP, "metadata": {"name": "main"}}
    canary = {**APP, "spec": {**APP["spec"], "canaryOf": "main", "weight": 5}}
    found = build([main, canary], namePrefix="blue-")
    apps = {obj["metadata"]["name"]: obj for (_, kind, _, _), obj in found.items() if kind == "App"}
    assert set(apps) == {"blue-main", "blue-web"}
    assert apps["blue-web"]["spec"]["canaryOf"] == "blue-main"
