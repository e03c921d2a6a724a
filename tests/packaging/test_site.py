"""``make docs``: the site of the documentation, which is read as files and without a network."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build/site"
LOADED = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=["']?([^"'\s>]+)""")


@pytest.fixture(scope="module")
def site() -> Path:
    """Strict: a dead link or anchor, or a page that the navigation lacks, is a failure."""
    done = subprocess.run(["make", "docs"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return SITE


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 50
    for page in found:
        outside = [each for each in LOADED.findall(page.read_text()) if "://" in each or each.startswith("//")]
        assert outside == [], page
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//|@import", sheet.read_text()), sheet


def test_the_search_works_in_a_file(site: Path) -> None:
    text = (site / "index.html").read_text()
    assert 'src="assets/iframe-worker.js"' in text
    assert (site / "assets/iframe-worker.js").is_file()
    index = (site / "search/search_index.js").read_text()
    assert index.startswith("var __index = {")
    assert "reference/space.html" in index


def test_other_files_and_pages(site: Path) -> None:
    """What is outside of docs is there too: the architecture, examples, and the manifests that pages link to."""
    for page in ("explanation/architecture.html", "examples.html", "design/index.html", "reference/policies.html"):
        assert (site / page).is_file()
    assert (site / "files/manifests/controller/deployment.yaml").read_bytes() == (
        ROOT / "manifests/controller/deployment.yaml"
    ).read_bytes()
