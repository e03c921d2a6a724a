"""The check of the vocabulary reads its tables from CONTRIBUTING.md and finds every use of an excluded term."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.vocabulary import FILES, FOLDERS, ROOT, SUFFIXES, VocabularyError, main, read_vocabulary

TABLES = """
<!-- vocabulary:begin -->
| do not write | write |
|---|---|
| anew | again |
| let go, lets go | release |
| Triggers | event handlers |
| `_Believed` | cached rejection |
<!-- vocabulary:end -->
<!-- vocabulary-allowed:begin -->
| text | files |
|---|---|
| open anew | docs/* |
<!-- vocabulary-allowed:end -->
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write it anew", ["anew"]),
        ("Anew", ["Anew"]),
        ("renewed, manew", []),
        ("def _let_go(self): ...", ["let_go"]),
        ("letGo()", ["letGo"]),
        ("# it lets\n    # go of it", ["lets # go"]),
        ("lets. go", []),
        ("class Triggers:", ["Triggers"]),
        ("it triggers a reconcile", []),
        ("_Believed", ["_Believed"]),
        ("believed", []),
    ],
)
def test_every_form_of_a_term_is_found(text: str, found: list[str]) -> None:
    assert [use.found for use in read_vocabulary(TABLES).uses("src/a.py", text)] == found


def test_an_allowed_text_counts_outside_of_its_files_only() -> None:
    vocabulary = read_vocabulary(TABLES)
    assert not list(vocabulary.uses("docs/a.md", "open anew"))
    assert [str(use) for use in vocabulary.uses("src/a.py", "\nopen anew")] == ['src/a.py:2: "anew": write again']


def test_a_missing_table_is_an_error() -> None:
    with pytest.raises(VocabularyError, match="there is no table between"):
        read_vocabulary("")


def test_a_use_in_a_file_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "CONTRIBUTING.md").write_text(TABLES)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("plain\n")
    assert main(["docs"], tmp_path) == 0
    (tmp_path / "docs" / "page.md").write_text("plain\nanew\n")
    assert main(["docs"], tmp_path) == 1
    assert capsys.readouterr().out == 'docs/page.md:2: "anew": write again\n'


def test_every_text_of_the_repository_is_read() -> None:
    """What is not read is not text of ours: programs' locks, and marks without content."""
    unread = {".mod", ".sum", ".helmignore", ".typed"}
    known = subprocess.run(["git", "ls-files", *FOLDERS, *FILES], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [Path(name) for name in known.stdout.splitlines()]
    assert names
    assert {name.suffix for name in names} <= SUFFIXES | unread
