"""Files of any kind: what is read, and the one message for what cannot be."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from decco.errors import ConfigError
from decco.importing import read
from decco.importing.read import read_objects
from tests.sample import thorough

LAUGHS = "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 10)}]\n" for i in range(9)
)  # 600 bytes that stand for a billion values


def from_text(text: str) -> list[str]:
    return [str(source) for source, _ in read_objects("-", io.StringIO(text))]


def test_documents_and_lists() -> None:
    text = """
kind: A
metadata: {name: a, namespace: n}
---
---
apiVersion: v1
kind: List
items: [{kind: B, metadata: {name: b}}, {kind: C}]
---
kind: SpaceList
apiVersion: decco.platform9.com/v1beta2
items: [{metadata: {name: s}}]
"""
    where = "standard input: document"
    assert from_text(text) == [f"{where} 1: A n/a", f"{where} 3: B b", f"{where} 3: C ", f"{where} 4: Space s"]


def test_json_is_yaml() -> None:
    assert from_text('{"kind": "A", "metadata": {"name": "a"}}') == ["standard input: document 1: A a"]


def test_dates_stay_texts_as_in_kubectl() -> None:
    [(_, obj)] = read_objects("-", io.StringIO("kind: A\nwhen: 2018-01-02\n"))
    assert obj["when"] == "2018-01-02"


def test_aliases_are_followed() -> None:
    [(_, obj)] = read_objects("-", io.StringIO("kind: A\na: &x [1]\nb: *x\n"))
    obj["a"].append(2)
    assert obj["b"] == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "is not YAML at line 1, column 5"),
        ("kind: A\n\tb: 1", "is not YAML at line 2"),
        ("\x01", "is not YAML"),
        ("kind: !!python/object:os.system {}", "is not YAML"),
        ("- 1", "document 1 is not an object"),
        ("just text", "document 1 is not an object"),
        ("kind: A\n---\nname: x", "document 2 has no kind"),
        ("kind: [A]", "document 1 has no kind"),
        ("kind: List\nitems: 3", "must be a list of objects"),
        ("{1: 2, kind: A}", "'1' must be text"),
        ("{0: 2, kind: A}", "'0' must be text"),
        ("kind: A\nx: .nan", "'nan', which JSON"),
        ("[" * 100_000, "more than 64 levels deep"),
        ("kind: A\na: &a [*a]", "more than 64 levels deep"),
        pytest.param(f"kind: A\n{LAUGHS}", "more than 2000000 values", marks=thorough),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match="standard input") as caught:
        from_text(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_BYTES", 1000)
    binary, huge, gone = tmp_path / "binary", tmp_path / "huge", tmp_path / "gone"
    binary.write_bytes(b"kind: \xff\xfe")
    huge.write_text("kind: A\n" * 200)
    for path, message in (
        (binary, "is not text in UTF-8 (byte 7)"),
        (huge, "split it into several files"),
        (gone, "cannot be read (No such file"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_objects(str(path), io.StringIO())
        assert str(path) in str(caught.value)
        assert message in str(caught.value)
