"""Which files of the repository are pages of the site, and where a link of one page leads to in another.

A page is written for two readers: a browser of the repository, where a link is a path in the repository, and the site,
which has the pages of ``docs`` and some others. So the links of a page are those of the repository, and are changed
when the site is built.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = "docs/"
OTHERS = {
    "ARCHITECTURE.md": "explanation/architecture.md",
    "SECURITY.md": "explanation/security.md",
    "CONTRIBUTING.md": "explanation/contributing.md",
    "CHANGELOG.md": "changelog.md",
    "manifests/policies/README.md": "reference/policies.md",
}
"""Path in the repository -> page of the site, of pages outside of ``docs``."""
FOLDERS = {
    "README.md": "index.md",
    "docs": "index.md",
    "docs/design": "design/index.md",
    "manifests/policies": "reference/policies.md",
}
"""What has a page of another content on the site, such as the overview instead of the folder."""
EXAMPLES = "manifests/examples"
EXAMPLES_PAGE = "examples.md"
FILES = "files/"
"""Where the site has copies of other files, such as manifests, that pages link to."""

LINK = re.compile(r"(?<!\\)\]\((?P<target>[^()\s]+)\)")
FENCE = re.compile(r"^ *(?P<fence>```+|~~~+)")
HEADING = re.compile(r"^(?P<level>#{1,6}) +(?P<text>.*?)(?: +#+)?$")
ID = re.compile(r"<a (?:id|name)=\"([^\"]+)\">")
CODE = re.compile(r"(`+)(?:(?!\1).)+\1")


def outside_fences(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not code, with their numbers from 1."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        found = FENCE.match(line)
        if fence:
            if found and found["fence"].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif found:
            fence = found["fence"]
        else:
            yield number, line


def anchors(text: str) -> list[str]:
    """The anchors of a page: of headings as GitHub and the site make them (the first of equal ones), and of <a>."""
    found: list[str] = []
    for _, line in outside_fences(text):
        found.extend(ID.findall(line))
        if heading := HEADING.match(line):
            plain = LINK.sub("]", heading["text"]).replace("[", "").replace("]", "")
            slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
            found.append(slug)
    return list(dict.fromkeys(found))


def title(text: str) -> str:
    """The first heading, as plain text."""
    return next((m["text"].replace("`", "") for _, line in outside_fences(text) if (m := HEADING.match(line))), "")


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a file of the repository; ``path`` is relative to its top, ``anchor`` without ``#`` or empty."""

    line: int
    target: str
    path: str
    anchor: str


def split(target: str, page: str) -> tuple[str, str] | None:
    """Path in the repository and anchor of a relative link in a page; nothing for links to elsewhere."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target) or target.startswith("//"):
        return None
    path, _, anchor = target.partition("#")
    return (posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page), anchor


def links(text: str, page: str) -> Iterator[Link]:
    """The relative links of a page, whose own path is ``page``."""
    for number, line in outside_fences(text):
        for match in LINK.finditer(CODE.sub("", line)):
            if parts := split(match["target"], page):
                yield Link(number, match["target"], *parts)


def on_site(path: str, anchor: str, has_page: Callable[[str], bool]) -> tuple[str, str]:
    """Where the site has what the repository has at a path: a source path of mkdocs, and the anchor there."""
    if path in OTHERS:
        return OTHERS[path], anchor
    if path in FOLDERS:
        return FOLDERS[path], ""
    if path == EXAMPLES:
        return EXAMPLES_PAGE, ""
    if path.startswith(f"{EXAMPLES}/"):
        return EXAMPLES_PAGE, anchors(f"# {path.removeprefix(EXAMPLES)}")[0]
    inside = path.removeprefix(DOCS)
    if path.startswith(DOCS) and has_page(inside):
        return inside, anchor
    if path.startswith(DOCS) and has_page(f"{inside}/index.md"):
        return f"{inside}/index.md", anchor
    return f"{FILES}{path}", ""


def for_site(text: str, page: str, has_page: Callable[[str], bool]) -> tuple[str, set[str]]:
    """A page with the links of the site, and the paths of the repository's files that it needs copies of."""
    wanted: set[str] = set()
    own, _ = on_site(page, "", has_page)

    def replace(match: re.Match[str]) -> str:
        parts = split(match["target"], page)
        if parts is None:
            return match[0]
        path, anchor = on_site(*parts, has_page)
        if path.startswith(FILES):
            wanted.add(parts[0])
        relative = "" if path == own else posixpath.relpath(path, posixpath.dirname(own) or ".")
        return (
            f"]({relative}{'#' if anchor else ''}{anchor})" if relative or anchor else f"]({posixpath.basename(own)})"
        )

    lines = text.splitlines()
    for number, line in outside_fences(text):
        lines[number - 1] = LINK.sub(replace, line)
    return "\n".join(lines) + "\n", wanted


def examples(root: Path) -> str:
    """The page of the examples: each file with its text."""
    head = (
        "# Examples\n\n"
        "The files of `manifests/examples`. The tests let a real API server accept each of them, and render each with\n"
        "`decco render`.\n"
    )
    # The form of a heading is that of the repository's file name, so that links to a file find it.
    parts = [
        f"\n## {path.relative_to(root / EXAMPLES).as_posix()}\n\n```yaml\n{path.read_text().rstrip()}\n```\n"
        for path in sorted((root / EXAMPLES).rglob("*.yaml"))
    ]
    return head + "".join(parts)


def decisions(root: Path) -> str:
    """The overview of the pages of ``docs/design``, the newest first."""
    head = (
        "# Decisions\n\n"
        "Each page says what was decided, why, and what else was possible. The pages are of their day: where the code\n"
        "has changed since, the guides and the reference are right.\n\n"
    )
    rows = []
    for path in sorted((root / "docs/design").glob("*.md"), reverse=True):
        name = re.sub(r"^\d{4}-\d\d-\d\d: ", "", title(path.read_text()))
        rows.append(f"* {path.name[:10]}: [{name}]({path.name})\n")
    return head + "".join(rows)
