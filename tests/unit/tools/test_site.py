"""The documentation's pages: each is in the site's navigation, and each link in them leads somewhere."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
import yaml

from tools.site import pages
from tools.site.commonmark import for_python_markdown

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("manifests/**/*.md"))
)
MADE = {pages.EXAMPLES_PAGE, pages.FOLDERS["docs/design"], *pages.OTHERS.values()}
"""Pages that exist in the site only."""


@functools.cache
def _anchors(page: Path) -> frozenset[str]:
    return frozenset(pages.anchors(page.read_text()))


def _navigation() -> list[str]:
    # As text, because the file has a tag of Python's, which only mkdocs reads.
    text = (ROOT / "mkdocs.yml").read_text()
    nav = yaml.safe_load(text[text.index("\nnav:") :])["nav"]

    def walk(node: object) -> list[str]:
        if isinstance(node, dict):
            return [page for each in node.values() for page in walk(each)]
        if isinstance(node, list):
            return [page for each in node for page in walk(each)]
        return [str(node)]

    return walk(nav)


def test_the_navigation_has_every_page_once() -> None:
    wanted = {page.removeprefix(pages.DOCS) for page in PAGES if page.startswith(pages.DOCS)}
    wanted = {page for page in wanted if not page.startswith("design/")} | MADE
    listed = _navigation()
    assert len(listed) == len(set(listed))
    assert sorted(wanted - set(listed)) == [], "add a line to `nav` of mkdocs.yml"
    assert sorted(set(listed) - wanted) == [], "these pages of `nav` in mkdocs.yml do not exist"


@pytest.mark.parametrize("page", PAGES)
def test_links_are_alive(page: str) -> None:
    dead = []
    for link in pages.links((ROOT / page).read_text(), page):
        target = ROOT / link.path
        if not target.exists():
            dead.append(f"{page}:{link.line}: {link.target}: there is no {link.path}")
        elif link.anchor and target.suffix == ".md" and link.anchor not in _anchors(target):
            dead.append(f"{page}:{link.line}: {link.target}: {link.path} has no such heading")
        elif target.is_dir() and link.path not in {*pages.FOLDERS, pages.EXAMPLES} and page != "README.md":
            dead.append(f"{page}:{link.line}: {link.target}: the site has no page for this folder")
    assert dead == []


@pytest.mark.parametrize(
    ("page", "link", "there", "copied"),
    [
        ("docs/a.md", "b.md", "b.md", ""),
        ("docs/a.md", "b.md#part", "b.md#part", ""),
        ("docs/a.md", "#part", "#part", ""),
        ("docs/operations/a.md", "../../SECURITY.md#hardening", "../explanation/security.md#hardening", ""),
        ("docs/operations/a.md", "../b.md", "../b.md", ""),
        ("ARCHITECTURE.md", "docs/b.md", "../b.md", ""),
        ("ARCHITECTURE.md", "docs/design/", "../design/index.md", ""),
        ("docs/a.md", "../manifests/examples", "examples.md", ""),
        ("docs/a.md", "../manifests/examples/2-http-app.yaml", "examples.md#2-http-appyaml", ""),
        ("docs/a.md", "../manifests/x.yaml", "files/manifests/x.yaml", "manifests/x.yaml"),
        ("docs/a.md", "https://example.com/b.md", "https://example.com/b.md", ""),
    ],
)
def test_links_of_the_site(page: str, link: str, there: str, copied: str) -> None:
    text, wanted = pages.for_site(f"see [it]({link})\n", page, {"a.md", "b.md", "operations/a.md"}.__contains__)
    assert text == f"see [it]({there})\n"
    assert wanted == ({copied} if copied else set())


def test_code_has_no_links() -> None:
    text = "`[a](gone.md)`\n\n```\n[a](gone.md)\n```\n"
    assert list(pages.links(text, "docs/a.md")) == []
    assert pages.for_site(text, "docs/a.md", lambda _: False)[0].count("(gone.md)") == 2


def test_anchors() -> None:
    text = "# `decco verify`: does it?\n## Size & cost\n```\n# not this\n```\n### a_b, [c](d.md)\n## Size & cost\n"
    assert pages.anchors(text) == ["decco-verify-does-it", "size--cost", "a_b-c"]


def test_overviews() -> None:
    listed = re.findall(r"\]\((.*?)\)", pages.decisions(ROOT))
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs/design").glob("*.md"))
    assert pages.examples(ROOT).count("\n```yaml\n") == len(list((ROOT / pages.EXAMPLES).rglob("*.yaml")))


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("Text:\n* a\n* b\n", "Text:\n\n* a\n* b\n"),
        ("* a\n  more\n* b\n", "* a\n    more\n* b\n"),
        ("* a\n  * b\n    more\n* c\n", "* a\n    * b\n        more\n* c\n"),
        ("1. a\n\n   ```sh\n   x\n     y\n   ```\n\n2. b\n", "1. a\n\n    ```sh\n    x\n      y\n    ```\n\n2. b\n"),
        ("1. a\n\n```\n* x\n```\n\n2. b\n", "1. a\n\n```\n* x\n```\n\n2. b\n"),
        ("Text\n| a |\n|---|\n| b |\n", "Text\n\n| a |\n|---|\n| b |\n"),
        ("```\nText:\n* a\n```\n", "```\nText:\n* a\n```\n"),
        ("```sh leave remove\na ```b c\n```\n", "```sh\na ```b c\n```\n"),
        ("* a\n\nText\n", "* a\n\nText\n"),
    ],
)
def test_lists_and_tables_as_python_markdown_reads_them(text: str, read_as: str) -> None:
    assert for_python_markdown(text) == read_as
