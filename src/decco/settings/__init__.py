"""The settings of the controller: their model, the sources that they are read from, and the ones in force."""

from __future__ import annotations

from decco.settings.model import (
    EdgeSettings,
    LogFormat,
    LogLevel,
    RoutingBackend,
    RoutingSettings,
    Settings,
    SidecarSettings,
)

__all__ = [
    "EdgeSettings",
    "LogFormat",
    "LogLevel",
    "RoutingBackend",
    "RoutingSettings",
    "Settings",
    "SidecarSettings",
]
