"""Kubeconfig files: merging, picking a context, and a message for each error in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from decco.errors import ConfigError
from decco.kube.kubeconfig import content_of, read


def kubeconfig(path: Path, **more: Any) -> Path:
    """A file with one context, changed by ``more``."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": "https://c.example.com"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**document, **more}))
    return path


def test_the_current_context(tmp_path: Path) -> None:
    chosen = read([kubeconfig(tmp_path / "config")], None)
    assert (chosen.name, chosen.user_name) == ("one", "u")
    assert chosen.cluster == {"server": "https://c.example.com"}
    assert chosen.user == {"token": "t"}
    assert chosen.source == str(tmp_path / "config")


def test_the_first_of_several_files_wins(tmp_path: Path) -> None:
    a = kubeconfig(tmp_path / "a", **{"current-context": "", "users": [{"name": "u", "user": {"token": "from-a"}}]})
    b = kubeconfig(
        tmp_path / "b",
        **{
            "current-context": "two",
            "users": [{"name": "u", "user": {"token": "from-b"}}],
            "contexts": [{"name": "two", "context": {"cluster": "c", "user": "u"}}],
        },
    )
    c = kubeconfig(tmp_path / "c", **{"current-context": "three"})
    chosen = read([a, b, c], None)
    assert chosen.name == "two"
    assert chosen.user == {"token": "from-a"}


def test_paths_are_relative_to_their_own_file(tmp_path: Path) -> None:
    cluster = {"name": "c", "cluster": {"server": "https://c", "certificate-authority": "pki/ca.crt"}}
    user = {
        "client-certificate": "../u.crt",
        "client-key": "/abs/u.key",
        "tokenFile": "token",
        "exec": {"command": "./bin/get"},
    }
    a = kubeconfig(tmp_path / "x" / "a", clusters=[cluster], users=[])
    b = kubeconfig(tmp_path / "y" / "b", users=[{"name": "u", "user": user}])
    chosen = read([a, b], None)
    assert chosen.cluster["certificate-authority"] == str(tmp_path / "x/pki/ca.crt")
    assert chosen.user["client-certificate"] == str(tmp_path / "u.crt")
    assert chosen.user["client-key"] == "/abs/u.key"
    assert chosen.user["tokenFile"] == str(tmp_path / "y/token")
    assert chosen.user["exec"]["command"] == str(tmp_path / "y/bin/get")


def test_a_plugin_without_a_path_is_looked_up(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "a", users=[{"name": "u", "user": {"exec": {"command": "aws"}}}])
    assert read([file], None).user["exec"]["command"] == "aws"


def test_a_context_without_a_user_is_anonymous(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "a", contexts=[{"name": "one", "context": {"cluster": "c"}}])
    assert read([file], None).user == {}


@pytest.mark.parametrize(
    ("change", "context", "message"),
    [
        ({}, "tow", r"has no context 'tow': name another with --context \(it has: one\)"),
        ({"current-context": ""}, None, r"has no current-context: name one with --context \(it has: one\)"),
        ({"contexts": []}, "one", r"has no context 'one': name another with --context \(it has: none\)"),
        ({"clusters": None}, None, "context 'one' of kubeconfig .* names a cluster that is not there: add 'c'"),
        ({"users": []}, None, "context 'one' of kubeconfig .* names a user that is not there: add 'u'"),
        ({"users": {"u": {}}}, None, "users of kubeconfig .*/config must be a list"),
        ({"users": [{"user": {}}]}, None, "users of kubeconfig .*/config has an entry without a name"),
        ({"users": [{"name": "u", "user": "me"}]}, None, "user 'u' of kubeconfig .*/config must be a mapping"),
        ({"current-context": ["one"]}, None, r"current-context of .*/config must be text: \['one'\]"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: dict[str, Any], context: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read([kubeconfig(tmp_path / "config", **change)], context)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1\nb: }", "is not valid YAML in line 2: "),
        (b"\xff\xfe\x00", "is not valid YAML"),
        (b"just text", "must be a mapping"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"", "has no current-context"),
        (b"!!python/object/apply:os.system ['true']", "is not valid YAML in line 1"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read([file], None)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*/none \(No such file or directory\)"):
        read([tmp_path / "none"], None)
    with pytest.raises(ConfigError, match="Is a directory"):
        read([tmp_path], None)


def test_data_wins_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("from file")
    section = {"certificate-authority": str(tmp_path / "ca")}
    assert content_of(section, "certificate-authority", "here") == b"from file"
    assert (
        content_of({**section, "certificate-authority-data": "ZnJvbSBkYXRh\n"}, "certificate-authority", "")
        == b"from data"
    )
    assert content_of({"certificate-authority-data": ""}, "certificate-authority", "here") is None


@pytest.mark.parametrize("data", ["no base64!", "YQ", 5])
def test_data_that_is_not_base64(data: Any) -> None:
    with pytest.raises(ConfigError, match="client-key-data of here must be base64"):
        content_of({"client-key-data": data}, "client-key", "here")
