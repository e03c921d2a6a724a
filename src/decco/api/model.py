"""What the models of ``types.py`` have in common."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

import decco.pydantic_plugins  # noqa: F401 - before the first model is built
from decco.api.rules import PRESERVE, Rule

Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Percent = Annotated[int, Field(ge=0, le=100)]

FreeForm = Annotated[dict[str, Any], WithJsonSchema({"type": "object", PRESERVE: True})]
"""An object of Kubernetes, validated by the API server when decco writes it."""


class Model(BaseModel):
    """Frozen, camelCase outside and snake_case inside; fields that a newer version wrote are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        # Validators are built with the first Space or App, and none for a model that is only part of another: 0.4 MB
        # and 20 ms of CPU at the start.
        defer_build=True,
    )

    rules: ClassVar[tuple[Rule[Any], ...]] = ()
    """What must hold between the fields, here and at the API server."""

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        broken = tuple((rule.at, rule.message) for rule in self.rules if not rule.holds(self))
        if broken:
            text = "; ".join(f"{at.removeprefix('.')} {message}".strip() for at, message in broken)
            raise PydanticCustomError("rules", "{text}", {"text": text, "broken": broken})
        return self


def list_map(key: str) -> dict[str, Any]:
    """A list whose items are identified by one field: merged item by item, and duplicates are refused."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
