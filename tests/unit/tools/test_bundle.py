"""The bundle for the Operator Lifecycle Manager says the same as the manifests, within what OLM allows."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from decco import __version__
from decco.settings import Settings
from tools.release import bundle
from tools.release.images import REGISTRY
from tools.release.parts import MANIFESTS

EPOCH = 1_796_000_000
SUPPORTED = {"ClusterServiceVersion", "CustomResourceDefinition", "ClusterRole", "Service", "PodDisruptionBudget"} | {
    "NetworkPolicy"
}
"""Of operator-registry's list, pkg/lib/bundle/supported_resources.go."""
FILES = bundle.files(EPOCH)
OBJECTS = {name: yaml.safe_load(text) for name, text in FILES.items() if name.startswith("manifests/")}
VERSION = bundle.service_version(EPOCH)


def controller(kind: str) -> list[dict[str, Any]]:
    found = yaml.safe_load_all((MANIFESTS / "rbac/controller.yaml").read_text())
    return [each for each in found if each["kind"] == kind]


def test_kinds_that_a_bundle_can_contain() -> None:
    assert {each["kind"] for each in OBJECTS.values()} == SUPPORTED


def test_the_parts_of_its_format() -> None:
    assert {name.partition("/")[0] for name in FILES} == {"manifests", "metadata", "tests", "bundle.Dockerfile"}
    annotations = yaml.safe_load(FILES["metadata/annotations.yaml"])["annotations"]
    assert annotations["operators.operatorframework.io.bundle.package.v1"] == "decco"
    for name, value in annotations.items():
        assert f"LABEL {name}={value}\n" in FILES["bundle.Dockerfile"]
    assert {"tests/scorecard/config.yaml", f"manifests/{bundle.PACKAGE}.clusterserviceversion.yaml"} <= FILES.keys()


@pytest.mark.parametrize(("kind", "key"), [("ClusterRole", "clusterPermissions"), ("Role", "permissions")])
def test_the_account_has_the_rules_of_the_roles_that_are_bound_to_it(kind: str, key: str) -> None:
    bound = {each["roleRef"]["name"] for each in controller(f"{kind}Binding")}
    rules = [rule for each in controller(kind) if each["metadata"]["name"] in bound for rule in each["rules"]]
    [given] = VERSION["spec"]["install"]["spec"][key]
    assert given == {"serviceAccountName": "decco-controller", "rules": rules}
    assert len(rules) > 2


def test_the_role_that_the_controller_binds_by_name_is_an_object() -> None:
    [role] = [each for each in OBJECTS.values() if each["metadata"]["name"] == "decco-controller-secrets"]
    assert role["rules"] == next(
        each["rules"] for each in controller("ClusterRole") if each["metadata"]["name"] == "decco-controller-secrets"
    )


def test_the_controller_takes_its_settings_from_variables() -> None:
    """OLM would overwrite a ConfigMap, and a missing one would keep the pods from starting."""
    [deployment] = VERSION["spec"]["install"]["spec"]["deployments"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert "args" not in container
    assert {each["name"] for each in pod["volumes"]} == {each["name"] for each in container["volumeMounts"]} == {"tmp"}
    assert pod["serviceAccountName"] == "decco-controller"
    assert container["image"] == f"{REGISTRY}/controller:{__version__}"


def test_the_images_are_those_of_the_settings() -> None:
    assert Settings().sidecar.image == f"{REGISTRY}/stunnel:{__version__.rpartition('.')[0]}"


def test_the_examples_are_one_of_each_kind() -> None:
    examples = json.loads(VERSION["metadata"]["annotations"]["alm-examples"])
    assert sorted(each["kind"] for each in examples) == ["App", "Space"]
    assert {each["kind"] for each in VERSION["spec"]["customresourcedefinitions"]["owned"]} == {"App", "Space"}


def test_no_file_has_an_alias() -> None:
    """Not all readers of YAML of catalogs follow them."""
    for name, text in FILES.items():
        assert "&id" not in text, name
