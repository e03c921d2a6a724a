"""Reads the settings from their sources, and reports every mistake at once, each with its place.

A controller that ended at the first mistake would need one restart per mistake. So each source is read to the end,
unknown names and wrong values are collected as one line each, and then the start is refused. A value that a stronger
source replaces is not validated. pydantic validates the values; the sources are read here, because a message has to
contain ``decco.yaml:7: routing.backend`` or ``DECCO_ROUTING__BACKEND``, and a misspelt variable must be reported.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from decco.errors import ConfigError
from decco.settings import Settings
from decco.settings_forms import Form, Section
from decco.text import truncate

PREFIX = "DECCO_"
NOT_SETTINGS = frozenset({"DECCO_CACHE"})
"""Variables with decco's prefix that are not settings: the folder where testbed/ keeps what it built."""
_SERVICE_LINK = re.compile(
    r"DECCO_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z]+(_[A-Z]+)?)?)"
)
"""Variables that the kubelet sets in the pod for Services named decco or decco-*, with Docker's former naming."""
_LONGEST = 60
"""Characters of a wrong value that a message shows."""


class WrongSettings(ConfigError):
    """All mistakes in the settings; ``lines`` has one message per mistake."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: ``key`` as in the file, with dots; ``variable`` as in the environment."""

    key: str
    variable: str
    field: FieldInfo

    @property
    def allowed(self) -> str:
        """The allowed values, in a text that continues "must be"."""
        return _allowed(self.field.annotation, tuple(self.field.metadata))

    @property
    def models(self) -> Mapping[str, type[Section]]:
        """For a list of mappings of several types: the model of each."""
        kind = self.field.annotation
        return variants(get_args(kind)[0]) if get_origin(kind) is tuple else {}


class Given(NamedTuple):
    """A value as a source gave it, and the place for messages about it."""

    value: Any
    place: str


def all_settings(section: type[Section] = Settings, key: str = "", variable: str = PREFIX) -> Iterator[Setting]:
    """Every setting, in the order of the model."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from all_settings(kind, f"{key}{to_camel(name)}.", f"{variable}{name.upper()}__")
        else:
            yield Setting(key + to_camel(name), variable + name.upper(), field)


SETTINGS = {setting.key: setting for setting in all_settings()}
GROUPS = {key.rpartition(".")[0] for key in SETTINGS} - {""}


class ConfigText(NamedTuple):
    """The content of a settings file that is not a local file; ``place`` is its name in messages."""

    text: str
    place: str


def load(flags: Mapping[str, Any], environ: Mapping[str, str], config_file: Path | ConfigText | None) -> Settings:
    """The settings in force: defaults, then the file, then the environment, then flags.

    ``flags`` has field names of Settings and their values, None for a flag that was not given. An empty variable counts
    as not set. Raises WrongSettings with every mistake.
    """
    mistakes: list[str] = []
    given: dict[str, Given] = {}
    if config_file is not None:
        if isinstance(config_file, ConfigText):
            given |= _from_text(config_file.text, config_file.place, mistakes)
        else:
            given |= _from_file(config_file, mistakes)
    given |= _from_environment(environ, mistakes)
    for name, value in flags.items():
        if value is not None:
            given[SETTINGS[to_camel(name)].key] = Given(value, "--" + name.replace("_", "-"))
    nested: dict[str, Any] = {}
    for key, (value, _) in given.items():
        *groups, last = key.split(".")
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    try:
        settings = Settings.model_validate(nested)
    except ValidationError as error:
        mistakes += [_message(detail, given) for detail in error.errors(include_url=False)]
    if mistakes:
        raise WrongSettings(mistakes)
    return settings


def dump(settings: Settings) -> str:
    """The settings as a file that ``--config`` reads."""
    return yaml.safe_dump(settings.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


# --- the file ---------------------------------------------------------------------------------------------------------


def _from_file(path: Path, mistakes: list[str]) -> dict[str, Given]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        mistakes.append(f"{path}: cannot be read: {error.strerror}; --config names the file with the settings")
        return {}
    except UnicodeDecodeError as error:
        mistakes.append(f"{path}: is not UTF-8 text (byte {error.start}): save it as UTF-8")
        return {}
    return _from_text(text, str(path), mistakes)


def _from_text(text: str, path: str, mistakes: list[str]) -> dict[str, Given]:
    given: dict[str, Given] = {}
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is not None:
            _read_group(loader, root, path, "", given, mistakes)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark is not None else path
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        mistakes.append(f"{place}: is not one YAML document: {problem}")
    return given


def _read_group(
    loader: yaml.SafeLoader, node: yaml.Node, path: str, group: str, given: dict[str, Given], mistakes: list[str]
) -> None:
    """Takes the values of one mapping; ``group`` is "" for the whole file, else the group's key."""
    prefix = f"{group}." if group else ""
    here = f"{path}:{node.start_mark.line + 1}: {group}" if group else path
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return  # a group whose keys are all commented out
    if not isinstance(node, yaml.MappingNode):
        mistakes.append(f"{here}: must be a mapping with keys among {_names_in(group)}")
        return
    seen: set[str] = set()
    for key_node, value_node in node.value:
        name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "(not a text)"
        key = prefix + name
        place = f"{path}:{key_node.start_mark.line + 1}: {_printable(key)}"
        if key in seen:
            mistakes.append(f"{place}: stands here twice; keep one")
        elif key in GROUPS:
            _read_group(loader, value_node, path, key, given, mistakes)
        elif key in SETTINGS:
            try:
                given[key] = Given(loader.construct_object(value_node, deep=True), place)
            except (ValueError, yaml.MarkedYAMLError) as error:  # a date in month 13, an unknown !tag
                problem = getattr(error, "problem", None) or error
                mistakes.append(f"{place}: cannot be understood: {problem}; docs/reference/settings.md shows its form")
        else:
            match = closest(key, (*SETTINGS, *GROUPS))
            hint = f"did you mean {match}?" if match else f"allowed here: {_names_in(group)}"
            mistakes.append(f"{place}: unknown setting; {hint}")
        seen.add(key)


def _names_in(group: str) -> str:
    prefix = f"{group}." if group else ""
    names = (key.removeprefix(prefix).partition(".")[0] for key in SETTINGS if key.startswith(prefix))
    return ", ".join(dict.fromkeys(names))


# --- the environment --------------------------------------------------------------------------------------------------


def _from_environment(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, Given]:
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    given: dict[str, Given] = {}
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        setting = by_variable.get(variable)
        if setting is not None:
            if text:
                given[setting.key] = Given(_decode(setting, text), variable)
        elif _SERVICE_LINK.fullmatch(variable) is None:
            inside = [name for name in by_variable if name.startswith(f"{variable}__")]
            match = closest(variable, by_variable)
            if inside:
                hint = f"is a group of settings; set {', '.join(inside)}"
            elif match:
                hint = f"unknown setting; did you mean {match}?"
            else:
                hint = "unknown setting; docs/reference/settings.md lists them all"
            mistakes.append(f"{_printable(variable)}: {hint}")
    return given


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


# --- words ------------------------------------------------------------------------------------------------------------


def _message(detail: ErrorDetails, given: Mapping[str, Given]) -> str:
    """An error of pydantic as one line: place, value, allowed values, suggestion."""
    key, rest = "", ""
    kind: Any = None
    metadata: tuple[Any, ...] = ()
    names: list[str] = []
    for part in detail["loc"]:
        if key not in SETTINGS:
            key = ".".join(filter(None, (key, to_camel(str(part)))))
            if key in SETTINGS:
                kind, metadata = SETTINGS[key].field.annotation, tuple(SETTINGS[key].field.metadata)
        else:
            if part in variants(kind):  # pydantic names the variant on the way to its fields
                kind, metadata = variants(kind)[str(part)], ()
                continue
            rest += f"[{part}]" if isinstance(part, int) else f".{part}"
            if isinstance(part, str):
                names = _names_of(kind)
            kind, metadata = _part_of(kind, part)
    value = detail["input"]
    if detail["type"] == "value_error":
        problem = str(detail["ctx"]["error"])
    elif detail["type"] == "extra_forbidden":
        match = closest(str(detail["loc"][-1]), names)
        hint = f"did you mean {match}?" if match else f"allowed here: {', '.join(names)}"
        problem = f"is given to an unknown setting; {hint}"
    elif detail["type"] == "missing":
        return f"{given[key].place if key in given else key}{rest}: is missing; it must be {_allowed(kind, metadata)}"
    elif kind is None:  # deep inside a value that has a model of its own
        problem = f"is wrong: {detail['msg']}"
    else:
        problem = f"must be {_allowed(kind, metadata)}"
        match = closest(value, _choices(kind)) if isinstance(value, str) else None
        if match:
            problem += f"; did you mean {match}?"
        elif detail["type"] == "string_type" and not isinstance(value, list | dict | None):
            problem += "; write it in quotes"
    place = given[key].place if key in given else f"{key} (default)"
    return f"{place}{rest}: {_shown(value)} {problem}"


def variants(kind: Any) -> Mapping[str, type[Section]]:
    """The models among which a key ``type`` decides, by its value; {} for any other kind of setting."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in {Union, UnionType}:
        return {}
    arms = [arm for arm in get_args(kind) if isinstance(arm, type) and issubclass(arm, Section)]
    return {arm.model_fields["type"].default: arm for arm in arms}


def _part_of(kind: Any, part: int | str) -> tuple[Any, tuple[Any, ...]]:
    """Kind and metadata of an item or field of a value; None for what has no text of its own."""
    if get_origin(kind) is tuple:
        return get_args(kind)[0], ()
    if isinstance(kind, type) and issubclass(kind, Section):
        for name, field in kind.model_fields.items():
            if part in {name, to_camel(name)}:
                return field.annotation, tuple(field.metadata)
    return None, ()


def _names_of(kind: Any) -> list[str]:
    """The keys of a model; [] for anything else."""
    known = kind.model_fields if isinstance(kind, type) and issubclass(kind, Section) else ()
    return [to_camel(name) for name in known]


def _allowed(kind: Any, metadata: tuple[Any, ...] = ()) -> str:
    origin = get_origin(kind)
    if models := variants(kind):
        return f"a mapping whose type is one of {', '.join(models)}"
    if origin is Annotated:
        return _allowed(get_args(kind)[0], kind.__metadata__)
    if origin in {Union, UnionType}:
        return _allowed(next(arm for arm in get_args(kind) if arm is not NoneType), metadata)
    for form in metadata:
        if isinstance(form, Form):
            return form.words
    if choices := _choices(kind):
        *most, last = choices
        return f"{', '.join(most)} or {last}" if most else last
    if origin is tuple:
        return f"a list, each item {_allowed(get_args(kind)[0])}"
    if kind is bool:
        return "true or false"
    if kind is str:
        return "text"
    if kind in {int, float}:
        return ("a whole number" if kind is int else "a number") + _limits(metadata)
    raise TypeError(f"no words for settings of type {kind}")


def _limits(metadata: tuple[Any, ...]) -> str:
    flat = [limit for item in metadata for limit in (item.metadata if isinstance(item, FieldInfo) else (item,))]
    above = next((limit.gt for limit in flat if isinstance(limit, Gt)), None)
    lowest = next((limit.ge for limit in flat if isinstance(limit, Ge)), None)
    highest = next((limit.le for limit in flat if isinstance(limit, Le)), None)
    if above is not None:
        return f" above {above}"
    if lowest is not None:
        return f" of at least {lowest}" if highest is None else f" from {lowest} to {highest}"
    return ""


def _choices(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(member.value for member in kind)
    return ()


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The most similar candidate: same letters, then same last part, then similar spelling."""

    def plain(text: str) -> str:
        return text.removeprefix(PREFIX).replace("__", ".").replace("_", "").replace("-", "").lower()

    by_plain = {plain(candidate): candidate for candidate in candidates}
    wanted = plain(word)
    for spelling, candidate in by_plain.items():
        if spelling == wanted:
            return candidate
    for spelling, candidate in by_plain.items():
        if spelling.rpartition(".")[2] == wanted.rpartition(".")[2]:
            return candidate
    similar = difflib.get_close_matches(wanted, by_plain, n=1, cutoff=0.7)
    return by_plain[similar[0]] if similar else None


def _shown(value: object) -> str:
    return truncate(json.dumps(value, default=str), _LONGEST + 1)


def _printable(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)
