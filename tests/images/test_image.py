"""The image's content, laid out from this machine's packages, and run as a container would: process 1, not root."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from images.stunnel import build_root
from testbed.images.stunnel import stunnel
from tests.images.pki import Authority
from tests.images.rig import LOADED, App, Pod, Sidecar, ask, ask_plain, children, egress, free_ports, server, until

needs_packages = pytest.mark.skipif(
    not build_root.AUTHORITIES.exists() or shutil.which("dpkg-query") is None,
    reason="MISSING Debian with ca-certificates: THE SIDECAR'S IMAGE IS NOT LAID OUT",
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="THE SIDECAR'S IMAGE IS NOT RUN: chroot and unshare need root"
)
DOCKERFILE = (build_root.HERE / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image") / "root"
    build_root.build_root(folder, epoch=1_700_000_000)
    return folder


@needs_packages
def test_it_holds_what_runs_and_no_more(root: Path) -> None:
    programs = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and os.access(path, os.X_OK)}
    assert {path for path in programs if ".so" not in path} == {"entry", "usr/bin/stunnel4"}
    assert len(list(root.rglob("libgcc_s.so.1"))) == 1  # no program names it
    assert (root / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE") > 100
    assert "hosts: files dns" in (root / "etc/nsswitch.conf").read_text()
    assert (root / "var/lib/dpkg/status.d/libssl3").read_text().startswith("Package: libssl3\n")
    assert (root / "usr/share/doc/stunnel4/copyright").exists()


@needs_packages
def test_all_its_files_are_plain(root: Path) -> None:
    """No link that leads out of it, nothing that only root may read or anybody may write, no time of this machine."""
    for path in [root, *root.rglob("*")]:
        info = path.lstat()
        assert stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode), path
        assert stat.S_IMODE(info.st_mode) in {0o755, 0o644}, path
        assert info.st_mtime == 1_700_000_000, path
    assert str(build_root.HERE).encode() not in (root / "entry").read_bytes()


@needs_packages
def test_it_is_the_same_each_time(root: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    build_root.build_root(again)
    assert {path.relative_to(root) for path in root.rglob("*")} == {
        path.relative_to(again) for path in again.rglob("*")
    }
    for path in root.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(root)).read_bytes(), path


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


def test_the_dockerfile_says_the_same() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert last.startswith("scratch\n")
    assert f'ENTRYPOINT ["{build_root.ENTRYPOINT}"]' in last
    assert f'CMD ["{build_root.CONFIG}"]' in last
    assert f"USER {build_root.USER_ID}:{build_root.USER_ID}" in last
    installed = re.search(r"--no-install-recommends \\\n(.*)\n", DOCKERFILE)
    assert installed is not None
    assert set(installed.group(1).split()) == {*build_root.PACKAGES, "python3"}


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


@needs_packages
@needs_root
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


@needs_packages
@needs_root
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


@needs_packages
@needs_root
def test_its_libraries_are_all_there(container: Container) -> None:
    """And nothing is taken from this machine: below the image there is nothing else."""
    script = f"mount --bind /dev/null {container.root}/dev/null; exec chroot {container.root} /entry --version"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script], capture_output=True, text=True, check=False, timeout=10
    )
    assert done.returncode == 0, done.stderr
    assert "stunnel 5." in done.stderr


@needs_packages
def test_the_testbeds_archive_holds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECCO_CACHE", str(tmp_path / "cache"))
    image = stunnel()
    build_root.build_root(tmp_path / "root")
    with tarfile.open(image.archive) as archive:
        index = json.load(_member(archive, "index.json"))
        manifest = json.load(_member(archive, _path(index["manifests"][0])))
        with tarfile.open(fileobj=_member(archive, _path(manifest["layers"][0]))) as tar:
            tar.extractall(tmp_path / "found", filter="tar")
    expected = {path.relative_to(tmp_path / "root"): path for path in (tmp_path / "root").rglob("*")}
    found = {path.relative_to(tmp_path / "found"): path for path in (tmp_path / "found").rglob("*")}
    assert set(found) == set(expected)
    for name, path in expected.items():
        assert found[name].stat().st_mode == path.stat().st_mode, name
        assert path.is_dir() or found[name].read_bytes() == path.read_bytes(), name


def _path(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    assert file is not None
    return file
