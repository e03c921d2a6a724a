"""YAML in the guides: settings are valid settings, and Spaces and Apps are what admission allows."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from decco.desired.reasons import SPACE_NOT_FOUND
from decco.settings import Settings
from decco.settings.load import load
from decco.views import documents
from decco.views.simulation import simulate
from decco.views.simulation_findings import findings, prevents_rendering
from decco.views.snapshot import from_documents

ROOT = Path(__file__).parents[3]
FENCE = re.compile(r"^(?P<indent> *)```(?:yaml|sh run)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
SECTIONS = {field.alias or name for name, field in Settings.model_fields.items()}
GROUP = "decco.platform9.com/v1beta2"


def _blocks() -> Iterator[tuple[str, list[Any]]]:
    """Page and line, and the documents of a block; what is no YAML, such as a script, is left out."""
    for page in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]):
        if "design" in page.parts:
            continue
        text = page.read_text()
        for found in FENCE.finditer(text):
            lines = found["text"].splitlines()
            plain = "\n".join(line.removeprefix(found["indent"]) for line in lines)
            where = f"{page.relative_to(ROOT).as_posix()}:{text.count(chr(10), 0, found.start()) + 1}"
            try:
                yield where, [each for each in yaml.safe_load_all(plain) if each is not None]
            except yaml.YAMLError:
                assert "apiVersion" not in plain or "<<" in plain, f"{where} is no YAML"


BLOCKS = list(_blocks())
SETTINGS = [
    (where, document)
    for where, found in BLOCKS
    for document in found
    if isinstance(document, dict) and "kind" not in document and document.keys() <= SECTIONS
]
OBJECTS = [
    (where, document)
    for where, found in BLOCKS
    for document in found
    if isinstance(document, dict) and document.get("apiVersion") == GROUP
]


def test_there_are_such_blocks() -> None:
    assert len(SETTINGS) > 5
    assert len(OBJECTS) > 5


@pytest.mark.parametrize(("where", "settings"), SETTINGS, ids=[where for where, _ in SETTINGS])
def test_settings(where: str, settings: dict[str, Any], tmp_path: Path) -> None:
    del where
    file = tmp_path / "decco.yaml"
    file.write_text(yaml.safe_dump(settings))
    load({}, {}, file)


@pytest.mark.parametrize(("where", "obj"), OBJECTS, ids=[f"{where}-{obj['kind']}" for where, obj in OBJECTS])
def test_spaces_and_apps(where: str, obj: dict[str, Any], tmp_path: Path) -> None:
    del where
    if obj["kind"] == "App" and obj["spec"].get("pod") == "...":
        obj["spec"]["pod"] = {"containers": [{"name": "a", "image": "a", "ports": [{"containerPort": 80}]}]}
    file = tmp_path / "object.yaml"
    file.write_text(yaml.safe_dump(obj))
    snapshot = from_documents(documents.read([str(file)], io.StringIO()), Settings())
    assert [each.text for each in snapshot.warnings if "unknown field" in each.text] == []
    result = asyncio.run(simulate(snapshot, datetime(2026, 1, 1, tzinfo=UTC)))
    fatal = [each for each in findings(snapshot, result, []) if prevents_rendering(each)]
    assert [each.text for each in fatal if each.name != SPACE_NOT_FOUND] == []
