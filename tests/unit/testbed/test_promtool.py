"""Where promtool comes from, and the error where none can be provided."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import promtool
from testbed.found import AssetsMissing


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("DECCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_one_on_the_path_is_used(machine: Path) -> None:
    on_path = program(machine / "bin" / "promtool", "")
    assert promtool.provide() == on_path


def test_debians_package_is_unpacked_once_after_an_update_if_need_be(machine: Path) -> None:
    updated = machine / "updated"
    program(
        machine / "bin" / "apt-get",
        f'[ "$1" = update ] && : > {updated}\n[ "$1" = download ] && [ -e {updated} ] && : > prometheus_2_amd64.deb',
    )
    program(
        machine / "bin" / "dpkg-deb",
        '/bin/mkdir -p "$3/usr/bin"; echo packaged > "$3/usr/bin/promtool"; /bin/chmod +x "$3/usr/bin/promtool"',
    )
    found = promtool.provide()
    assert found.read_text() == "packaged\n"
    (machine / "bin" / "apt-get").unlink()
    assert promtool.provide() == found


def test_elsewhere_it_says_what_to_install(machine: Path) -> None:
    with pytest.raises(AssetsMissing, match=r"promtool is not to be had.*install Prometheus"):
        promtool.provide()
