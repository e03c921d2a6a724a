"""Programs that evaluate NetworkPolicies: when they are built again, and what is reported when they cannot be built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from testbed import enforcer, gotool, netpol, packages
from testbed.found import AssetsMissing


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the module's folder, an empty cache, and no Go."""
    shutil.copytree(gotool.HERE / netpol.MODULE, tmp_path / "testbed" / netpol.MODULE)
    monkeypatch.setattr(gotool, "HERE", tmp_path / "testbed")
    monkeypatch.setenv("DECCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "testbed" / netpol.MODULE


@pytest.mark.parametrize("name", netpol.PROGRAMS)
def test_without_go_the_message_says_what_to_install(module: Path, name: str) -> None:
    with pytest.raises(AssetsMissing, match=f"netpol-{name} .* is not to be had: .*install Go"):
        netpol.provide(name)


@pytest.mark.parametrize("file", ["evaluator/main.go", "go.sum"])
def test_a_changed_source_is_another_program(module: Path, file: str) -> None:
    with pytest.raises(AssetsMissing) as before:
        netpol.provide("evaluator")
    with (module / file).open("a") as source:
        source.write("\n")
    with pytest.raises(AssetsMissing) as after:
        netpol.provide("evaluator")
    assert str(before.value).split()[1] != str(after.value).split()[1]


def test_the_enforcer_says_what_it_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert enforcer.missing() in {"needs root", "needs Linux"}
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(packages, "path_of", lambda name: None if name == "iptables" else Path("/sbin") / name)
    assert enforcer.missing() in {"needs the programs iptables", "needs Linux"}
