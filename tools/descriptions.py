"""Gives each field of decco's models the docstring below it as its description, for CRDs and reference pages.

pydantic can do so itself (``use_attribute_docstrings``), but then each start of the controller parses the source of all
models, for texts that only this repository's generators read: 0.3 MB and a tenth of the CPU time of the imports.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_args

from pydantic import BaseModel


def describe(model: type[BaseModel]) -> None:
    """Adds the descriptions to this model, and before that to those that its fields consist of."""
    for field in model.model_fields.values():
        for part in _models_in(field.annotation):
            describe(part)
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            texts |= _docstrings(base)
    for name, field in model.model_fields.items():
        field.description = field.description or texts.get(name)
    model.model_rebuild(force=True)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _docstrings(model: type) -> dict[str, str]:
    """Field -> the text below it, for the fields that the class itself has."""
    try:
        source = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except OSError:  # made by a call, as by pydantic.create_model
        return {}
    (definition,) = source.body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
