"""Imports decco with another text of one of its modules: for sabotages and mutants, without a copy of the source.

Nothing of decco is imported here: the text must be in place before.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

SOURCE = Path(__file__).parents[2] / "src" / "decco"


def alter(file: str, text: str) -> None:
    """Makes this the text of the module of ``file``, in this process, when it is imported."""
    name = "decco." + file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    if name in sys.modules:
        raise RuntimeError(f"{name} is imported already")
    sys.meta_path.insert(0, _Finder(name, SOURCE / file, text))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, path: Path, text: str) -> None:
        self._name, self._path, self._text = name, path, text

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if name != self._name:
            return None
        loader = _Loader(name, str(self._path))
        loader.text = self._text
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    text = ""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec", dont_inherit=True)


def first_failure(file: str, text: str, first: int, most: int) -> tuple[int, str] | None:
    """The first seed from ``first`` on whose schedule fails with this text, and what was found; None if none does.

    To be called in a process of its own.
    """
    from tests.simulation import clock

    clock.install()
    alter(file, text)
    try:
        from tests.simulation import seams

        seams.install()
        from tests.simulation.batches import batches, forked
        from tests.simulation.command import first_found
        from tests.simulation.world import configure_log
    except Exception as error:  # noqa: BLE001 - the text may be wrong in any way
        return first, f"it does not start: {error!r}"
    configure_log(None)
    for seeds in batches(range(first, first + most)):
        found = forked(lambda seeds=seeds: first_found(seeds))  # type: ignore[misc]
        if found is not None:
            return found[0], found[1]
    return None
