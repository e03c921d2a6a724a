"""The DNS providers, one package each: ``<type>/`` is the provider of ``type: <type>`` in the settings.

A package is found by its name, so a new one touches no other file of decco:

* ``settings.py``: the model ``Settings``, whose docstrings are its part of docs/reference/settings.md. It declares the
  source of the credentials, from which ``factory.py`` makes their refresh. It must not import the client.
* ``client.py``: ``make(settings, context)`` returns the provider. Imported only if it is configured.
* ``guide.md``: its section of docs/dns.md, which ``make generate`` inserts.
* ``tests/dns/backends/<type>.py``: the service on which the contract suite runs it.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from decco.dns.provider_settings import ProviderSettings


def names() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg))


@functools.cache
def settings_models() -> Mapping[str, type[ProviderSettings]]:
    """The settings model of each provider by its type. Imports no client."""
    return {name: import_module(f"{__name__}.{name}.settings").Settings for name in names()}


def client(name: str) -> Any:
    """The module ``client`` of a provider. Raises ConfigError without the packages that it needs."""
    return import_module(f"{__name__}.{name}.client")
