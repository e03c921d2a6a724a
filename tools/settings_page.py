"""The reference page of the settings, from their model."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic.fields import FieldInfo

from decco.forms import Section
from decco.settings import Settings
from decco.settings.fields import SETTINGS, Setting, ValueType
from decco.settings.load import NOT_SETTINGS
from tools.descriptions import describe

PAGE = "docs/reference/settings.md"
_HEAD = """\
# Settings of decco-controller

<!-- Generated from src/decco/settings by `python -m tools.generate`; change it there. -->

Sources, the later the stronger: the defaults below, the YAML file named by `--config`, the environment, flags
(`decco-controller --help`). Keys with a dot are nested in the file. In the environment lists are JSON or words with
commas between them, mappings are JSON, and an empty variable counts as not set.

An unknown key, an unknown variable that begins with `DECCO_`, or a wrong value ends the start with one line per mistake
and exit status 2. Left alone are variables that the kubelet sets for Services named `decco` or `decco-...`, and
{others}. `decco-controller --print-config` prints what is in force, in the form of the file.

The file is checked every few seconds while the controller runs. A changed {reloadable} is in force at once, unless the
environment or a flag sets it. Any other change is named in the log and waits for a restart. Of a file with mistakes
each is logged, and what was in force stays.
"""


def outputs() -> dict[str, str]:
    return {PAGE: page()}


def page() -> str:
    """The whole page as Markdown."""
    describe(Settings)
    others = ", ".join(f"`{name}`" for name in sorted(NOT_SETTINGS))
    reloadable = ", ".join(f"`{setting.key}`" for setting in SETTINGS.values() if setting.reloadable)
    return "\n".join([_HEAD.format(others=others, reloadable=reloadable), *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    group = None
    for setting in SETTINGS.values():
        here = setting.key.rpartition(".")[0]
        if here != group:
            group = here
            yield f"## {f'`{group}`' if group else 'General'}\n"
        yield f"### `{setting.key}`\n\n{setting.field.description}\n"
        yield "\n".join(f"* {fact}" for fact in _facts(setting)) + "\n"
        for name, model in _item_models(setting.type).items():
            describe(model)
            yield f"#### `{setting.key}[]` of type `{name}`\n\n{_line(model.__doc__)}\n"
            yield "\n".join(_keys(model)) + "\n"


def _facts(setting: Setting) -> Iterator[str]:
    yield f"Default: {_default(setting.field)}"
    yield f"Must be {setting.type.allowed}"
    yield f"Variable: `{setting.variable}`"
    yield "Reloadable: a change of the file is in force at once" if setting.reloadable else "A change needs a restart"


def _item_models(type_: ValueType) -> dict[str, type[Section]]:
    """For a list of mappings of several types: the model of each."""
    return dict(type_.item.models) if type_.is_list else {}


def _keys(model: type[Section]) -> Iterator[str]:
    yield "| key | must be | default | |\n|---|---|---|---|"
    for (key, type_), field in zip(ValueType(model).keys.items(), model.model_fields.values(), strict=True):
        default = "required" if field.is_required() or key == "type" else _default(field)
        yield f"| `{key}` | {type_.allowed} | {default} | {_line(field.description)} |"


def _line(text: str | None) -> str:
    return " ".join((text or "").replace("``", "`").split())


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None or default in ((), {}):
        return "none"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"
