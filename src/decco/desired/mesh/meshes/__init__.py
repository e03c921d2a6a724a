"""The service meshes, one module each: ``<name>.py`` is ``mesh: <Name>`` of a Space.

A module is found by its name and contains ``MESH``, so a new one touches no other file of ``desired/``. What it must
provide is in ``mesh/interface.py``.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping
from importlib import import_module

from decco.desired.mesh.interface import Mesh
from decco.objects import Resource


@functools.cache
def meshes() -> Mapping[str, Mesh]:
    """By the value of ``mesh`` in the spec of a Space."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name.capitalize(): import_module(f"{__name__}.{name}").MESH for name in names}


@functools.cache
def mesh_kinds() -> tuple[Resource, ...]:
    """The kinds that all meshes together have policies of."""
    return tuple(kind for mesh in meshes().values() for kind in mesh.kinds)
