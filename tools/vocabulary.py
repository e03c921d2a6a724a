"""Reports the words that CONTRIBUTING.md ("Vocabulary") excludes, wherever the repository still uses them.

python -m tools.vocabulary            one line per use; exit status 1 if there is any, 2 if the tables cannot be read
python -m tools.vocabulary PATH...    only in these files and folders

A term of lower-case letters matches whole words in any case, also the parts of identifiers: ``let go`` matches
"Let go", ``_let_go`` and ``letGo``, and a phrase that continues on the next line. A term with a capital letter or an
underscore (``Triggers``) matches that identifier only. An allowed text does not count in the files of its pattern
(``fnmatch``; "*" also matches "/").
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TABLES = "CONTRIBUTING.md"
FOLDERS = ("src", "tests", "testbed", "bench", "tools", "docs", "manifests", "images")
FILES = ("README.md", "ARCHITECTURE.md", "SECURITY.md", "Makefile", "Dockerfile", "pyproject.toml", "mkdocs.yml")
CHECKED = (*FOLDERS, *FILES)
EXCEPTED = (
    "docs/assets/*",  # of others
    "docs/design/*",
    "manifests/chart/files/*",
    "tests/unit/tools/test_vocabulary.py",
    "tools/vocabulary.py",
    "*/__pycache__/*",
)
SUFFIXES = frozenset(
    ("", ".c", ".css", ".go", ".h", ".html", ".js", ".json", ".lua", ".md", ".py", ".sh", ".svg", ".toml", ".tpl")
) | {".txt", ".yaml", ".yml"}

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GAP = re.compile(r"[\s#*>_-]*")
"""What may be between two words of a phrase: white space, the prefix of a comment line, the joint of an identifier."""


class VocabularyError(Exception):
    """The tables are missing or malformed."""


class Use(NamedTuple):
    """One use of an excluded term; ``line`` starts at 1."""

    path: str
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: "{self.found}": write {self.instead}'


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The two tables."""

    phrases: Mapping[tuple[str, ...], str]
    """Lower-case words of a term -> what to write instead."""
    identifiers: Mapping[str, str]
    """The same for terms that are identifiers."""
    allowed: tuple[tuple[re.Pattern[str], str], ...]
    """Allowed texts, each with its file pattern."""

    def uses(self, path: str, text: str) -> Iterator[Use]:
        """Find the excluded terms in the text of one file, in their order."""
        for allowed, files in self.allowed:
            if fnmatchcase(path, files):
                text = allowed.sub(lambda match: re.sub(r"\S", ".", match[0]), text)
        found = sorted({*self._identifiers_in(text), *self._phrases_in(text)})
        for start, end, instead in found:
            yield Use(path, text.count("\n", 0, start) + 1, " ".join(text[start:end].split()), instead)

    def _identifiers_in(self, text: str) -> Iterator[tuple[int, int, str]]:
        for match in _IDENTIFIER.finditer(text):
            name = match[0] if match[0] in self.identifiers else match[0].lstrip("_")
            if name in self.identifiers:
                yield match.start(), match.end(), self.identifiers[name]

    def _phrases_in(self, text: str) -> Iterator[tuple[int, int, str]]:
        by_first: dict[str, list[tuple[str, ...]]] = {}
        for phrase in self.phrases:
            by_first.setdefault(phrase[0], []).append(phrase)
        words = list(_WORD.finditer(text))
        for index, first in enumerate(words):
            for phrase in by_first.get(first[0].lower(), ()):
                run = words[index : index + len(phrase)]
                same = tuple(word[0].lower() for word in run) == phrase
                if same and all(_GAP.fullmatch(text, a.end(), b.start()) for a, b in pairwise(run)):
                    yield first.start(), run[-1].end(), self.phrases[phrase]


def read_vocabulary(text: str) -> Vocabulary:
    """Read the tables from the text of CONTRIBUTING.md. Raises VocabularyError."""
    phrases: dict[tuple[str, ...], str] = {}
    identifiers: dict[str, str] = {}
    for terms, instead in _rows(text, "vocabulary"):
        for term in (each.strip().strip("`") for each in terms.split(",")):
            if re.search(r"[A-Z_]", term):
                identifiers[term] = instead
            elif re.fullmatch(r"[a-z]+( [a-z]+)*", term):
                phrases[tuple(term.split())] = instead
            else:
                raise VocabularyError(f'"{term}" is neither words nor an identifier')
    allowed = tuple(
        (re.compile(rf"(?<![A-Za-z0-9_]){re.escape(word.strip('`'))}(?![A-Za-z0-9_])"), files.strip("`"))
        for word, files in _rows(text, "vocabulary-allowed")
    )
    return Vocabulary(phrases, identifiers, allowed)


def _rows(text: str, name: str) -> Iterator[tuple[str, str]]:
    """The rows of the two-column table between the comments ``name:begin`` and ``name:end``, without its head."""
    table = re.search(rf"<!-- {name}:begin -->\n(.*?)<!-- {name}:end -->", text, re.DOTALL)
    if table is None:
        raise VocabularyError(f"there is no table between <!-- {name}:begin --> and <!-- {name}:end -->")
    lines = [line for line in table[1].splitlines() if line.strip()]
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 2 or not all(cells):
            raise VocabularyError(f"not a row of two cells: {line}")
        yield cells[0], cells[1]


def files_in(root: Path, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Text files below the given files and folders, each with its path relative to ``root``."""
    for name in names:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(root).as_posix()
            excepted = any(fnmatchcase(relative, pattern) for pattern in EXCEPTED)
            if path.is_file() and path.suffix in SUFFIXES and not excepted:
                yield relative, path


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.vocabulary", description="Report excluded words.")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="file or folder, relative to the repository")
    names = parser.parse_args(argv).paths or CHECKED
    try:
        vocabulary = read_vocabulary((root / TABLES).read_text(encoding="utf-8"))
    except VocabularyError as error:
        sys.stderr.write(f"{TABLES}: {error}\n")
        return 2
    count = 0
    for relative, path in files_in(root, names):
        for use in vocabulary.uses(relative, path.read_text(encoding="utf-8", errors="replace")):
            sys.stdout.write(f"{use}\n")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
