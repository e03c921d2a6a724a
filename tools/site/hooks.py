"""What mkdocs calls while it builds the site (``hooks`` in ``mkdocs.yml``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from tools.site import pages
from tools.site.commonmark import for_python_markdown

ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages outside of ``docs``, the overviews, and the files that pages link to."""
    sources = {each.src_uri: each.abs_src_path for each in files.documentation_pages() if each.abs_src_path}
    texts = {f"{pages.DOCS}{uri}": Path(path).read_text(encoding="utf-8") for uri, path in sources.items()}
    texts |= {path: (ROOT / path).read_text(encoding="utf-8") for path in pages.OTHERS}
    for path, uri in pages.OTHERS.items():
        files.append(File.generated(config, uri, content=texts[path]))
    files.append(File.generated(config, pages.EXAMPLES_PAGE, content=pages.examples(ROOT)))
    files.append(File.generated(config, pages.FOLDERS["docs/design"], content=pages.decisions(ROOT)))
    wanted: set[str] = set()
    for path, text in texts.items():
        wanted |= pages.for_site(text, path, lambda uri: files.get_file_from_path(uri) is not None)[1]
    for path in sorted(wanted):
        if (ROOT / path).is_file():
            files.append(File.generated(config, f"{pages.FILES}{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of the repository become links of the site, and CommonMark what mkdocs reads."""
    del config
    uri = page.file.src_uri
    path = next((path for path, other in pages.OTHERS.items() if other == uri), f"{pages.DOCS}{uri}")
    text, _ = pages.for_site(markdown, path, lambda other: files.get_file_from_path(other) is not None)
    return for_python_markdown(text)
