"""What comes out of an import: each object of the input with its remarks, and the new objects made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from decco.api.parse import InvalidObjectError
from decco.importing.fields import Level, Remarks, Source
from decco.objects import Obj


@dataclass(slots=True)
class Imported:
    """The result for one object; ``obj`` is None if it was left out, or if it is ``merged``."""

    source: Source
    remarks: Remarks
    obj: Obj | None = None
    extras: list[Obj] = field(default_factory=list)
    """Objects of other kinds that belong to it."""
    merged: bool = False
    """Whether its content is in Spaces and Apps that other objects have become."""

    @property
    def complete(self) -> bool:
        """Whether nothing was lost."""
        return all(remark.level is Level.NOTE for remark in self.remarks)


@dataclass(slots=True)
class Result:
    spaces: list[Imported] = field(default_factory=list)
    apps: list[Imported] = field(default_factory=list)
    others: list[Imported] = field(default_factory=list)

    @property
    def all(self) -> list[Imported]:
        return [*self.spaces, *self.apps, *self.others]


def judge(imported: Imported, parse: Callable[[Obj], object]) -> None:
    """Leaves out an object with errors, and one that the CRDs would refuse, with their messages."""
    try:
        if imported.obj is not None and not imported.remarks.failed:
            parse(imported.obj)
    except InvalidObjectError as error:
        for problem in error.problems:
            path, _, message = problem.partition(": ")
            imported.remarks.add(path, "refused-by-crd", message)
    if imported.remarks.failed:
        imported.obj, imported.extras = None, []
