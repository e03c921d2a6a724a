"""Commands in the documentation name Apps and Spaces so that another product's ``apps`` cannot be meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("manifests/**/*.md"))
    if "design" not in page.parts
]
AMBIGUOUS = re.compile(
    r"kubectl (?:-n \S+ |--\S+ )*(?:get|describe|edit|delete|scale|patch|wait|annotate|label|explain) "
    r"(?:\w+,)*(?:apps?|spaces?)(?=[\s,/`]|$)",
    re.MULTILINE,
)
SAID_ABOUT_IT = {
    "docs/gitops.md": "`kubectl get apps` may mean theirs",
    "docs/operations/from-the-first-decco.md": "`kubectl get spaces,apps --all-namespaces -o yaml > old.yaml`",
}
"""The page that explains why, and the only kinds that the first decco had."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_command_says_apps(page: Path) -> None:
    text = page.read_text()
    if allowed := SAID_ABOUT_IT.get(page.relative_to(ROOT).as_posix()):
        assert text.count(allowed) == 1
        text = text.replace(allowed, "")
    assert AMBIGUOUS.findall(text) == []


def test_what_is_ambiguous() -> None:
    assert AMBIGUOUS.search("$ kubectl -n acme get apps\n")
    assert AMBIGUOUS.search("`kubectl describe app web`")
    assert not AMBIGUOUS.search("kubectl get apps.decco.platform9.com,dspace; kubectl -n apps get pods")
