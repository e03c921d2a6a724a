"""The pages of conditions and messages, and the list of codes, which only grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from decco.api.conditions import ConditionType
from decco.messages import Category, messages
from tools import messages_page

ROOT = messages_page.ROOT


def test_the_pages_have_all() -> None:
    conditions, page = messages_page.conditions_page(), messages_page.messages_page()
    assert all(f"| `{condition}` |" in conditions for condition in ConditionType)
    for name, message in messages(Category.CONDITION).items():
        assert f"| `{name}` | [{message.code}](messages.md#{message.code.lower()}) | {message.summary} |" in conditions
    for category in Category:
        for message in messages(category).values():
            assert f'<a id="{message.code.lower()}"></a>{message.code} |' in page
    assert "must be a DNS label that starts with a letter" in page
    assert "you may not name project" in page
    assert "MISSING" not in page


def test_the_list_of_codes_only_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages_page, "ROOT", tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / messages_page.CODES).write_text("DECCO-0199 conditions Gone\nDECCO-0101 conditions Ready\n")
    lines = messages_page._codes().splitlines()
    assert lines[:3] == [
        "DECCO-0199 conditions Gone",
        "DECCO-0101 conditions Ready",
        "DECCO-0102 conditions Reconciled",
    ]
    assert len(lines) == 1 + sum(len(messages(category)) for category in Category)
    # The temporary folder has no policies.
    assert "DECCO-0601 policies space-membership" in (ROOT / messages_page.CODES).read_text().splitlines()
