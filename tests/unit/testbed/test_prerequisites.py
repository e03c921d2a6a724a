"""What the machine must have: who gets it installed, who gets one command, and that no skip hides it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from images.stunnel import build_root as sidecar
from testbed import packages, prerequisites
from testbed.images import engine
from testbed.prerequisites import GO, VENV, Need

CHECKOUT = Path(prerequisites.__file__).resolve().parent.parent
HERE = Need("shell", "/bin/s[h]", "tests")
LACKING = (Need("gcc-lacking", "no-such-gcc", "compiling"), Need("libc-lacking", "/no/such/file", "headers"))
ROOTS = Need("runc-lacking", "no-such-runc", "containers", root=True)


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Debian, not root, that lacks some packages; the list is what gets installed."""
    installed: list[list[str]] = []
    for name in ("CI", prerequisites.ALLOW, "NODE", "E2E_KUBECONFIG", "E2E_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(packages, "is_debian", lambda: True)
    monkeypatch.setattr(packages, "install", lambda names: installed.append(list(names)))
    monkeypatch.setitem(prerequisites.TARGETS, "unit", (HERE, *LACKING, *LACKING, ROOTS))
    return installed


def test_without_root_one_command_is_printed(debian: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert prerequisites.main(["unit", "unit"]) == 2
    said = capsys.readouterr().err
    assert re.findall("apt-get install.*", said) == ["apt-get install --no-install-recommends gcc-lacking libc-lacking"]
    assert debian == []


def test_root_gets_them_installed(debian: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert prerequisites.main(["unit"]) == 2, "they are still not there"
    assert debian == [["gcc-lacking", "libc-lacking", "runc-lacking"]]


def test_elsewhere_programs_and_files_are_named(
    debian: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "is_debian", lambda: False)
    assert prerequisites.main(["unit"]) == 2
    assert "install what has these programs and files: /no/such/file no-such-gcc" in capsys.readouterr().err


def test_a_target_may_go_on_without_them(debian: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prerequisites.ALLOW, "1")
    assert prerequisites.main(["unit"]) == 0


def test_a_node_needs_root(debian: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "is_here", lambda _: True)
    monkeypatch.setattr(prerequisites.assets, "without_go", lambda: True)
    assert prerequisites.main(["demo", "e2e-sample"]) == 0
    assert prerequisites.main(["e2e"]) == 2
    monkeypatch.setenv("NODE", "1")
    assert prerequisites.main(["demo"]) == 2


def test_a_skip_is_a_failure_where_the_package_could_be_had(
    debian: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not prerequisites.strict()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert prerequisites.strict()
    monkeypatch.setenv(prerequisites.ALLOW, "1")
    assert not prerequisites.strict()
    monkeypatch.setenv("CI", "true")
    assert prerequisites.strict()


def test_a_reason_is_empty_when_all_is_here(debian: list[list[str]]) -> None:
    assert prerequisites.reason(HERE) == ""
    assert prerequisites.reason(HERE, *LACKING).startswith("MISSING gcc-lacking, libc-lacking: ")


def test_the_sidecars_recipe_asks_for_the_same_packages() -> None:
    assert {need.package for need in prerequisites.SIDECAR} == set(sidecar.PACKAGES)


def test_buildah_is_not_needed_where_docker_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "path_of", lambda _: None)
    for docker in (False, True):
        monkeypatch.setattr(engine, "has_docker", lambda docker=docker: docker)
        assert [prerequisites.is_here(need) for need in prerequisites.ENGINE] == [docker, docker]


def test_the_targets_are_the_makefiles() -> None:
    named = {*prerequisites.TARGETS, *prerequisites.NEED_ROOT, *prerequisites.WITHOUT_CONTROL_PLANE}
    assert named <= set(re.findall(r"^([a-z0-9-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    assert all(need.package for need in prerequisites.needs("test") if need not in {GO, VENV})


@pytest.mark.parametrize(
    ("text", "expected"), [("ID=debian\n", True), ('ID=mint\nID_LIKE="ubuntu x"\n', True), ("ID=fedora\n", False)]
)
def test_what_is_debian(text: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    (tmp_path / "os-release").write_text(text)
    assert packages.is_debian(tmp_path / "os-release") is expected


def test_apt_gets_a_list_when_it_has_none_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$RUNLEVEL $DEBIAN_FRONTEND $3" >> {tmp_path}/calls\n'
        f'[ "$3" = update ] && : > {tmp_path}/list; [ -e {tmp_path}/list ]\n'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    packages.install(["gcc"])
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [f"1 noninteractive {word}" for word in ("install", "update", "install")]
