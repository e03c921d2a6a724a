"""The site of ``make docs`` in Debian's chromium, as files: telephone and desktop, light and dark, the search."""

from __future__ import annotations

import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.ui.browser import tab
from tests.ui.conftest import SHOTS

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
SHOWN = ("index.html", "concepts.html", "reference/space.html", "how-to/debugging.html")
READY = "document.readyState === 'complete' && document.querySelector('.md-content') !== null"
DARK, LIGHT = "slate", "default"
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="session")
def site() -> Path:
    done = subprocess.run(["make", "docs"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return SITE


def _pages(site: Path) -> list[Path]:
    """All but the one of web servers for what they do not find, whose links begin at the root: as a file it has no
    styles.
    """
    return sorted(page for page in site.rglob("*.html") if page != site / "404.html")


@pytest.mark.timeout(600)
async def test_no_page_is_wider_than_a_telephone(chromium: tuple[aiohttp.ClientSession, str], site: Path) -> None:
    pages = _pages(site)
    wide = []
    async with tab(*chromium) as page:
        await page.size(360, 800)
        for path in pages:
            await page.open(path.as_uri())
            await page.until(f"location.href.endsWith({path.name!r}) && {READY}")
            width = await page.evaluate("document.documentElement.scrollWidth")
            if width > 360:
                wide.append(f"{path.relative_to(site)}: {width}")
        outside = [each for each in page.requests if not each.startswith(("file:", "data:", "blob:", "about:"))]
    assert wide == []
    assert outside == []
    assert len(pages) > 50


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_light_and_dark(chromium: tuple[aiohttp.ClientSession, str], site: Path, width: int, dark: bool) -> None:
    """The site follows the system, and leaves pictures of itself."""
    for name in SHOWN:
        async with tab(*chromium) as page:
            await page.size(width, 900, dark=dark)
            await page.open((site / name).as_uri())
            await page.until(READY)
            wanted = DARK if dark else LIGHT
            await page.until(f"document.body.getAttribute('data-md-color-scheme') === '{wanted}'")
            shot = f"site-{Path(name).stem}-{width}-{'dark' if dark else 'light'}.png"
            await page.screenshot(SHOTS / shot, full=False)
            assert page.problems == []


async def test_the_search_finds_a_reason(chromium: tuple[aiohttp.ClientSession, str], site: Path) -> None:
    async with tab(*chromium) as page:
        await page.open(f"{(site / 'index.html').as_uri()}?q=SecretMissing")
        await page.until("document.querySelectorAll('.md-search-result__item').length > 0")
        links = await page.evaluate("[...document.querySelectorAll('.md-search-result__link')].map(each => each.href)")
    assert any("secrets.html" in each for each in links)
