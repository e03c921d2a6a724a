"""The chart's copies follow manifests/: what changed, what is new and what is gone is found, said and put right."""

from __future__ import annotations

from pathlib import Path

import pytest

from decco import __version__
from testbed import chart
from testbed.manifests import MANIFESTS


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "a.yaml").write_text("a: 1\n")
    (tmp_path / "rbac").mkdir()
    (tmp_path / "rbac" / "b.yaml").write_text("b: 1\n")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "not-copied.yaml").write_text("")
    assert chart.main([], tmp_path) == 0
    return tmp_path


def test_copies_are_made_and_then_there_is_nothing_to_do(manifests: Path) -> None:
    files = manifests / "chart" / "files"
    copies = {str(path.relative_to(files)): path.read_text() for path in files.rglob("*") if path.is_file()}
    assert copies == {"crds/a.yaml": "a: 1\n", "rbac/b.yaml": "b: 1\n"}
    assert chart.main(["--check"], manifests) == 0


def test_what_has_drifted_is_named_and_put_right(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (manifests / "crds" / "a.yaml").write_text("a: 2\n")
    (manifests / "rbac" / "b.yaml").unlink()
    (manifests / "policies").mkdir()
    (manifests / "policies" / "c.yaml").write_text("c: 1\n")
    assert chart.main(["--check"], manifests) == 1
    said = capsys.readouterr().err
    for name in ("crds/a.yaml", "policies/c.yaml", "rbac/b.yaml"):
        assert f"manifests/chart/files/{name} is stale: run `make generate`" in said
    assert chart.main([], manifests) == 0
    assert chart.stale(manifests) == {}
    assert not (manifests / "chart" / "files" / "rbac" / "b.yaml").exists()


def test_the_base_names_every_file_and_the_chart_the_version() -> None:
    base = (MANIFESTS / "kustomization.yaml").read_text()
    for folder in ("crds", "rbac", "policies", "controller"):
        for file in (MANIFESTS / folder).glob("*.yaml"):
            assert f"\n- {folder}/{file.name}\n" in base
    described = (MANIFESTS / "chart" / "Chart.yaml").read_text()
    assert f"\nversion: {__version__}\nappVersion: {__version__}\n" in described
