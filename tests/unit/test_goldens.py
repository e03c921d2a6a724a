from __future__ import annotations

from pathlib import Path

import pytest

from decco.objects import Obj
from tests.unit import goldens

OBJS = [
    {"kind": "ConfigMap", "metadata": {"name": "a", "labels": {"gone": None}}, "data": {"text": "one\ntwo\n"}},
    {"kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"on": "true", "n": "1"}},
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goldens, "GOLDEN", tmp_path)
    monkeypatch.delenv(goldens.UPDATE, raising=False)
    goldens.GOLDEN.joinpath("case.yaml").write_text(goldens.dump(OBJS))


def test_equal_objects_pass() -> None:
    goldens.check_golden("case", [{name: obj[name] for name in reversed(obj)} for obj in OBJS])


@pytest.mark.parametrize(
    ("name", "objs", "says"),
    [
        ("case", OBJS[:1], "differs"),
        ("case", OBJS[::-1], "differs"),
        ("case", [], "differs"),
        ("case", [OBJS[0], {**OBJS[1], "data": {"on": True, "n": "1"}}], r"\+  'on': true"),
        ("other", OBJS, "no golden file"),
    ],
)
def test_any_difference_fails(name: str, objs: list[Obj], says: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=says):
        goldens.check_golden(name, objs)


def test_two_objects_of_one_address_fail() -> None:
    with pytest.raises(AssertionError, match="given twice"):
        goldens.check_golden("case", [*OBJS, OBJS[0]])


def test_writing_is_never_green(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(goldens.UPDATE, "1")
    with pytest.raises(pytest.fail.Exception, match="written"):
        goldens.check_golden("deep/new", OBJS[:1])
    goldens.check_golden("deep/new", OBJS[:1])


def test_text_is_read_as_text() -> None:
    text = goldens.dump(OBJS)
    assert "text: |\n    one\n    two\n" in text
    assert "'true'" in text
