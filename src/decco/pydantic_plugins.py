"""Takes the place of the module in which pydantic looks for plugins.

pydantic loads what any installed distribution declares as its plugin, into a process that may write to the whole
cluster, and imports ``importlib.metadata`` and ``zipfile`` for it: 1 MB of the resident memory and 50 ms of CPU at each
start. Models are built without plugins. Whatever else a pydantic expects of its module comes from there.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

_REPLACED: Final = "pydantic.plugin._loader"


def get_plugins() -> tuple[()]:
    return ()


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # of the module itself, for the import system
        raise AttributeError(name)
    if sys.modules.get(_REPLACED) is sys.modules[__name__]:
        del sys.modules[_REPLACED]
    return getattr(importlib.import_module(_REPLACED), name)


sys.modules.setdefault(_REPLACED, sys.modules[__name__])
