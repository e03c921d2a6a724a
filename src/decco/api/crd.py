"""The CustomResourceDefinitions of this version: the file ``crds.yaml`` beside this one, which ``python -m
tools.generate`` writes from the models of this package. It is the text that ``decco crds`` prints.
"""

from __future__ import annotations

import functools
from importlib.resources import files

import yaml

from decco.objects import Obj


def crds_yaml() -> str:
    """One YAML stream."""
    return files(__package__).joinpath("crds.yaml").read_text(encoding="utf-8")


@functools.cache
def crds() -> tuple[Obj, ...]:
    """Those of Space and App, as a cluster takes them; they are shared, so callers do not change them."""
    return tuple(yaml.load_all(crds_yaml(), yaml.CSafeLoader))
