"""Reads the settings from their sources, and reports every mistake at once, each with its place.

Sources, the later the stronger: defaults, the YAML file of ``--config``, the environment (``DECCO_*``, nested with
``__``), flags. A controller that ended at the first mistake would need one restart per mistake. So each source is read
to the end, unknown names and wrong values are collected as one line each, and then the start is refused. A value that a
stronger source replaces is not validated. pydantic validates the values; the sources are read here, because a message
has to contain ``decco.yaml:7: routing.backend`` or ``DECCO_ROUTING__BACKEND``, and a misspelt variable must be
reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from decco.errors import ConfigError
from decco.settings.fields import GROUPS, PREFIX, SETTINGS, Setting, ValueType
from decco.settings.model import Settings
from decco.suggest import closest, did_you_mean
from decco.text import truncate

NOT_SETTINGS = frozenset({"DECCO_CACHE"})
"""Variables with decco's prefix that are not settings: the folder where testbed/ keeps what it built."""
_SERVICE_LINK = re.compile(
    r"DECCO_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z]+(_[A-Z]+)?)?)"
)
"""Variables that the kubelet sets in the pod for Services named decco or decco-*, with Docker's former naming."""
_LONGEST = 60
"""Characters of a wrong value that a message shows."""
_MANUAL = "docs/reference/settings.md"


class WrongSettings(ConfigError):
    """All mistakes in the settings; ``lines`` has one message per mistake."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


class ConfigText(NamedTuple):
    """The content of a settings file that is not a local file; ``place`` is its name in messages."""

    text: str
    place: str


def load(flags: Mapping[str, Any], environ: Mapping[str, str], config_file: Path | ConfigText | None) -> Settings:
    """The settings in force: defaults, then the file, then the environment, then flags.

    ``flags`` has field names of Settings and their values, None for a flag that was not given. An empty variable counts
    as not set. Raises WrongSettings with every mistake.
    """
    sources = _Sources()
    if isinstance(config_file, ConfigText):
        sources.add_text(config_file.text, config_file.place)
    elif config_file is not None:
        sources.add_file(config_file)
    sources.add_environment(environ)
    sources.add_flags(flags)
    return sources.settings()


def dump(settings: Settings) -> str:
    """The settings as a file that ``--config`` reads."""
    return yaml.safe_dump(settings.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


class _Given(NamedTuple):
    """A value as a source gave it, and the place for messages about it."""

    value: Any
    place: str


class _Sources:
    """Collects the values of all sources, the stronger ones last, and the mistakes in them."""

    def __init__(self) -> None:
        self._given: dict[str, _Given] = {}
        self._mistakes: list[str] = []

    def settings(self) -> Settings:
        nested: dict[str, Any] = {}
        for key, (value, _) in self._given.items():
            *groups, last = key.split(".")
            inner = nested
            for group in groups:
                inner = inner.setdefault(group, {})
            inner[last] = value
        try:
            settings = Settings.model_validate(nested)
        except ValidationError as error:
            self._mistakes += [self._message(detail) for detail in error.errors(include_url=False)]
        if self._mistakes:
            raise WrongSettings(self._mistakes)
        return settings

    def add_file(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            self._mistakes.append(
                f"{path}: cannot be read: {error.strerror}; --config names the file with the settings"
            )
        except UnicodeDecodeError as error:
            self._mistakes.append(f"{path}: is not UTF-8 text (byte {error.start}): save it as UTF-8")
        else:
            self.add_text(text, str(path))

    def add_text(self, text: str, path: str) -> None:
        try:
            loader = yaml.SafeLoader(text)
            root = loader.get_single_node()
            if root is not None:
                self._add_group(loader, root, path, "")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{path}:{mark.line + 1}" if mark is not None else path
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            self._mistakes.append(f"{place}: is not one YAML document: {problem}")

    def _add_group(self, loader: yaml.SafeLoader, node: yaml.Node, path: str, group: str) -> None:
        """Takes the values of one mapping; ``group`` is "" for the whole file, else the group's key."""
        prefix = f"{group}." if group else ""
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return  # a group whose keys are all commented out
        if not isinstance(node, yaml.MappingNode):
            here = f"{path}:{node.start_mark.line + 1}: {group}" if group else path
            self._mistakes.append(f"{here}: must be a mapping with keys among {_names_in(prefix)}")
            return
        seen: set[str] = set()
        for key_node, value_node in node.value:
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "(not a text)"
            key = prefix + name
            place = f"{path}:{key_node.start_mark.line + 1}: {_printable(key)}"
            if key in seen:
                self._mistakes.append(f"{place}: stands here twice; keep one")
            elif key in GROUPS:
                self._add_group(loader, value_node, path, key)
            elif key in SETTINGS:
                try:
                    self._given[key] = _Given(loader.construct_object(value_node, deep=True), place)
                except (ValueError, yaml.MarkedYAMLError) as error:  # a date in month 13, an unknown !tag
                    problem = getattr(error, "problem", None) or error
                    self._mistakes.append(f"{place}: cannot be understood: {problem}; {_MANUAL} shows its form")
            else:
                hint = did_you_mean(key, (*SETTINGS, *GROUPS), last_part=True)
                hint = hint or f"; allowed here: {_names_in(prefix)}"
                self._mistakes.append(f"{place}: unknown setting{hint}")
            seen.add(key)

    def add_environment(self, environ: Mapping[str, str]) -> None:
        by_variable = {setting.variable: setting for setting in SETTINGS.values()}
        for variable in sorted(environ):
            text = environ[variable]
            if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
                continue
            setting = by_variable.get(variable)
            if setting is not None:
                if text:
                    self._given[setting.key] = _Given(_decode(setting, text), variable)
            elif _SERVICE_LINK.fullmatch(variable) is None:
                self._mistakes.append(f"{_printable(variable)}: {_unknown_variable(variable, list(by_variable))}")

    def add_flags(self, flags: Mapping[str, Any]) -> None:
        for name, value in flags.items():
            if value is not None:
                self._given[to_camel(name)] = _Given(value, "--" + name.replace("_", "-"))

    def _message(self, detail: ErrorDetails) -> str:
        """An error of pydantic as one line: place, value, allowed values, suggestion."""
        key, inside = "", ""
        kind: ValueType | None = None
        siblings: Iterable[str] = ()
        for part in detail["loc"]:
            if key not in SETTINGS:
                key = f"{key}.{to_camel(str(part))}".removeprefix(".")
                kind = SETTINGS[key].type if key in SETTINGS else None
            elif kind is not None and part in kind.models:  # pydantic names the variant on the way to its keys
                kind = ValueType(kind.models[str(part)])
            elif isinstance(part, int):
                inside += f"[{part}]"
                kind = kind.item if kind is not None and kind.is_list else None
            else:
                inside += f".{part}"
                siblings = kind.keys if kind is not None else ()
                kind = kind.keys.get(to_camel(part)) if kind is not None else None
        place = self._given[key].place if key in self._given else f"{key} (default)"
        if detail["type"] == "missing":
            assert kind is not None
            return f"{place}{inside}: is missing; it must be {kind.allowed}"
        value = detail["input"]
        if detail["type"] == "value_error":
            problem = str(detail["ctx"]["error"])
        elif detail["type"] == "extra_forbidden":
            hint = did_you_mean(str(detail["loc"][-1]), siblings) or f"; allowed here: {', '.join(siblings)}"
            problem = f"is given to an unknown setting{hint}"
        elif kind is None:  # deep inside a value that has a model of its own
            problem = f"is wrong: {detail['msg']}"
        else:
            hint = did_you_mean(value, kind.choices) if isinstance(value, str) else ""
            if not hint and detail["type"] == "string_type" and not isinstance(value, list | dict | None):
                hint = "; write it in quotes"
            problem = f"must be {kind.allowed}{hint}"
        return f"{place}{inside}: {_shown(value)} {problem}"


def _names_in(prefix: str) -> str:
    names = (key.removeprefix(prefix).partition(".")[0] for key in SETTINGS if key.startswith(prefix))
    return ", ".join(dict.fromkeys(names))


def _unknown_variable(variable: str, known: list[str]) -> str:
    inside = [name for name in known if name.startswith(f"{variable}__")]
    if inside:
        return f"is a group of settings; set {', '.join(inside)}"
    dotted = {_with_dots(name): name for name in known}
    match = closest(_with_dots(variable), dotted, last_part=True)
    return f"unknown setting; did you mean {dotted[match]}?" if match else f"unknown setting; {_MANUAL} lists them all"


def _with_dots(variable: str) -> str:
    return variable.removeprefix(PREFIX).replace("__", ".")


def _decode(setting: Setting, text: str) -> Any:
    """Lists and mappings from JSON, lists also from words with commas between; the rest is judged as text."""
    kind = get_origin(setting.field.annotation)
    if text == "null" and NoneType in get_args(setting.field.annotation) and setting.field.default is not None:
        return None  # the one way to take back a default; elsewhere an empty variable does
    if kind is tuple and not text.lstrip().startswith("["):
        return [word.strip() for word in text.split(",") if word.strip()]
    if kind in {tuple, dict}:
        try:
            return json.loads(text)
        except ValueError:
            return text  # no list and no mapping: refused with the value and what is allowed
    return text


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return truncate(text, _LONGEST + 1)


def _printable(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)
