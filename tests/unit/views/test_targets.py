"""What a word of the command line means."""

from __future__ import annotations

from pathlib import Path

import pytest

from decco.objects import Key
from decco.views.targets import ExplainTarget, UnknownTargetError, is_file, namespaces_of, resolve
from tests.unit.views.stories import app, simulated, space

SNAPSHOT, _ = simulated(
    space("acme"), space("beta"), app("web", "acme"), app("web", "beta"), app("db", "beta"), app("beta", "acme")
)


@pytest.mark.parametrize(
    ("word", "namespace", "target"),
    [
        ("acme", None, ExplainTarget(space="acme")),
        ("acme/web", None, ExplainTarget(app=Key("acme", "web"))),
        ("db", None, ExplainTarget(app=Key("beta", "db"))),
        ("web", "beta", ExplainTarget(app=Key("beta", "web"))),
        ("beta", None, ExplainTarget(space="beta")),
        ("beta", "acme", ExplainTarget(app=Key("acme", "beta"))),
        ("acme", "beta", ExplainTarget(space="acme")),
        ("Web.Acme.Example.net.", None, ExplainTarget(hostname="web.acme.example.net")),
    ],
)
def test_words(word: str, namespace: str | None, target: ExplainTarget) -> None:
    assert resolve(word, SNAPSHOT, namespace) == target


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("acne", "there is no Space or App 'acne'; did you mean 'acme'?"),
        ("acme/wbe", "there is no App 'acme/wbe'; did you mean 'acme/web'?"),
        ("zzz", "there is no Space or App 'zzz'"),
        ("web", "2 Apps have the name web: say which, acme/web, beta/web"),
    ],
)
def test_words_that_mean_nothing(word: str, message: str) -> None:
    with pytest.raises(UnknownTargetError) as caught:
        resolve(word, SNAPSHOT)
    assert str(caught.value) == message


def test_files_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "web").mkdir()
    assert is_file("-")
    assert is_file("missing.yaml")
    assert is_file("./acme")
    assert is_file("acme/web"), "what exists is meant"
    assert not is_file("acme"), "a plain word is a Space, also beside a folder of its name"
    assert not is_file("beta/web")
    assert not is_file("acme.example.net")


def test_namespaces() -> None:
    assert namespaces_of(["acme", "beta/web", "x.example.net"], None) == {"acme", "beta"}
    assert namespaces_of(["web"], "acme") == {"acme"}
