"""What the three name servers have in common: ports, one TSIG key, zones that come and go."""

from __future__ import annotations

import itertools
import os
import random
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
import dns.zone

from testbed import prerequisites
from testbed.packages import path_of
from testbed.prerequisites import Need
from testbed.processes import Process, Processes, ProcessFailed

HOST = "127.0.0.1"
PORTS = range(20_000, 30_000)
START_SECONDS = 20.0
COMMAND_SECONDS = 20.0
Records = dict[tuple[str, str], tuple[int, frozenset[str]]]
"""(name, type) -> (TTL, values as in a zone file), names without the last dot."""
KEY_NAME = "decco-test"
KEY_SECRET = "c2l4dGVlbiBieXRlcyBvZiB0ZXN0IHNlY3JldCBoZXJl"
KEY_ALGORITHM = "hmac-sha256"


def free_port() -> int:
    """A port of loopback that is free for TCP and for UDP."""
    while True:
        port = random.choice(PORTS)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((HOST, port))
        except OSError:
            continue
        return port


class NameServer:
    """One running name server; zones are made and removed while it runs, each with a SOA, an NS and its address."""

    kind: ClassVar[str]
    needs: ClassVar[tuple[Need, ...]]

    def __init__(self) -> None:
        self.port = free_port()
        self.key = dns.tsig.Key(KEY_NAME, KEY_SECRET, KEY_ALGORITHM)
        self._process: Process | None = None
        self._numbers = itertools.count()

    @classmethod
    def missing(cls) -> str:
        """One line that says what to install, or ""."""
        line = prerequisites.reason(*cls.needs)
        return f"{cls.kind}: {line.removeprefix(prerequisites.SKIP)}" if line else ""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="decco-dns-"))
        self.folder.chmod(0o755)
        self._processes = Processes(self.folder)
        try:
            self.prepare()
            self.start()
        except BaseException:
            self._processes.close(0)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close(0)

    def start(self) -> None:
        self._process = self._processes.start(self.kind, self.command())
        self._process.wait_until(self._answers, START_SECONDS)

    def stop(self) -> None:
        """End the server as a crash would; zones and settings stay in the folder."""
        if self._process is not None:
            self._processes.stop(self._process, 0)

    @property
    def log(self) -> str:
        """All that the server's process has printed so far."""
        assert self._process is not None
        return self._process.log.read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """What the server's process has used of the processors so far, in steps of 10 ms."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime: proc(5)

    def _answers(self) -> bool:
        try:
            dns.query.udp(dns.message.make_query("test.invalid", "SOA"), HOST, timeout=0.2, port=self.port)
        except (dns.exception.DNSException, OSError):
            return False
        return True

    def run(self, *argv: str) -> str:
        """Run one of the server's tools; raises ProcessFailed with what it said."""
        path = path_of(argv[0])
        done = subprocess.run(
            [path or argv[0], *argv[1:]], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
        if done.returncode != 0:
            raise ProcessFailed(f"{' '.join(argv)}: {done.stdout} {done.stderr}")
        return done.stdout

    # What each server does its own way

    def prepare(self) -> None:
        """Write the settings into ``folder``."""
        raise NotImplementedError

    def command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def add_zone(self, zone: str, records: str = "") -> None:
        """Announces a new zone to the server; it may load it later."""
        raise NotImplementedError

    def remove_zone(self, zone: str) -> None:
        raise NotImplementedError

    def create_zone(self, zone: str, records: str = "") -> None:
        """Make a zone, and wait until it is served: Knot's reload returns before the zones are loaded, and a zone that
        is not loaded answers SERVFAIL to updates and transfers. ``records`` are lines of its file, beside the least.
        """
        assert self._process is not None
        self.add_zone(zone, records)
        self._process.wait_until(lambda: self._serves(zone), START_SECONDS)

    def zone_file(self, zone: str, records: str = "") -> Path:
        """Write the file of a new zone. No name is used twice: servers remove the files of removed zones when they find
        the time, which may be after the next zone was made.
        """
        file = self.folder / f"{next(self._numbers)}.zone"
        file.write_text(zone_text(zone) + records)
        return file

    def _serves(self, zone: str) -> bool:
        try:
            answer = dns.query.udp(dns.message.make_query(zone, "SOA"), HOST, timeout=1, port=self.port)
        except (dns.exception.DNSException, OSError):
            return False
        return answer.rcode() == dns.rcode.NOERROR and bool(answer.answer) and bool(answer.flags & dns.flags.AA)

    # A second writer and reader

    def update(self, message: dns.update.UpdateMessage) -> dns.rcode.Rcode:
        message.use_tsig(self.key)
        return dns.query.tcp(message, HOST, timeout=10, port=self.port).rcode()

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        """Set one record set, as a person with nsupdate would."""
        message = dns.update.UpdateMessage(zone)
        message.replace(dns.name.from_text(name), ttl, rtype, *values)
        self._must(message)

    def drop(self, zone: str, name: str, rtype: str | None = None) -> None:
        message = dns.update.UpdateMessage(zone)
        message.delete(dns.name.from_text(name), *([rtype] if rtype else []))
        self._must(message)

    def _must(self, message: dns.update.UpdateMessage) -> None:
        if (rcode := self.update(message)) != dns.rcode.NOERROR:
            raise ProcessFailed(f"{self.kind} refused a test record: {dns.rcode.to_text(rcode)}")

    def read(self, zone: str) -> Records:
        """The whole zone by transfer, less what a zone has by itself."""
        query = dns.message.make_query(zone, "AXFR")
        query.use_tsig(self.key)
        found = dns.zone.Zone(zone, relativize=False)
        dns.query.inbound_xfr(HOST, found, query, port=self.port, timeout=20)
        records: Records = {}
        for name, rdataset in found.iterate_rdatasets():
            owner, rtype = name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdataset.rdtype)
            if owner == zone and rtype in ("SOA", "NS"):
                continue
            records[owner, rtype] = (rdataset.ttl, frozenset(data.to_text() for data in rdataset))
        records.pop((f"ns.{zone}", "A"), None)
        return records

    def resolve(self, name: str) -> set[tuple[str, int, str]]:
        """(type, TTL, value) of the addresses and the alias at a name."""
        found = set()
        for rtype in ("A", "AAAA"):
            answer = dns.query.udp(dns.message.make_query(name, rtype), HOST, timeout=5, port=self.port)
            for rrset in answer.answer:
                kind = dns.rdatatype.to_text(rrset.rdtype)
                found |= {(kind, rrset.ttl, data.to_text()) for data in rrset}
        return found

    def ask(self, name: str, rtype: str) -> set[str]:
        """Values of one type at a name, as a resolver receives them; for an alias, its target."""
        query = dns.message.make_query(name, rtype)
        answer = dns.query.udp_with_fallback(query, HOST, timeout=5, port=self.port)[0]
        asked = dns.name.from_text(name)
        return {
            data.to_text()
            for rrset in answer.answer
            if rrset.name == asked and rrset.rdtype == dns.rdatatype.from_text(rtype)
            for data in rrset
        }


def zone_text(zone: str) -> str:
    """A zone file of the least that a zone needs."""
    return (
        f"$ORIGIN {zone}.\n$TTL 300\n@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 60\n"
        f"@ IN NS ns.{zone}.\nns IN A 127.0.0.1\n"
    )
