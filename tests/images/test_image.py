"""The image as its Dockerfile builds it: its content, and run as a container would: process 1, not root."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images.stunnel import build_root
from testbed.images import engine
from tests.images.pki import Authority
from tests.images.rig import LOADED, App, Pod, Sidecar, ask, ask_plain, children, egress, free_ports, server, until

needs_packages = pytest.mark.skipif(
    not build_root.AUTHORITIES.exists() or shutil.which("dpkg-query") is None,
    reason="MISSING Debian with ca-certificates: THE SIDECAR'S IMAGE IS NOT LAID OUT",
)


def test_it_holds_what_runs_and_no_more(root: Path) -> None:
    programs = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and os.access(path, os.X_OK)}
    assert {path for path in programs if ".so" not in path} == {"entry", "usr/bin/stunnel4"}
    assert len(list(root.rglob("libgcc_s.so.1"))) == 1  # no program names it
    assert (root / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE") > 100
    assert "hosts: files dns" in (root / "etc/nsswitch.conf").read_text()
    assert (root / "var/lib/dpkg/status.d/libssl3").read_text().startswith("Package: libssl3\n")
    assert (root / "usr/share/doc/stunnel4/copyright").exists()


def test_all_its_files_are_plain(root: Path) -> None:
    """No link that leads out of it, nothing that only root may read or anybody may write, no time of this machine."""
    for path in root.rglob("*"):
        info = path.lstat()
        assert stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode), path
        assert stat.S_IMODE(info.st_mode) in {0o755, 0o644}, path
        assert (info.st_uid, info.st_gid) == (0, 0), path
        assert info.st_mtime == engine.EPOCH, path
    assert str(build_root.HERE).encode() not in (root / "entry").read_bytes()


@needs_packages
def test_its_content_is_the_same_each_time(tmp_path: Path) -> None:
    """From this machine's packages; tests/packaging builds the whole image twice."""
    first, again = tmp_path / "first", tmp_path / "again"
    build_root.build_root(first, epoch=1_700_000_000)
    build_root.build_root(again)
    assert {path.relative_to(first) for path in first.rglob("*")} == {
        path.relative_to(again) for path in again.rglob("*")
    }
    for path in first.rglob("*"):
        assert path.stat().st_mtime == 1_700_000_000
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(first)).read_bytes(), path


@needs_packages
def test_a_folder_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").touch()
    assert build_root.main([str(tmp_path)]) == 1
    assert f"{tmp_path} is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "b"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert build_root.main(arguments) == 2
    assert "usage: build_root.py <folder>" in capsys.readouterr().err


def test_it_starts_as_decco_expects(unpacked: tuple[Path, dict[str, Any]]) -> None:
    _, config = unpacked
    assert config["Entrypoint"] == [build_root.ENTRYPOINT]
    assert config["Cmd"] == [build_root.CONFIG]
    assert config["User"] == f"{build_root.USER_ID}:{build_root.USER_ID}"
    assert config["Labels"]["org.opencontainers.image.title"] == "decco TLS sidecar"


class Container:
    """Volumes in the image's own places, and a command that starts it there: new mounts and processes, same network."""

    def __init__(self, root: Path, folder: Path, authority: Authority) -> None:
        self.root = folder / "root"
        shutil.copytree(root, self.root, symlinks=True)
        for name in ("stunnel", "tls"):
            (self.root / "etc/decco" / name).rmdir()
        (self.root / "dev/null").touch()
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        self.pod = Pod(self.root / "etc/decco", {"own": authority.leaf("server.test")})
        self.user = f"{build_root.USER_ID}:{build_root.USER_ID}"

    @property
    def command(self) -> list[str]:
        script = f"""
            mount --bind {self.root} {self.root}
            mount -t proc proc {self.root}/proc
            mount --bind /dev/null {self.root}/dev/null
            mount -o remount,bind,ro {self.root}
            (sleep 0.2 &)
            exec chroot --userspec={self.user} {self.root} \
                {build_root.ENTRYPOINT} {build_root.CONFIG}
        """
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script]

    def close(self) -> None:
        shutil.rmtree(self.root)


@pytest.fixture
def container(root: Path, tmp_path: Path, apps: tuple[App, App], authority: Authority) -> Iterator[Container]:
    made = Container(root, tmp_path, authority)
    yield made
    made.close()


def test_it_runs_as_a_user_that_the_cluster_chooses(
    container: Container, apps: tuple[App, App], authority: Authority
) -> None:
    """As on OpenShift: a user id that is in no file, in the group root."""
    container.user = "1000660000:0"
    inside, outside = free_ports(2)
    text = container.pod.text(server("web", inside, apps[0]), egress(outside, inside, "server.test"))
    container.pod.write_text(text.replace(str(container.root), ""))
    with Sidecar(container.command) as sidecar:
        sidecar.await_log(LOADED)
        assert (ask(inside)[0], ask_plain(outside)) == ("one", "one")
        with sidecar.change():
            container.pod.renew("own", authority.leaf("server.test"))


def test_it_runs_as_a_container(container: Container, apps: tuple[App, App], authority: Authority) -> None:
    """Real TLS in and out, a renewal, an orphan that must not stay, and an orderly end, as process 1."""
    inside, outside = free_ports(2)
    text = container.pod.text(server("web", inside, apps[0]), egress(outside, inside, "server.test"))
    container.pod.write_text(text.replace(str(container.root), ""))
    with Sidecar(container.command) as sidecar:
        sidecar.await_log(LOADED)
        (entry,) = children(sidecar.process.pid)
        assert Path(f"/proc/{entry}/root").readlink() == container.root
        status = Path(f"/proc/{entry}/status").read_text()
        assert re.search(rf"^Uid:(\s+{build_root.USER_ID}){{4}}$", status, re.MULTILINE)
        assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert (ask(inside)[0], ask_plain(outside)) == ("one", "one")
        leaf = authority.leaf("server.test")
        with sidecar.change():
            container.pod.renew("own", leaf)
        assert (ask(inside)[1], ask_plain(outside)) == (leaf.serial, "one")
        until(lambda: len(children(entry)) == 1)  # stunnel; the orphan was sleep(1)
        os.kill(entry, 15)
        assert sidecar.wait() == 0
        assert "stunnel ended with status 0" in sidecar.log


def test_its_libraries_are_all_there(container: Container) -> None:
    """And nothing is taken from this machine: below the image there is nothing else."""
    script = f"mount --bind /dev/null {container.root}/dev/null; exec chroot {container.root} /entry --version"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script], capture_output=True, text=True, check=False, timeout=10
    )
    assert done.returncode == 0, done.stderr
    assert "stunnel 5." in done.stderr
