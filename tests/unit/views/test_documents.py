"""Objects from files, as kubectl would read them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from decco.errors import ConfigError
from decco.views import documents


def read(text: str) -> list[documents.Document]:
    return documents.read(["-"], io.StringIO(text))


def test_many_documents_lists_and_empty_ones() -> None:
    text = """\
# only a comment
---
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: x}
---
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}},
  {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"}}]}
---
"""
    found = read(text)
    assert [(each.kind, str(each.key), each.location) for each in found] == [
        ("Secret", "x/a", "standard input:3"),
        ("Secret", "b", "standard input:7"),
        ("Secret", "c", "standard input:7"),
    ]


def test_what_looks_like_a_time_stays_text() -> None:
    (found,) = read(
        "{apiVersion: v1, kind: A, metadata: {name: a, creationTimestamp: 2026-01-01T00:00:00Z}, on: 2026-01-01}"
    )
    assert found.obj["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "standard input:2: is not YAML: did not find expected node content"),
        ("\na: b\n c: d\n", "standard input:3: is not YAML: mapping values are not allowed"),
        ("just text", "standard input:1: is not a Kubernetes object: give it apiVersion and kind"),
        ("[1, 2]", "standard input:1: is not a Kubernetes object"),
        ("{apiVersion: v1, kind: 7}", "standard input:1: is not a Kubernetes object"),
        ("{apiVersion: v1, kind: Space}", "standard input:1: Space has no metadata.name"),
        ("{apiVersion: v1, kind: Space, metadata: {name: 7}}", "standard input:1: Space has no metadata.name"),
        ("a: !!python/object:os.system {}", "standard input:1: is not YAML: could not determine a constructor"),
        ("[" * 100_000, "standard input is nested more than 64 levels deep at line 1"),
    ],
)
def test_a_document_that_is_not_an_object_is_reported_with_its_position(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


def test_folders_give_their_own_files_in_order(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.json", "c.yml", "readme.md", "below/d.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'{{"apiVersion": "v1", "kind": "K", "metadata": {{"name": "{name[0]}"}}}}')
    found = documents.read([str(tmp_path)], io.StringIO())
    assert [each.key.name for each in found] == ["a", "b", "c"]
    assert found[0].location == f"{tmp_path / 'a.json'}:1"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("nothing.yaml", "cannot be read (No such file or directory): name another, or let it be read"),
        ("latin.yaml", "is not UTF-8 text (byte 3): save it as UTF-8"),
        ("empty", "the folder has no file that ends in .yaml, .yml, .json: name the files"),
    ):
        with pytest.raises(ConfigError) as caught:
            documents.read([str(tmp_path / name)], io.StringIO())
        assert str(caught.value) == f"{tmp_path / name}: {message}"
