"""The services of the contract suite: one module for each provider of decco, found by its name.

Every class of a module with a ``kind`` of its own is a column of the matrix.
"""

from __future__ import annotations

from importlib import import_module

from decco.dns import providers
from tests.dns.backends.base import Backend

WITHOUT = frozenset({"none"})
"""Providers that the suite cannot run, since they store nothing."""


def _found(provider: str) -> list[type[Backend]]:
    if provider in WITHOUT:
        return []
    module = import_module(f"{__name__}.{provider}")
    classes = [cls for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, Backend)]
    found = [cls for cls in classes if cls.__module__ == module.__name__ and "kind" in vars(cls)]
    assert found, f"{module.__name__} has no Backend with a kind"
    return found


BACKENDS = tuple(backend for provider in providers.names() for backend in _found(provider))
