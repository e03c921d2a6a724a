"""The CRDs as data: structural, complete, the same each time; and the generated files in the checkout are these."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from decco.api.crd import crds, crds_yaml
from decco.api.model import FreeForm, Model
from tests.sample import thorough
from tools import generate
from tools.crd.kinds import generated, to_yaml
from tools.crd.schema import Schema, structural_schema

SPACE, APP = (crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in generated())


def nodes(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")


@pytest.mark.parametrize("schema", [SPACE, APP], ids=["space", "app"])
def test_every_node_has_a_type_and_every_field_a_description(schema: Schema) -> None:
    for path, node in nodes(schema):
        assert "type" in node or node.get("x-kubernetes-int-or-string") is True, path
        inner = path.startswith((".spec", ".status")) and not path.endswith("[]")
        assert not inner or node.get("description", "").endswith("."), path


@pytest.mark.parametrize("schema", [SPACE, APP], ids=["space", "app"])
def test_the_input_of_each_rule_is_bounded(schema: Schema) -> None:
    """The API server estimates the cost of a rule from these limits."""
    for path, node in nodes(schema["properties"]["spec"], "spec"):
        if path.startswith("spec.pod") or "enum" in node:
            continue
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("type", "string") == "string":
            assert "maxLength" in node, path


def test_defaults_are_stored_where_they_say_something() -> None:
    """Never in an item of a list: a tool that compares lists as a whole would see a difference from the file."""
    found = {path: node["default"] for schema in (SPACE, APP) for path, node in nodes(schema) if "default" in node}
    assert found == {
        ".spec.podSecurity": "baseline",
        ".spec.isolation": "Standard",
        ".spec.egressPolicy": "Open",
        ".spec.certificates.issuerRef.kind": "Issuer",
        ".spec.certificates.issuerRef.group": "cert-manager.io",
        ".spec.limits.requestRate.unit": "Second",
        ".spec.mesh": "None",
        ".spec.topology.zoneSpread": "Off",
        ".spec.initialReplicas": 1,
        ".spec.disruptionBudget.mode": "Auto",
        ".status": {"observedGeneration": -1},
    }


def test_both_spellings_have_one_schema() -> None:
    spec = APP["properties"]["spec"]["properties"]
    assert {**spec["tlsEgresses"], "description": ""} == {**spec["egresses"], "description": ""}


@thorough
def test_quoted_where_yaml_would_read_something_else() -> None:
    """``Off`` is a boolean in YAML 1.1, which is what Kubernetes reads."""
    assert list(yaml.safe_load_all(to_yaml(generated()))) == generated()
    assert "default: 'Off'" in to_yaml(generated())


def test_the_package_has_the_generated_crds() -> None:
    assert crds_yaml() == to_yaml(generated())
    assert list(crds()) == generated()


@thorough
def test_the_same_in_another_process() -> None:
    """No set, hash or clock decides the order of anything."""
    script = "import sys; from tools.crd.kinds import generated, to_yaml; sys.stdout.write(to_yaml(generated()))"
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{generate.CHECKOUT}:{generate.CHECKOUT / 'src'}"}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == to_yaml(generated())


@thorough
def test_the_checkout_is_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


@thorough
def test_a_stale_checkout_is_named_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifests").mkdir()
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    stale = tmp_path / "manifests/crds/decco.platform9.com_apps.yaml"
    stale.write_text(stale.read_text().replace("maxItems: 64", "maxItems: 65"))
    (tmp_path / "docs/reference/space.md").unlink()
    capsys.readouterr()
    assert generate.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [
        "docs/reference/space.md is stale: run `make generate` and commit the result",
        "manifests/crds/decco.platform9.com_apps.yaml is stale: run `make generate` and commit the result",
    ]
    assert "65" in stale.read_text(), "--check writes nothing"
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0


def test_outside_a_checkout_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main([], tmp_path) == 2
    assert list(tmp_path.iterdir()) == []
    assert "is not a checkout of decco" in capsys.readouterr().err


def test_a_schema_from_a_model() -> None:
    class Inner(Model):
        """Dropped where it is an item, since the list says it better."""

        b: bool = False
        """A flag."""

    class Outer(Model):
        one: Inner | None = None
        """One of
        them."""
        many: Annotated[tuple[Inner, ...], Field(max_length=2)] = ()
        """More."""
        free: FreeForm | None = None
        """Anything."""
        text: str = "x"
        """Some text."""

    flag = {"description": "A flag.", "type": "boolean"}
    assert structural_schema(Outer) == {
        "type": "object",
        "properties": {
            "one": {"description": "One of them.", "type": "object", "properties": {"b": flag}},
            "many": {
                "description": "More.",
                "type": "array",
                "maxItems": 2,
                "items": {"type": "object", "properties": {"b": flag}},
            },
            "free": {"description": "Anything.", "type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "text": {"description": "Some text. Default: x.", "type": "string", "default": "x"},
        },
    }


@pytest.mark.parametrize("wrong", [int | str, dict[str, int], tuple[int, str]])
def test_what_crds_do_not_know_is_an_error(wrong: Any) -> None:
    model = type("Wrong", (Model,), {"__annotations__": {"field": wrong}, "__module__": __name__})
    with pytest.raises(KeyError, match="has no place in a structural schema"):
        structural_schema(model)
