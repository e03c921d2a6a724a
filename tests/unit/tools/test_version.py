"""The version is written in one place: all others follow from it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from decco import __version__
from tools import version

ROOT = Path(__file__).parents[3]


def test_files_have_it() -> None:
    for name, text in version.outputs().items():
        assert (ROOT / name).read_text() == text


def test_the_package_takes_it_from_the_source() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    source = (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text()
    assert re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE) == [__version__]


def test_another_version_changes_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "PLACES", [(name, pattern, "7.8.9") for name, pattern, _ in version.PLACES])
    for name, text in version.outputs().items():
        assert "7.8.9" in text, name
        assert f":{__version__}" not in text, name


def test_a_place_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "PLACES", [("README.md", "no such text", "1")])
    with pytest.raises(ValueError, match=r"README\.md has 0 places"):
        version.outputs()
