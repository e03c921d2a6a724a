"""Programs that are built from a Go module of ours with theirs as its tools, and kept in the cache under their version.

The modules' folders hold a go.mod and go.sum only; those name exact versions and checksums, and no host.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from testbed import cache, golang
from testbed.found import AssetsMissing, program
from testbed.progress import step

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Tool:
    """One program: its name, the version it is kept under, the folder below testbed/ of its module, its import path.

    ``settings`` are variables that the linker sets, as a released program has them: import path and name to value.
    ``minutes`` is about how long a first build takes on two cores.
    """

    name: str
    version: str
    module: str
    package: str
    settings: tuple[tuple[str, str], ...] = ()
    minutes: float = 1
    c_tags: str = ""
    """As in ``golang.build``."""

    @property
    def path(self) -> Path:
        """Where it is kept; it may not be there yet."""
        return cache.programs(self.name, self.version) / self.name


def digest(module: str) -> str:
    """In place of a version, for programs of ours: of all sources in the module's folder, and of the checksums of what
    they use.
    """
    found = hashlib.sha256()
    folder = HERE / module
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{file.relative_to(folder)} {file.stat().st_size}\n".encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:12]


def provide(tool: Tool) -> Path:
    """Gives the program; builds it if it is not in the cache.

    Raises:
        AssetsMissing: there is no Go, or its module cannot be downloaded or built.
    """
    if found := program(tool.path):
        return found
    with cache.locked(tool.name):
        return program(tool.path) or _build(tool)


def _build(tool: Tool) -> Path:
    linker = " ".join(f"-X {variable}={value}" for variable, value in tool.settings)
    try:
        with (
            step(f"building {tool.name} {tool.version} from Go modules (about {tool.minutes:g} min, once)"),
            cache.appearing(tool.path) as draft,
        ):
            golang.build(HERE / tool.module, tool.package, draft, linker, c_tags=tool.c_tags)
    except golang.GoFailed as error:
        raise AssetsMissing(f"{tool.name} {tool.version} is not to be had: {error}") from error
    return tool.path
