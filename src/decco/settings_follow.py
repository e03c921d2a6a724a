"""Settings that change while the controller runs: another log level is in force at once, all else at the next start.

Most settings decide how connections, queues and children are made, so changing a part of them at run time would create
a state that no start has. An operator needs another level without a restart, which could end the problem under
investigation.

The file is checked every few seconds, not watched: a mounted ConfigMap is a symbolic link that the kubelet points at
another folder, and network file systems send no notifications. A check costs one ``stat`` in a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Never

from decco import log as logs
from decco.log import get_logger
from decco.settings import Settings
from decco.settings_load import SETTINGS, WrongSettings, load

log = get_logger(__name__)

LOOK_SECONDS = 3.0
"""Interval of the checks of the file. The kubelet takes up to a minute to bring a changed ConfigMap."""
AT_ONCE = "logLevel"
"""The key of the setting that needs no restart."""
ADVICE = (
    "restart the controller to bring them into force: kubectl rollout restart deployment/decco-controller, "
    "in decco's namespace"
)

Version = tuple[int, int, int, int] | None
"""Distinguishes two contents of a file without reading them; None is a missing file."""


class SettingsFile:
    """The sources of the settings, among them a file that may change: reads it, and detects later changes."""

    def __init__(self, path: Path, flags: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        """Reads nothing yet; flags and environment as for ``load``, which do not change after the start."""
        self.path = path
        self._flags = dict(flags)
        self._environ = dict(environ)
        self._read: Version = None

    def read(self) -> Settings:
        """The settings of all sources as they are now. Raises WrongSettings."""
        # The version first: a change between the two is found by the next check.
        self._read = self._version()
        return load(self._flags, self._environ, self.path)

    def changed(self) -> Settings | None:
        """``read`` if the file has changed since the last read, else None. Raises WrongSettings."""
        return self.read() if self._version() != self._read else None

    def _version(self) -> Version:
        try:
            found = os.stat(self.path)  # noqa: PTH116 - follows links: of a ConfigMap the link is exchanged, not the file
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


async def follow(file: SettingsFile, running: Settings, look_seconds: float = LOOK_SECONDS) -> Never:
    """Applies changed settings where no restart is needed, and logs other changes and mistakes.

    Args:
        file: read once already; the result was ``running``.
        running: what the process was started with.
        look_seconds: pause between checks.
    """
    level = running.log_level
    reported: Mapping[str, Any] = {}
    while True:
        await asyncio.sleep(look_seconds)
        try:
            found = await asyncio.to_thread(file.changed)
        except WrongSettings as wrong:
            for line in wrong.lines:
                log.error("the settings file is wrong, what was in force stays", mistake=line)
            continue
        if found is None:
            continue
        if found.log_level != level:
            _set_level(level, found.log_level)
            level = found.log_level
        waiting = _differences(running, found)
        if waiting != reported:
            if waiting:
                log.warning("changed settings wait for a restart", settings=sorted(waiting), advice=ADVICE)
            else:
                log.info("the settings file is again as at the start", file=str(file.path))
            reported = waiting


def _set_level(before: str, after: str) -> None:
    """Logged at the less severe of the two levels, so that the line is written in both directions."""
    talkative = min(before, after, key=logs.severity)
    logs.set_level(talkative)
    log.info("the log level is changed", before=before, after=after)
    logs.set_level(after)


def _differences(running: Settings, found: Settings) -> dict[str, Any]:
    """Settings that need a restart, by their keys, with the new values."""
    old, new = (settings.model_dump(mode="json", by_alias=True) for settings in (running, found))
    pairs = {key: (_value(old, key), _value(new, key)) for key in SETTINGS if key != AT_ONCE}
    return {key: after for key, (before, after) in pairs.items() if before != after}


def _value(dump: Mapping[str, Any], key: str) -> Any:
    value: Any = dump
    for part in key.split("."):
        value = value[part]
    return value
