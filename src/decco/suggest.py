"""What somebody may have meant by a word that is not among the known ones."""

from __future__ import annotations

from collections.abc import Iterable

CUTOFF = 0.7
"""Least similarity of a suggestion, as difflib measures it: one typing error in a word of four letters."""


def did_you_mean(word: str, known: Iterable[str], *, quoted: bool = False, last_part: bool = False) -> str:
    """``; did you mean x?``, or "" if no other word is similar; arguments as for ``closest``."""
    found = closest(word, known, last_part=last_part)
    if found is None or found == word:
        return ""
    return f"; did you mean {found!r}?" if quoted else f"; did you mean {found}?"


def closest(word: str, known: Iterable[str], *, last_part: bool = False) -> str | None:
    """The most similar known word, or None. Case, hyphens and underscores do not count.

    With ``last_part`` a word also matches a known one that has the same part after its last dot: ``backend`` is
    ``routing.backend``.
    """
    by_plain = {_plain(each): each for each in known}
    wanted = _plain(word)
    if wanted in by_plain:
        return by_plain[wanted]
    if last_part:
        for plain, each in by_plain.items():
            if plain.rpartition(".")[2] == wanted.rpartition(".")[2]:
                return each
    from difflib import get_close_matches  # late: it is needed for a mistake only

    similar = get_close_matches(wanted, by_plain, n=1, cutoff=CUTOFF)
    return by_plain[similar[0]] if similar else None


def _plain(word: str) -> str:
    return word.replace("-", "").replace("_", "").lower()
