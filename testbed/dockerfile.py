"""Reads a Dockerfile: the instructions that ours use, and an error for any other, so that nothing is passed over.

Syntax: https://docs.docker.com/reference/dockerfile/. ``testbed.bareroot`` carries the steps out without any engine.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

COMMENT = re.compile(r"^\s*#.*\n?", re.MULTILINE)
VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True, slots=True)
class Run:
    """``argv`` is run as the user and with the variables in force at that line."""

    argv: tuple[str, ...]
    user: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Copy:
    """Files from the context, or from the stage ``origin``, into ``target``, an absolute path."""

    sources: tuple[str, ...]
    target: str
    origin: str | None


@dataclass(slots=True)
class BuildStage:
    """One image. ``base`` is an image's name, the name of an earlier stage, or ``scratch``."""

    name: str
    base: str
    steps: list[Run | Copy] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    ports: list[str] = field(default_factory=list)


def parse(text: str, arguments: Mapping[str, str] | None = None) -> list[BuildStage]:
    """The stages in order, the last of which is the image; ``arguments`` as of ``--build-arg``.

    Raises:
        ValueError: an instruction, or a form of one, that is not known here.
    """
    given = arguments or {}
    defaults: dict[str, str] = {}
    stages: list[BuildStage] = []
    for line in COMMENT.sub("", text).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word == "ARG":
            name, _, value = rest.partition("=")
            scope = stages[-1].arguments if stages else defaults
            scope[name] = given.get(name, value or defaults.get(name, ""))
        elif word == "FROM":
            stages.append(_from(_substitute(rest, defaults), len(stages)))
        elif stages:
            _instruction(stages[-1], word, rest)
        else:
            raise ValueError(f"{word} before the first FROM")
    if not stages:
        raise ValueError("there is no FROM in it")
    return stages


def _from(rest: str, number: int) -> BuildStage:
    match rest.split():
        case [base]:
            return BuildStage(str(number), base)
        case [base, "AS" | "as", name]:
            return BuildStage(name, base)
    raise ValueError(f"FROM {rest}: not known here")


def _instruction(stage: BuildStage, word: str, rest: str) -> None:
    match word:
        case "RUN":
            argv = _exec(rest) or ("/bin/sh", "-c", rest)
            stage.steps.append(Run(argv, stage.user, {**stage.arguments, **stage.environment}))
        case "COPY":
            stage.steps.append(_copy(rest))
        case "ENV":
            stage.environment |= _pairs(rest)
        case "LABEL":
            stage.labels |= _pairs(rest)
        case "USER":
            stage.user = rest
        case "EXPOSE":
            stage.ports += [port if "/" in port else f"{port}/tcp" for port in rest.split()]
        case "ENTRYPOINT":
            stage.entrypoint = _exec_form(word, rest)
        case "CMD":
            stage.cmd = _exec_form(word, rest)
        case "HEALTHCHECK":
            _, _, command = rest.partition("CMD ")
            stage.healthcheck = _exec_form(word, command.strip())
        case _:
            raise ValueError(f"{word}: not known here")


def _copy(rest: str) -> Copy:
    *sources, target = rest.split()
    origin = None
    if sources and sources[0].startswith("--"):
        option, _, origin = sources.pop(0).partition("=")
        if option != "--from":
            raise ValueError(f"COPY {option}: not known here")
    if not sources or not target.startswith("/"):
        raise ValueError(f"COPY {rest}: must be sources and an absolute target")
    return Copy(tuple(sources), target, origin)


def _exec(rest: str) -> tuple[str, ...] | None:
    """The words of the form with brackets; None for the shell's."""
    try:
        words = json.loads(rest)
    except ValueError:
        return None
    return tuple(map(str, words)) if isinstance(words, list) else None


def _exec_form(word: str, rest: str) -> tuple[str, ...]:
    words = _exec(rest)
    if words is None:
        raise ValueError(f"{word} {rest}: must be a list of words, since the image has no shell")
    return words


def _pairs(rest: str) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in shlex.split(rest))}


def _substitute(text: str, values: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)
