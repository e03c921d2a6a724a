"""Every setting with its names in the sources, and the values that it may have, for messages and for the reference."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from decco.forms import Form, Section, Variants
from decco.frozen import frozen
from decco.settings.model import RELOADABLE, Settings

PREFIX = "DECCO_"
_PLAIN = {bool: "true or false", str: "text", int: "a whole number", float: "a number"}


@frozen
class ValueType:
    """The type of a setting, of an item of a list, or of a key of a mapping; ``kind`` is free of Annotated and None."""

    kind: Any
    metadata: tuple[Any, ...] = ()

    @classmethod
    def of(cls, annotation: Any, metadata: tuple[Any, ...] = ()) -> ValueType:
        if get_origin(annotation) is Annotated:
            return cls.of(get_args(annotation)[0], annotation.__metadata__)
        if get_origin(annotation) in {Union, UnionType}:
            arms = [arm for arm in get_args(annotation) if arm is not NoneType]
            if len(arms) == 1:
                return cls.of(arms[0], metadata)
        return cls(annotation, metadata)

    @classmethod
    def of_field(cls, field: FieldInfo) -> ValueType:
        return cls.of(field.annotation, tuple(field.metadata))

    @property
    def allowed(self) -> str:
        """The allowed values, in a text that continues "must be"."""
        if models := self.models:
            return f"a mapping whose type is one of {', '.join(models)}"
        for form in self.metadata:
            if isinstance(form, Form):
                return form.words
        if self.choices:
            *most, last = self.choices
            return f"{', '.join(most)} or {last}" if most else last
        if self.is_list:
            return f"a list, each item {self.item.allowed}"
        return _PLAIN[self.kind] + self._limits()

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of an enumeration; () for any other type."""
        if get_origin(self.kind) is Literal:
            return get_args(self.kind)
        is_enum = isinstance(self.kind, type) and issubclass(self.kind, Enum)
        return tuple(member.value for member in self.kind) if is_enum else ()

    @property
    def models(self) -> Mapping[str, type[Section]]:
        """The models among which a key ``type`` decides, by its value; {} for any other type."""
        return next((each.models() for each in self.metadata if isinstance(each, Variants)), {})

    @property
    def is_list(self) -> bool:
        return get_origin(self.kind) is tuple

    @property
    def item(self) -> ValueType:
        """That of the items of a list."""
        return ValueType.of(get_args(self.kind)[0])

    @property
    def keys(self) -> Mapping[str, ValueType]:
        """Those of a mapping that has a model; {} for any other type."""
        if not isinstance(self.kind, type) or not issubclass(self.kind, Section):
            return {}
        return {to_camel(name): ValueType.of_field(field) for name, field in self.kind.model_fields.items()}

    def _limits(self) -> str:
        limits = [
            limit for item in self.metadata for limit in (item.metadata if isinstance(item, FieldInfo) else [item])
        ]
        above = next((limit.gt for limit in limits if isinstance(limit, Gt)), None)
        lowest = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
        highest = next((limit.le for limit in limits if isinstance(limit, Le)), None)
        if above is not None:
            return f" above {above}"
        if lowest is not None:
            return f" of at least {lowest}" if highest is None else f" from {lowest} to {highest}"
        return ""


@frozen
class Setting:
    """One setting; ``path`` has the names of its section's field, if any, and of its own field."""

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def key(self) -> str:
        """Its name in the file, with dots."""
        return ".".join(map(to_camel, self.path))

    @property
    def variable(self) -> str:
        return PREFIX + "__".join(self.path).upper()

    @property
    def type(self) -> ValueType:
        return ValueType.of_field(self.field)

    @property
    def reloadable(self) -> bool:
        """Whether a change is in force at once, instead of at the next start."""
        return RELOADABLE in self.field.metadata

    def value_in(self, settings: Settings) -> Any:
        return functools.reduce(getattr, self.path, settings)


def _all_settings(section: type[Section], path: tuple[str, ...] = ()) -> Iterator[Setting]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _all_settings(kind, (*path, name))
        else:
            yield Setting((*path, name), field)


SETTINGS = {setting.key: setting for setting in _all_settings(Settings)}
GROUPS = {key.rpartition(".")[0] for key in SETTINGS} - {""}


def reloadable(section: str) -> list[str]:
    """The keys of a section of which a change is in force at once."""
    return [key for key, setting in SETTINGS.items() if key.startswith(f"{section}.") and setting.reloadable]
