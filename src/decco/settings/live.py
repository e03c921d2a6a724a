"""The settings in force, in one holder: what was read at the start, and the changes of the file since then.

A change of a setting with the mark RELOADABLE is in force at once, all others at the next start. Most settings decide
how connections, queues and children are made, so changing a part of them at run time would create a state that no start
has. An operator needs another log level without a restart, which could end the problem under investigation.

The file is checked every few seconds, not watched: a mounted ConfigMap is a symbolic link that the kubelet points at
another folder, and network file systems send no notifications. A check costs one ``stat`` in a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Never, TypeVar

from decco.forms import Section
from decco.log import get_logger
from decco.settings.fields import SETTINGS
from decco.settings.load import WrongSettings, load
from decco.settings.model import Settings

log = get_logger(__name__)

CHECK_SECONDS = 3.0
"""Interval of the checks of the file. The kubelet takes up to a minute to bring a changed ConfigMap."""
ADVICE = (
    "restart the controller to bring them into force: kubectl rollout restart deployment/decco-controller, "
    "in decco's namespace"
)

Version = tuple[int, int, int, int] | None
"""Distinguishes two contents of a file without reading them; None is a missing file."""
S = TypeVar("S", bound=Section)


class LiveSettings:
    """``current`` has the settings in force."""

    def __init__(self, flags: Mapping[str, Any], environ: Mapping[str, str], path: Path | None) -> None:
        """Reads the sources, as ``load`` does; flags and environment do not change later. Raises WrongSettings."""
        self.path = path
        self._flags = dict(flags)
        self._environ = dict(environ)
        self._version: Version = None
        self._subscribers: dict[str, list[Callable[[Any, Any], None]]] = {}
        self._waiting: dict[str, Any] = {}
        self.current = self._read()

    def subscribe(self, key: str, apply: Callable[[Any, Any], None]) -> None:
        """Calls ``apply`` with the value before and after each change of a reloadable setting."""
        if not SETTINGS[key].reloadable:
            raise ValueError(f"a change of {key} waits for a restart: it is not marked as RELOADABLE")
        self._subscribers.setdefault(key, []).append(apply)

    async def follow(self, check_seconds: float = CHECK_SECONDS) -> Never:
        """Applies changes of reloadable settings, and logs other changes and mistakes."""
        while True:
            await asyncio.sleep(check_seconds)
            try:
                found = await asyncio.to_thread(self._changed)
            except WrongSettings as wrong:
                for line in wrong.lines:
                    log.error("the settings file is wrong, what was in force stays", mistake=line)
                continue
            if found is not None:
                self._take(found)

    def _changed(self) -> Settings | None:
        return self._read() if self._version_now() != self._version else None

    def _read(self) -> Settings:
        # The version first: a change between the two is found by the next check.
        self._version = self._version_now()
        return load(self._flags, self._environ, self.path)

    def _version_now(self) -> Version:
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)  # noqa: PTH116 - follows links: of a ConfigMap the link is exchanged, not the file
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _take(self, found: Settings) -> None:
        waiting: dict[str, Any] = {}
        for key, setting in SETTINGS.items():
            before, after = setting.value_in(self.current), setting.value_in(found)
            if before == after:
                continue
            if not setting.reloadable:
                waiting[key] = after
                continue
            self.current = _with(self.current, setting.path, after)
            for apply in self._subscribers.get(key, ()):
                apply(before, after)
        if waiting != self._waiting:
            if waiting:
                log.warning("changed settings wait for a restart", settings=sorted(waiting), advice=ADVICE)
            else:
                log.info("the settings file is again as at the start", file=str(self.path))
            self._waiting = waiting


def _with(section: S, path: tuple[str, ...], value: Any) -> S:
    name, *inner = path
    changed = _with(getattr(section, name), tuple(inner), value) if inner else value
    return section.model_copy(update={name: changed})
