"""BIND 9: zones by ``rndc addzone``, updates and transfers for the TSIG key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import dns.tsig

from testbed.dns.server import HOST, KEY_ALGORITHM, KEY_NAME, KEY_SECRET, NameServer, free_port
from testbed.packages import path_of
from testbed.prerequisites import BIND, Need


class Bind(NameServer):
    kind: ClassVar[str] = "bind"
    needs: ClassVar[tuple[Need, ...]] = BIND

    def prepare(self) -> None:
        self._control = free_port()
        control = f'key "control" {{ algorithm {KEY_ALGORITHM}; secret "{KEY_SECRET}"; }};\n'
        self._write(control, KEY_SECRET)
        (self.folder / "rndc.conf").write_text(
            f'{control}options {{ default-key "control"; default-server {HOST}; default-port {self._control}; }};\n'
        )

    def change_key(self, secret: str) -> None:
        """The TSIG key keeps its name and gets another secret, in base64."""
        self._write(f'key "control" {{ algorithm {KEY_ALGORITHM}; secret "{KEY_SECRET}"; }};\n', secret)
        self._rndc("reconfig")
        self.key = dns.tsig.Key(KEY_NAME, secret, KEY_ALGORITHM)

    def _write(self, control: str, secret: str) -> None:
        (self.folder / "named.conf").write_text(
            f"""{control}
            key "{KEY_NAME}" {{ algorithm {KEY_ALGORITHM}; secret "{secret}"; }};
            options {{
                directory "{self.folder}"; pid-file none; session-keyfile none; lock-file none;
                listen-on port {self.port} {{ {HOST}; }}; listen-on-v6 {{ none; }};
                recursion no; allow-new-zones yes; dnssec-validation no; notify no;
                tcp-clients 1000; empty-zones-enable no;
            }};
            controls {{ inet {HOST} port {self._control} allow {{ {HOST}; }} keys {{ "control"; }}; }};
            """
        )

    def command(self) -> Sequence[str | Path]:
        return [path_of("named") or "named", "-g", "-n", "1", "-c", self.folder / "named.conf"]

    def _rndc(self, *words: str) -> str:
        return self.run("rndc", "-c", str(self.folder / "rndc.conf"), *words)

    def add_zone(self, zone: str, records: str = "") -> None:
        file = self.zone_file(zone, records)
        self._rndc(
            "addzone",
            zone,
            f'{{ type primary; file "{file}"; allow-update {{ key {KEY_NAME}; }};'
            f" allow-transfer {{ key {KEY_NAME}; }}; }};",
        )

    def remove_zone(self, zone: str) -> None:
        self._rndc("delzone", "-clean", zone)
