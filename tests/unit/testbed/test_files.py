"""Certificates, kubeconfigs, the cache: what the testbed writes."""

from __future__ import annotations

import contextlib
import json
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from testbed import cache
from testbed.kubeconfig import write_kubeconfig
from testbed.pki import Authority, write_private


def test_a_client_certificate_carries_user_and_groups(tmp_path: Path) -> None:
    pair = Authority(tmp_path).client("alice", "alice@example.net", ["devs", "ops"])
    subject = x509.load_pem_x509_certificate(pair.cert.read_bytes()).subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["alice@example.net"]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["devs", "ops"]


def test_a_server_certificate_is_accepted_for_its_names_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("api", ["127.0.0.1", "kubernetes.default.svc"])
    for name, fits in {"127.0.0.1": True, "kubernetes.default.svc": True, "127.0.0.2": False, "evil": False}.items():
        assert _handshake(authority.files.cert, pair.cert, pair.key, name) is fits, name


def _handshake(ca: Path, cert: Path, key: Path, name: str) -> bool:
    """TLS between two ends in memory."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert, key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = ssl.create_default_context(cafile=str(ca)).wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return client.version() is not None


def test_private_files_are_private(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.client("a", "a")
    config = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", ca_file=authority.files.cert, token="t")
    for path in (authority.files.key, pair.key, config):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_private_files_become_private_even_if_they_were_not(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o644)
    write_private(path, b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_kubeconfig_without_credentials_names_none(tmp_path: Path) -> None:
    config = json.loads(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1").read_text())
    assert config["users"] == [{"name": "testbed", "user": {}}]
    assert config["clusters"][0]["cluster"] == {"server": "http://127.0.0.1:1"}
    assert config["current-context"] == config["contexts"][0]["name"]


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECCO_CACHE", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache.root() == tmp_path / "a"
    monkeypatch.delenv("DECCO_CACHE")
    assert cache.root() == tmp_path / "b" / "decco"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert cache.root() == tmp_path / "c" / ".cache" / "decco"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    with contextlib.suppress(ZeroDivisionError), cache.appearing(target) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert list(target.parent.iterdir()) == []
    with cache.appearing(target) as draft:
        draft.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_replaces_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with cache.appearing(target) as draft:
            draft.mkdir()
            (draft / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]


def test_two_testbeds_fill_the_cache_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DECCO_CACHE", str(tmp_path))
    entered = threading.Event()

    def second() -> None:
        with cache.locked("etcd"):
            entered.set()

    with cache.locked("etcd"):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.1)
    thread.join(10)
    assert entered.is_set()
    assert "waiting for another testbed" in capsys.readouterr().err
