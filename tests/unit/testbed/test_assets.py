"""Where programs come from, in which order, and the error when there are none."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from testbed import assets, cache, download, etcd, golang, kubernetes_module
from testbed.dns import coredns
from testbed.found import AssetsMissing
from testbed.versions import (
    CONTROL_PLANE,
    COREDNS_MODULE,
    COREDNS_VERSION,
    ETCD_MODULE,
    ETCD_VERSION,
    GATEWAY_API,
    KUBERNETES,
    kubernetes_version,
)
from tests.promises import PATIENCE

VERSION = "1.37.2"
TESTBED = Path(assets.__file__).parent


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it: an empty cache, an empty PATH, no network."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("DECCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(assets, "_official_reachable", lambda: False)
    return tmp_path


def program(path: Path, says: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def cached(machine: Path) -> dict[str, Path]:
    program(machine / "bin" / "etcd", "etcd Version: 3.6.0")
    return {name: program(cache.programs("kubernetes", VERSION) / name) for name in CONTROL_PLANE}


def test_the_cache_is_used(machine: Path) -> None:
    programs = cached(machine)
    assert assets.provide(VERSION).kubernetes == programs


def test_given_programs_come_first_and_the_rest_from_the_cache(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = cached(machine)
    given = machine / "given"
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(given))
    apiserver = program(given / "kube-apiserver", "Kubernetes v1.37.0")
    given_etcd = program(given / "etcd")
    found = assets.provide(VERSION)
    assert found.kubernetes == {**programs, "kube-apiserver": apiserver}
    assert found.etcd == given_etcd


def test_given_programs_of_another_minor_are_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(machine)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(machine / "given"))
    program(machine / "given" / "kube-apiserver", "Kubernetes v1.36.1")
    with pytest.raises(AssetsMissing, match=r"holds Kubernetes v1\.36\.1, but Kubernetes 1\.37\.2 is wanted"):
        assets.provide(VERSION)


def test_a_file_that_cannot_be_run_is_no_program(machine: Path) -> None:
    cached(machine)["kubectl"].chmod(0o644)
    with pytest.raises(AssetsMissing, match="kubectl"):
        assets.provide(VERSION)


def test_without_anything_it_says_what_to_install(machine: Path) -> None:
    with pytest.raises(AssetsMissing) as error:
        assets.provide(VERSION)
    for part in ("kube-apiserver 1.37.2", "no `go` on PATH", "KUBEBUILDER_ASSETS"):
        assert part in str(error.value)
    with pytest.raises(AssetsMissing, match=r"(?s)no `go` on PATH.*no apt-get.*Install Go or etcd"):
        etcd.provide()


@pytest.mark.parametrize(
    ("version", "new"),
    [("3.4.23", False), ("3.4.31", True), ("3.5.12", False), ("3.5.13", True), ("3.6.0", True), ("4.0.0", True)],
)
def test_an_etcd_that_is_old_is_only_a_last_resort(machine: Path, version: str, new: bool) -> None:
    on_path = program(machine / "bin" / "etcd", f"etcd Version: {version}")
    assert etcd.reports_progress(on_path) is new
    assert etcd.provide() == on_path
    built = program(cache.programs("etcd", ETCD_VERSION) / "etcd")
    assert etcd.provide() == built


def test_an_etcd_is_built_rather_than_an_old_one_taken(machine: Path) -> None:
    program(machine / "bin" / "etcd", "etcd Version: 3.4.23")
    program(machine / "bin" / "go").write_text(
        '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho built > "$2"; /bin/chmod +x "$2"\n'
    )
    assert etcd.provide() == cache.programs("etcd", ETCD_VERSION) / "etcd"


def test_debians_etcd_is_unpacked_where_nothing_else_is(machine: Path) -> None:
    program(machine / "bin" / "apt-get").write_text('#!/bin/sh\n[ "$1" = download ] && : > etcd-server_3_amd64.deb\n')
    program(machine / "bin" / "dpkg-deb").write_text(
        '#!/bin/sh\n/bin/mkdir -p "$3/usr/bin"; echo packaged > "$3/usr/bin/etcd"; /bin/chmod +x "$3/usr/bin/etcd"\n'
    )
    found = etcd.provide()
    assert found == machine / "cache" / "etcd" / "debian" / "etcd"
    assert found.read_text() == "packaged\n"
    assert etcd.provide() == found


def test_a_failed_build_shows_the_end_of_what_go_said_and_leaves_nothing(machine: Path) -> None:
    go = program(machine / "bin" / "go")
    go.write_text("#!/bin/sh\necho 'cannot find module' >&2; exit 1\n")
    with pytest.raises(AssetsMissing, match="cannot find module"):
        assets.provide(VERSION)
    assert not any(path.is_file() for path in (machine / "cache" / "kubernetes").rglob("*"))


def test_a_build_gets_the_version_and_lands_in_the_cache(machine: Path) -> None:
    program(machine / "bin" / "etcd", "etcd Version: 3.6.0")
    go = program(machine / "bin" / "go")
    # Writes its arguments and its environment to the file that it is asked to build.
    go.write_text(
        '#!/bin/sh\nall="$* cgo=$CGO_ENABLED work=$GOWORK in=$PWD"\n'
        'while [ "$1" != -o ]; do shift; done\necho "$all" > "$2"; /bin/chmod +x "$2"\n'
    )
    found = assets.provide(VERSION).kubernetes["kube-apiserver"]
    assert found == cache.programs("kubernetes", VERSION) / "kube-apiserver"
    said = found.read_text()
    for part in (
        "version.gitVersion=v1.37.2",
        "version.gitMajor=1",
        "version.gitMinor=37",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "cgo=0 work=off",
        f"in={TESTBED / 'kubernetes' / '1.37'}",
    ):
        assert part in said


def test_a_module_with_other_files_than_expected_is_refused(machine: Path) -> None:
    program(machine / "bin" / "go", '{"Sum": "h1:other", "Dir": "/nowhere"}')
    with pytest.raises(golang.GoFailed, match="h1:other, expected h1:"):
        golang.module_folder(GATEWAY_API, machine)


@pytest.mark.parametrize(
    ("asked", "got"), [(None, "1.37.2"), ("1.34", "1.34.4"), ("v1.37", "1.37.2"), ("1.34.4", "1.34.4")]
)
def test_versions(asked: str | None, got: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBE_VERSION", raising=False)
    assert kubernetes_version(asked) == got
    if asked:
        monkeypatch.setenv("KUBE_VERSION", asked)
        assert kubernetes_version() == got


def test_an_unknown_version_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"'1\.3' is not one of 1\.34, 1\.37"):
        kubernetes_version("1.3")


@pytest.mark.parametrize(("minor", "version"), KUBERNETES.items())
def test_the_committed_modules_are_of_the_versions_that_are_asked_for(minor: str, version: str) -> None:
    folder = TESTBED / "kubernetes" / minor
    go_mod = (folder / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{version}" in go_mod
    assert f"replace k8s.io/api => k8s.io/api v0.{version.removeprefix('1.')}\n" in go_mod
    for name in kubernetes_module.PROGRAMS:
        assert f"k8s.io/kubernetes/cmd/{name}\n" in go_mod
    assert f"k8s.io/kubernetes v{version} h1:" in (folder / "go.sum").read_text()


def test_the_committed_module_of_etcd_is_of_the_version_that_is_asked_for() -> None:
    assert f"{ETCD_MODULE} v{ETCD_VERSION}" in (TESTBED / "etcd_module" / "go.mod").read_text()


def test_staging_modules_are_replaced_by_published_ones() -> None:
    theirs = "module k8s.io/kubernetes\n\ngo 1.26.0\n\nreplace (\n\tk8s.io/b => ./staging/src/k8s.io/b\n)\n"
    theirs += "replace k8s.io/a => ./staging/src/k8s.io/a\nreplace other => ./other\n"
    assert kubernetes_module.go_mod_for("1.37.2", theirs) == (
        "module decco.platform9.com/testbed/kubernetes\n\ngo 1.26.0\n\n"
        "replace k8s.io/a => k8s.io/a v0.37.2\n\nreplace k8s.io/b => k8s.io/b v0.37.2\n"
    )


class Downloads(http.server.BaseHTTPRequestHandler):
    """Serves one program with its right checksum, and another one with a wrong checksum."""

    files: ClassVar = {
        "/v1.37.2/bin/linux/amd64/kubectl": b"program",
        "/v1.37.2/bin/linux/amd64/kubectl.sha256": hashlib.sha256(b"program").hexdigest().encode(),
        "/v1.37.2/bin/linux/amd64/kube-apiserver": b"tampered",
        "/v1.37.2/bin/linux/amd64/kube-apiserver.sha256": hashlib.sha256(b"program").hexdigest().encode(),
    }

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        if body and self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Downloads) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_a_download_is_checked_and_can_be_run(server: str, tmp_path: Path) -> None:
    target = tmp_path / "kubectl"
    download.fetch_kubernetes(VERSION, ("linux", "amd64"), "kubectl", target, server)
    assert target.read_bytes() == b"program"
    assert target.stat().st_mode & 0o111


@pytest.mark.parametrize(("name", "why"), [("kube-apiserver", "its SHA-256 is"), ("kubelet", "404")])
def test_a_download_that_is_wrong_is_refused(server: str, tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(download.DownloadFailed, match=why):
        download.fetch_kubernetes(VERSION, ("linux", "amd64"), name, tmp_path / name, server)


def test_any_answer_means_reachable(server: str) -> None:
    assert download.reachable(server)


def test_a_server_that_does_not_answer_is_given_up_on_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        started = time.monotonic()
        assert not download.reachable(url, 0.2)
        assert time.monotonic() - started < PATIENCE
    assert not download.reachable(url, 0.2)


def test_the_version_of_coredns_is_that_of_its_module() -> None:
    """The version is in the path of the built program, so a change of it builds again."""
    assert f"{COREDNS_MODULE} v{COREDNS_VERSION}" in (coredns.BUILD / "go.mod").read_text()
