"""Knot DNS: zones in its configuration file, reloaded by ``knotc``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from testbed.dns.server import HOST, KEY_ALGORITHM, KEY_NAME, KEY_SECRET, NameServer
from testbed.packages import path_of
from testbed.prerequisites import KNOT, Need


class Knot(NameServer):
    kind: ClassVar[str] = "knot"
    needs: ClassVar[tuple[Need, ...]] = KNOT

    def prepare(self) -> None:
        self._zones: dict[str, Path] = {}
        (self.folder / "db").mkdir()
        self._write()

    def _write(self) -> None:
        zones = "".join(f"  - domain: {zone}\n    file: {file}\n    acl: test\n" for zone, file in self._zones.items())
        (self.folder / "knot.conf").write_text(
            f"server:\n    rundir: {self.folder}\n    listen: {HOST}@{self.port}\n    udp-workers: 1\n"
            "    tcp-workers: 1\n    background-workers: 1\n"
            f"control:\n    listen: {self.folder}/control\n"
            f"database:\n    storage: {self.folder}/db\n    journal-db-max-size: 200M\n"
            "log:\n  - target: stderr\n    any: info\n"
            f"key:\n  - id: {KEY_NAME}\n    algorithm: {KEY_ALGORITHM}\n    secret: {KEY_SECRET}\n"
            f"acl:\n  - id: test\n    key: {KEY_NAME}\n    action: [update, transfer]\n"
            "template:\n  - id: default\n    zonefile-sync: -1\n    journal-content: changes\n"
            + (f"zone:\n{zones}" if zones else "")
        )

    def command(self) -> Sequence[str | Path]:
        return [path_of("knotd") or "knotd", "-c", self.folder / "knot.conf"]

    def _knotc(self, *words: str) -> str:
        return self.run("knotc", "-b", "-s", str(self.folder / "control"), *words)

    def add_zone(self, zone: str, records: str = "") -> None:
        file = self.zone_file(zone, records)
        self._zones[zone] = file
        self._write()
        self._knotc("reload")

    def remove_zone(self, zone: str) -> None:
        self._knotc("-f", "zone-purge", zone)
        del self._zones[zone]
        self._write()
        self._knotc("reload")
