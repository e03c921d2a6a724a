"""Every block of commands in the documentation is typed by a test, or says why not."""

from __future__ import annotations

import re

import pytest

from tests.documented import NOT_RUN, ROOT, RUN_BY_OTHERS, TRIED, Block, blocks

BLOCKS = list(blocks())
TARGET = re.compile(r"^(?:\$ )?make ([a-z][a-z-]*)", re.MULTILINE)


def test_there_are_blocks_of_each_kind() -> None:
    words = {word for block in BLOCKS for word in block.words}
    assert words >= TRIED | {"run", "leave", "remove"}
    assert len(BLOCKS) > 80


@pytest.mark.parametrize("block", BLOCKS, ids=[block.where for block in BLOCKS])
def test_it_is_run_or_has_a_reason(block: Block) -> None:
    assert block.is_run() or block.reason(), (
        f"{block.where}: write ```sh try``` if it can be typed in one go where README.md was followed, "
        "or give a reason in tests/documented.py"
    )
    assert not (block.is_run() and block.reason()), f"{block.where} is run: remove its reason"


def test_every_reason_is_of_a_block() -> None:
    unused = [
        key for key in NOT_RUN if not any(block.page == key[0] and block.text.startswith(key[1]) for block in BLOCKS)
    ]
    assert unused == []
    assert {block.page for block in BLOCKS if block.page in RUN_BY_OTHERS} == RUN_BY_OTHERS.keys()


def test_tests_that_reasons_name_exist() -> None:
    named = {path for why in NOT_RUN.values() for path in re.findall(r"tests/[a-z_/]+(?:\.py)?", why)}
    assert {path for path in named if not (ROOT / path).exists()} == set()
    assert len(named) > 8


@pytest.mark.parametrize("block", [block for block in BLOCKS if TARGET.search(block.text)], ids=lambda each: each.where)
def test_targets_exist(block: Block) -> None:
    known = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(TARGET.findall(block.text)) <= known
