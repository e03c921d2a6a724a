"""What all tests of this folder need."""

from __future__ import annotations

import pytest

from decco.messages import Category, messages
from decco.ui.server import page_files


@pytest.fixture(autouse=True, scope="session")
def _files_are_read() -> None:
    """The command reads the catalogue and the page before it has an event loop."""
    page_files()
    for category in Category:
        messages(category)
