"""Where Helm comes from: the cache, PATH if it is Helm 3, a build; and the error where none can be provided."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import cache, helm
from testbed.found import AssetsMissing
from testbed.versions import HELM_VERSION


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it: an empty cache and an empty PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("DECCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_cache_comes_before_the_path(machine: Path) -> None:
    program(machine / "bin" / "helm", "echo v3.19.0+g1234567")
    cached = program(cache.programs("helm", HELM_VERSION) / "helm", "")
    assert helm.provide() == cached


def test_helm_3_on_the_path_is_used(machine: Path) -> None:
    on_path = program(machine / "bin" / "helm", "echo v3.19.0+g1234567")
    assert helm.provide() == on_path


@pytest.mark.parametrize("other", ["echo v4.0.1+g1234567", "echo 'Client: v2.17.0'", "exit 1"])
def test_another_helm_is_not_used_and_one_is_built(machine: Path, other: str) -> None:
    program(machine / "bin" / "helm", other)
    program(
        machine / "bin" / "go",
        'while [ "$1" != -o ]; do shift; done\necho built > "$2"; /bin/chmod +x "$2"',
    )
    assert helm.provide() == cache.programs("helm", HELM_VERSION) / "helm"


def test_without_helm_and_go_it_says_what_to_install(machine: Path) -> None:
    with pytest.raises(AssetsMissing, match=r"no `go` on PATH.*(?s:.*)Install Go or Helm 3"):
        helm.provide()


def test_the_committed_module_is_of_the_version_that_is_asked_for() -> None:
    assert f"helm.sh/helm/v3 v{HELM_VERSION}" in (helm.MODULE / "go.mod").read_text()
    assert f"helm.sh/helm/v3 v{HELM_VERSION} h1:" in (helm.MODULE / "go.sum").read_text()
