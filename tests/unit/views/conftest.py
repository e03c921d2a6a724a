"""What all tests of this folder need."""

from __future__ import annotations

import pytest

from decco.messages import Category, messages


@pytest.fixture(autouse=True, scope="session")
def _catalogue() -> None:
    """Reads the files of messages, which commands do before they have an event loop."""
    for category in Category:
        messages(category)
