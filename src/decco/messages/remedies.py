"""Remedies for what somebody meets in the first hour, by topic (``remedies.toml``); where messages are explained."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from decco.messages import Category, Message, messages

DOCUMENTATION = "https://decco-project.github.io/decco"
"""Where the site of ``make docs`` is published; the one place that says so."""
FIRST_HOUR = "how-to/first-hour.html"
MESSAGES = "reference/messages.html"


class Topic(NamedTuple):
    """``look`` has commands that only read, ``cure`` those that change something; both for the examples' names."""

    title: str
    codes: list[str]
    why: str
    look: list[str]
    cure: list[str]


@functools.cache
def topics() -> Mapping[str, Topic]:
    """Name -> topic, in the order of the file."""
    import tomllib  # not for --help

    text = Path(__file__).with_name("remedies.toml").read_text(encoding="utf-8")
    return {name: Topic(**entry) for name, entry in tomllib.loads(text).items()}


def topics_of(code: str) -> list[Topic]:
    return [topic for topic in topics().values() if code in topic.codes]


def known() -> Iterator[tuple[str, Message]]:
    """Name and message of everything in the catalogue."""
    for category in Category:
        yield from messages(category).items()


def page(code: str) -> str:
    """The address of the page and the place in it that explain a code."""
    where = FIRST_HOUR if topics_of(code) else MESSAGES
    return f"{DOCUMENTATION}/{where}#{code.lower()}"
