"""The Ingress dialects, one module each: ``<name>.py`` is the dialect of ``routing.ingressDialect: <name>``.

A module is found by its name and contains ``DIALECT``, so a new one touches no other file of decco. What it must
provide, and what it can use, is in ``routing/dialect.py``.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping
from importlib import import_module

from decco.desired.routing.dialect import Dialect


@functools.cache
def dialects() -> Mapping[str, Dialect]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}").DIALECT for name in names}
