"""Makes the reference page of the settings from their model.

    python -m decco.settings_doc > docs/reference/settings.md

A test compares the page with the model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from decco.settings_follow import AT_ONCE
from decco.settings_forms import Section
from decco.settings_load import NOT_SETTINGS, SETTINGS, Setting

_HEAD = """\
# Settings of decco-controller

<!-- Made by `python -m decco.settings_doc` from src/decco/settings*.py; change it there. -->

Sources, the later the stronger: the defaults below, the YAML file named by `--config`, the environment, flags
(`decco-controller --help`). Keys with a dot are nested in the file. In the environment lists are JSON or words with
commas between them, mappings are JSON, and an empty variable counts as not set.

An unknown key, an unknown variable that begins with `DECCO_`, or a wrong value ends the start with one line per mistake
and exit status 2. Left alone are variables that the kubelet sets for Services named `decco` or `decco-...`, and
{others}. `decco-controller --print-config` prints what is in force, in the form of the file.

The file is checked every few seconds while the controller runs. A changed `{at_once}` is in force at once, unless the
environment or a flag sets it. Any other change is named in the log and waits for a restart. Of a file with mistakes
each is logged, and what was in force stays.
"""


def page() -> str:
    """The whole page as Markdown."""
    others = ", ".join(f"`{name}`" for name in sorted(NOT_SETTINGS))
    return "\n".join([_HEAD.format(others=others, at_once=AT_ONCE), *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    group = None
    for setting in SETTINGS.values():
        here = setting.key.rpartition(".")[0]
        if here != group:
            group = here
            yield f"## {f'`{group}`' if group else 'General'}\n"
        yield f"### `{setting.key}`\n\n{setting.field.description}\n"
        yield f"* Default: {_default(setting)}\n* Must be {setting.allowed}\n* Variable: `{setting.variable}`\n"
        for name, model in setting.models.items():
            yield f"#### `{setting.key}[]` of type `{name}`\n\n{_line(model.__doc__)}\n"
            yield "\n".join(_keys(model)) + "\n"


def _keys(model: type[Section]) -> Iterator[str]:
    yield "| key | must be | default | |\n|---|---|---|---|"
    for name, field in model.model_fields.items():
        setting = Setting(to_camel(name), "", field)
        default = "required" if field.is_required() or name == "type" else _default(setting)
        yield f"| `{setting.key}` | {setting.allowed} | {default} | {_line(field.description)} |"


def _line(text: str | None) -> str:
    return " ".join((text or "").replace("``", "`").split())


def _default(setting: Setting) -> str:
    default = setting.field.get_default(call_default_factory=True)
    if default is None or default in ((), {}):
        return "none"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


if __name__ == "__main__":
    sys.stdout.write(page())
