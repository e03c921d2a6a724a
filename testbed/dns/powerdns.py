"""PowerDNS with its SQLite backend: zones by ``pdnsutil``."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from testbed.dns.server import HOST, KEY_ALGORITHM, KEY_NAME, KEY_SECRET, NameServer
from testbed.packages import path_of
from testbed.prerequisites import POWERDNS, Need

SCHEMAS = (
    Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"),
    Path("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql"),
)


class PowerDns(NameServer):
    kind: ClassVar[str] = "powerdns"
    needs: ClassVar[tuple[Need, ...]] = POWERDNS

    @classmethod
    def missing(cls) -> str:
        if line := super().missing():
            return line
        if not any(path.exists() for path in SCHEMAS):
            return f"{cls.kind}: install Debian's pdns-backend-sqlite3 with its schema"
        return ""

    def prepare(self) -> None:
        database = self.folder / "pdns.sqlite3"
        schema = next(path for path in SCHEMAS if path.exists()).read_text()
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(f"PRAGMA journal_mode=WAL;\n{schema}")
        (self.folder / "pdns.conf").write_text(
            f"launch=gsqlite3\ngsqlite3-database={database}\ngsqlite3-pragma-synchronous=0\n"
            f"local-address={HOST}\nlocal-port={self.port}\nsocket-dir={self.folder}\n"
            f"dnsupdate=yes\nallow-dnsupdate-from={HOST}/32\nallow-axfr-ips=\n"
            "cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n"
            "distributor-threads=1\nreceiver-threads=1\nsecurity-poll-suffix=\n"
        )
        self._pdnsutil("import-tsig-key", KEY_NAME, KEY_ALGORITHM, KEY_SECRET)

    def command(self) -> Sequence[str | Path]:
        return [path_of("pdns_server") or "pdns_server", f"--config-dir={self.folder}", "--guardian=no", "--daemon=no"]

    def _pdnsutil(self, *words: str) -> str:
        return self.run("pdnsutil", f"--config-dir={self.folder}", *words)

    def add_zone(self, zone: str, records: str = "") -> None:
        assert not records, "PowerDNS keeps its zones in a database, not in files"
        self._pdnsutil("create-zone", zone, f"ns.{zone}")
        self._pdnsutil("add-record", zone, "ns", "A", "127.0.0.1")
        self._pdnsutil("set-meta", zone, "TSIG-ALLOW-DNSUPDATE", KEY_NAME)
        self._pdnsutil("set-meta", zone, "TSIG-ALLOW-AXFR", KEY_NAME)

    def remove_zone(self, zone: str) -> None:
        self._pdnsutil("delete-zone", zone)
