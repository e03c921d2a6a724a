"""The files of the page: nothing in them loads something from elsewhere or takes text for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from decco.ui.server import page_files

FILES = {path: body.decode() for path, (body, _) in page_files().items()}
SCRIPTS = [path for path in FILES if path.endswith(".js")]
PARSERS = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "setHTMLUnsafe",
    "document.write",
    "DOMParser",
    "createContextualFragment",
    "srcdoc",
    "eval(",
    "new Function",
    'setTimeout("',
    "javascript:",
    "createPolicy",
)


@pytest.mark.parametrize("path", SCRIPTS)
def test_no_script_parses_text_as_markup(path: str) -> None:
    assert not [each for each in PARSERS if each in FILES[path]]


@pytest.mark.parametrize("path", SCRIPTS)
def test_no_script_sets_an_address_or_a_handler_from_data(path: str) -> None:
    """Links lead to pages of this page only, and handlers are functions."""
    for value in re.findall(r"\bhref: ([^,}]+)", FILES[path]):
        assert re.fullmatch(r'"#[a-z/]*"|spaceLink\([a-z.]+\)', value.strip()), value
    assert not re.search(r"\bon[a-z]+\s*[:=]\s*[^=>]", re.sub(r"only\w*|once", "", FILES[path]))


@pytest.mark.parametrize("path", FILES)
def test_nothing_is_loaded_from_elsewhere(path: str) -> None:
    urls = set(re.findall(r"https?://[^\s\"'`)]+", FILES[path])) - {"http://www.w3.org/2000/svg"}
    assert not urls
    assert "@import" not in FILES[path]
    assert not re.search(r"url\((?!#)", FILES[path])


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_document() -> None:
    """Landmarks, a language, and neither inline scripts nor inline styles, which the policy would refuse."""
    html = _Html()
    html.feed(FILES["/"])
    names = [tag for tag, _ in html.tags]
    assert {"header", "nav", "main", "footer", "h1", "title"} <= set(names)
    assert ("html", {"lang": "en"}) in html.tags
    assert "style" not in names
    assert all("style" not in found and not [each for each in found if each.startswith("on")] for _, found in html.tags)
    assert all("src" in found for tag, found in html.tags if tag == "script")
    loaded = [str(found.get("src") or found.get("href")) for tag, found in html.tags if tag in ("script", "link")]
    assert {f"/{each}" for each in loaded} <= set(FILES)


def test_imports_are_files_of_the_page() -> None:
    for path in SCRIPTS:
        for name in re.findall(r'from "\./([^"]+)"', FILES[path]):
            assert f"/{name}" in FILES, (path, name)
