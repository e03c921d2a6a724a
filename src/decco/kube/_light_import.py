"""Import ``kubernetes_asyncio.config`` without the rest of kubernetes_asyncio.

decco needs only the part of that package that finds credentials, some 1,500 lines. But importing any part of it first
runs ``kubernetes_asyncio/__init__.py`` and ``kubernetes_asyncio/client/__init__.py``, which import every model of every
API group: in 36.1 that is 880 modules, more than a second, and 64 MB of memory, which is more than all the rest of
decco. So while the block below runs, those two packages are in ``sys.modules`` as modules that have only their path;
Python finds the submodules through them as usual. What ``config`` takes from ``client`` is given to it: the real
``Configuration``, and a stand-in for ``ApiClient``, which only functions need that decco does not call.

Other importers are not affected: on leaving, everything the block loaded of the package is taken out of ``sys.modules``
again (the names imported in the block keep it alive), so a later ``import kubernetes_asyncio`` gets the real and whole
package. Where the package has been imported already, or is laid out in another way one day, the block is an ordinary
import.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from types import ModuleType

PACKAGE = "kubernetes_asyncio"
CLIENT = f"{PACKAGE}.client"


class ApiClient:
    """Stands in for kubernetes_asyncio's; decco has its own client."""

    def __init__(self, *_: object, **__: object) -> None:
        raise NotImplementedError("decco imports kubernetes_asyncio without its client")


@contextmanager
def bare_kubernetes_asyncio() -> Iterator[None]:
    """In the block, ``from kubernetes_asyncio.config... import ...`` loads that package's config and little else."""
    if PACKAGE in sys.modules:
        yield
        return
    try:
        _prepare()
    except (ImportError, AttributeError):  # another layout than expected: import it whole
        _forget()
        yield
        return
    try:
        yield
    finally:
        _forget()


def _prepare() -> None:
    root = _bare(PACKAGE, None)
    client = _bare(CLIENT, list(root.__path__))
    root.client = client  # type: ignore[attr-defined]
    configuration = importlib.import_module(f"{CLIENT}.configuration")
    client.Configuration = configuration.Configuration  # type: ignore[attr-defined]
    client.ApiClient = ApiClient  # type: ignore[attr-defined]


def _bare(name: str, search: list[str] | None) -> ModuleType:
    """The package in ``sys.modules``, its ``__init__`` not run."""
    spec = PathFinder.find_spec(name, search)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{name} is not a package")
    module = ModuleType(name)
    module.__spec__ = spec
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module
    return module


def _forget() -> None:
    for name in [m for m in sys.modules if m == PACKAGE or m.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]
