"""The page in Debian's chromium: what is seen, heard and pressed, and what hostile text does to it."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.integration.by_hand import answer_route
from tests.integration.harness import Cluster
from tests.ui.browser import Tab
from tests.ui.conftest import SHOTS
from tests.ui.program import Ui
from tests.ui.world import EVIL, World, refuse

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "document.querySelector('main').innerText"
HEADING = "document.querySelector('h1')?.textContent"


async def opened(page: Tab, ui: Ui, address: str, heading: str) -> None:
    """The page at an address of its own, reached with the printed URL as a person does."""
    await page.open(ui.url)
    await page.until(f"{HEADING} === 'Spaces'")
    await page.until("document.getElementById('live').textContent === 'live'")
    await page.evaluate(f"location.hash = {address!r}")
    await page.until(f"{HEADING} === {heading!r}")


async def test_all_spaces(page: Tab, operator: Ui, world: World) -> None:
    """Broken ones come first, and each leads to its page."""
    await opened(page, operator, "#/", "Spaces")
    names = await page.evaluate("[...document.querySelectorAll('.spaces h2')].map(each => each.textContent)")
    assert names == [world.broken, world.hostile, world.well]
    text = await page.evaluate(TEXT)
    assert "3 Spaces, 2 with a failure" in text
    assert "3 Apps, 3 not Ready" in text
    assert await page.evaluate("location.hash") == "#/"  # the token is not in the address, nor in the history
    assert operator.token not in await page.evaluate("document.documentElement.outerHTML")
    await page.evaluate(f"document.getElementById('space-{world.well}').click()")
    await page.until(f"{HEADING} === 'Space {world.well}'")
    assert await page.evaluate("document.title") == f"Space {world.well} - decco"


async def test_the_broken_part_is_named_with_code_cause_and_cure(page: Tab, operator: Ui, world: World) -> None:
    await opened(page, operator, f"#/space/{world.broken}", f"Space {world.broken}")
    parts = await page.evaluate(
        "[...document.querySelectorAll('#chain-web-web ~ .chain .part')].map(each => each.textContent)"
    )
    assert parts == ["name", "record", "edge", "listener", "certificate", "route", "Service", "pods"]
    broken = await page.evaluate("[...document.querySelectorAll('.link.broken .part')].map(each => each.textContent)")
    assert sorted(broken) == ["certificate", "pods", "route"]
    text = await page.evaluate("document.querySelector('[aria-labelledby=chain-web-web]').innerText")
    for words in ("broken at: route", "broken here", "DECCO-0161", "no listener of this name", "Cause", "What to do"):
        assert words in text, words
    red = await page.evaluate("getComputedStyle(document.querySelector('.link.broken')).outlineColor")
    assert red == "rgb(185, 28, 28)"


async def test_text_of_tenants_and_of_others_stays_text(page: Tab, operator: Ui, world: World) -> None:
    await opened(page, operator, f"#/space/{world.hostile}", f"Space {world.hostile}")
    assert EVIL in await page.evaluate("document.querySelector('main').textContent")
    assert await page.evaluate("document.querySelectorAll('main img, main script, main iframe').length") == 0
    assert await page.evaluate("document.title") == f"Space {world.hostile} - decco"
    name = "%3Cimg src=x onerror=alert(1)%3E"
    await page.evaluate(f"location.hash = '#/space/{name}'")
    await page.until(f"{HEADING}.startsWith('Space <img')")
    assert await page.evaluate("document.querySelectorAll('main img').length") == 0
    page.problems[:] = [each for each in page.problems if "404" not in each]  # there is no such Space


async def test_the_browser_refuses_markup_and_foreign_addresses(page: Tab, operator: Ui) -> None:
    """The policy of the page holds even if a script had the fault that the tests of its files look for."""
    await opened(page, operator, "#/", "Spaces")
    refused = "(() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch { return true } })()"
    assert await page.evaluate(refused)
    reached = "fetch('http://127.0.0.2:1/').then(() => true, () => false)"
    assert await page.evaluate(reached) is False
    inline = "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.2:1/x.png'}))"
    await page.evaluate(inline)
    await asyncio.sleep(0.3)
    assert any("Content Security Policy" in each for each in page.problems)
    page.problems.clear()


async def test_nothing_comes_from_elsewhere(page: Tab, operator: Ui) -> None:
    await opened(page, operator, "#/graph", "Who may talk to whom")
    base = operator.url.partition("#")[0]
    assert page.requests
    assert [url for url in page.requests if not url.startswith((base, "about:"))] == []
    assert not any(operator.token in url.partition("#")[0] for url in page.requests)


async def test_without_the_token_there_is_no_data(page: Tab, operator: Ui) -> None:
    await page.open(operator.url.partition("#")[0])
    await page.until(f"{HEADING} === 'This page needs its token'")
    assert "demo" not in await page.evaluate(TEXT)
    page.problems[:] = [each for each in page.problems if "401" not in each]


async def test_it_follows_the_cluster(page: Tab, operator: Ui, world: World, cluster: Cluster) -> None:
    """A route is accepted and refused; the page is drawn again, and open details and the focus stay."""
    await opened(page, operator, f"#/space/{world.hostile}", f"Space {world.hostile}")
    await page.evaluate("document.getElementById('facts-app-web').open = true")
    await page.evaluate("document.getElementById('summary-app-web').focus()")
    answer_route(cluster, world.hostile, "httproutes", "web")
    await page.until("document.querySelectorAll('.link.broken').length === 0")
    assert await page.evaluate("document.getElementById('facts-app-web').open")
    assert await page.evaluate("document.activeElement.id") == "summary-app-web"
    refuse(cluster, world.hostile, "web", EVIL)
    await page.until("document.querySelectorAll('.link.broken').length === 1")


async def test_it_can_be_used_by_the_keyboard(page: Tab, operator: Ui, world: World) -> None:
    await opened(page, operator, "#/", "Spaces")
    await page.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(8):
        await page.key("Tab", 9)
        focused = "document.activeElement.id || document.activeElement.textContent"
        seen.append(await page.evaluate(focused))
    assert seen[:6] == [
        "Skip to the content",
        "Spaces",
        "Who may talk to whom",
        "Certificates",
        "filter",
        "only-bad",
    ]
    assert seen[6] == f"space-{world.broken}"
    await page.key("Tab", 9, shift=True)
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # the focus is seen
    await page.key("Enter", 13)
    await page.until(f"{HEADING} === 'Space {world.broken}'")
    assert await page.evaluate("document.activeElement.tagName") == "H1"  # a screen reader reads the new heading
    assert await page.evaluate("window.scrollY") == 0


async def test_the_filter(page: Tab, operator: Ui, world: World) -> None:
    await opened(page, operator, "#/", "Spaces")
    await page.evaluate("document.getElementById('filter').focus()")
    await page.call("Input.insertText", text="well")
    await page.until("document.querySelectorAll('.spaces > li').length === 1")
    await page.evaluate("document.getElementById('only-bad').click()")
    await page.until("document.querySelectorAll('.spaces > li').length === 0")


async def test_what_a_screen_reader_finds(page: Tab, operator: Ui, world: World) -> None:
    await opened(page, operator, f"#/space/{world.broken}", f"Space {world.broken}")
    found = await page.accessible()
    roles = {role for role, _ in found}
    assert {"banner", "navigation", "main", "contentinfo", "status"} <= roles
    headings = [name for role, name in found if role == "heading"]
    assert headings[0] == f"Space {world.broken}"
    assert "Endpoint web ✕ broken at: route" in headings or "Endpoint web broken at: route" in headings
    assert ("region", "App web failure") in found or any(
        role == "region" and name.startswith("App web") for role, name in found
    )
    nameless = [role for role, name in found if role in ("link", "button", "textbox", "checkbox") and not name]
    assert nameless == []
    levels = await page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(each => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


async def test_the_graph(page: Tab, operator: Ui, world: World) -> None:
    await opened(page, operator, "#/graph", "Who may talk to whom")
    texts = await page.evaluate("[...document.querySelectorAll('svg.drawing text')].map(each => each.textContent)")
    assert {world.well, world.broken, world.hostile} <= set(texts)
    assert f"{world.well}/web calls queue of {world.broken}" in await page.evaluate(TEXT)
    shown = await page.evaluate("getComputedStyle(document.querySelector('svg.drawing path.call')).stroke")
    assert shown == "rgb(4, 120, 87)"


PAGES = {
    "spaces": ("#/", "Spaces"),
    "broken": ("#/space/demo-broken", "Space demo-broken"),
    "well": ("#/space/demo-well", "Space demo-well"),
    "hostile": ("#/space/demo-hostile", "Space demo-hostile"),
    "graph": ("#/graph", "Who may talk to whom"),
    "certificates": ("#/certificates", "Certificates"),
}
MODES = {
    "light": (1280, 900, False),
    "dark": (1280, 900, True),
    "phone": (360, 740, False),
    "phone-dark": (360, 740, True),
}


@pytest.mark.parametrize("name", PAGES)
async def test_it_fits_every_screen_in_both_modes(page: Tab, operator: Ui, name: str) -> None:
    """No sideways scrollbar at 360 px, and a contrast of 4.5 to 1 for every text."""
    await opened(page, operator, *PAGES[name])
    for mode, (width, height, dark) in MODES.items():
        await page.size(width, height, dark=dark)
        await page.screenshot(SHOTS / f"{name}-{mode}.png")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, mode
        assert await page.evaluate(f"({CONTRAST})()") == [], mode


async def test_a_tenant(page: Tab, tenant: Ui, world: World) -> None:
    await opened(page, tenant, "#/", "Spaces")
    text = await page.evaluate(TEXT)
    assert world.well not in text
    assert "not readable with your rights" in text
    await page.evaluate(f"location.hash = '#/space/{world.broken}'")
    await page.until(f"{HEADING} === 'Space {world.broken}'")
    broken = await page.evaluate("[...document.querySelectorAll('.link.broken .part')].map(each => each.textContent)")
    assert sorted(broken) == ["certificate", "pods", "route"]
    hidden = await page.evaluate(
        "[...document.querySelectorAll('#chain-web-web ~ .chain .link.unknown')].map(each => each.innerText)"
    )
    assert hidden
    assert all("not readable with your rights" in each or "nothing is known" in each for each in hidden)
    for mode, (width, height, dark) in MODES.items():
        await page.size(width, height, dark=dark)
        await page.screenshot(SHOTS / f"tenant-{mode}.png")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, mode


async def test_an_end_of_the_program_is_said(page: Tab, control_plane: object, world: World) -> None:
    from testbed.controlplane import ControlPlane
    from tests.ui.program import serving

    assert isinstance(control_plane, ControlPlane)
    with serving(control_plane) as ui:
        await opened(page, ui, "#/", "Spaces")
        assert await asyncio.to_thread(ui.stop) == 0
        await page.until("document.getElementById('live').textContent.startsWith('not live')")
        assert world.well in await page.evaluate(TEXT)  # what was read stays
    page.problems.clear()


CONTRAST = Path(__file__).with_name("contrast.js").read_text()
