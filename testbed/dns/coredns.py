"""CoreDNS with its etcd plugin, and the etcd behind it.

CoreDNS is a Go program that is built once (``python -m testbed.dns.coredns``; some minutes) and kept in the cache.
Without it etcd alone is served, and the suite reads the records from etcd instead of querying them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype

from testbed import cache, golang
from testbed.dns.server import HOST, Records, free_port
from testbed.packages import path_of
from testbed.processes import Processes
from testbed.progress import step
from testbed.versions import COREDNS_MODULE, COREDNS_VERSION

START_SECONDS = 30.0
PREFIX = "/skydns"
BUILD = Path(__file__).with_name("coredns_build")
TARGETS = ("lb.example.org", "lc.example.org", "lb.example")
"""Names that aliases of the tests lead to; the plugin only shows an alias whose target it can resolve."""


def coredns_program() -> str | None:
    """$COREDNS, the cache, or the PATH."""
    if (chosen := os.environ.get("COREDNS")) is not None:
        return chosen
    built = _target()
    return str(built) if built.is_file() else shutil.which("coredns")


def build() -> str | None:
    """CoreDNS's program, built from its Go module into the cache if it is nowhere; None without Go."""
    if (found := coredns_program()) is not None or shutil.which("go") is None:
        return found
    with cache.locked("coredns"):
        if not _target().is_file():
            what = f"building CoreDNS {COREDNS_VERSION} from Go modules (some minutes, once)"
            with step(what), cache.appearing(_target()) as draft:
                golang.build(BUILD, COREDNS_MODULE, draft)
    return str(_target())


def _target() -> Path:
    return cache.programs("coredns", COREDNS_VERSION) / "coredns"


class CoreDns:
    """``with CoreDns(...)``: etcd at ``url``, and CoreDNS at ``port`` if ``serves``."""

    def __enter__(self) -> CoreDns:
        self.folder = Path(tempfile.mkdtemp(prefix="decco-coredns-"))
        self._processes = Processes(self.folder)
        etcd_port, peer, self.port = free_port(), free_port(), free_port()
        self.url = f"http://{HOST}:{etcd_port}"
        try:
            etcd = self._processes.start(
                "etcd",
                [
                    path_of("etcd") or "etcd",
                    *("--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync"),
                    *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
                    *("--listen-peer-urls", f"http://{HOST}:{peer}"),
                ],
            )
            etcd.wait_until(self._healthy, START_SECONDS)
            binary = coredns_program()
            self.serves = binary is not None
            if binary is not None:
                (self.folder / "Corefile").write_text(
                    f"test:{self.port} {{\n  bind {HOST}\n"
                    f"  etcd {{\n    path {PREFIX}\n    endpoint {self.url}\n  }}\n}}\n"
                    f".:{self.port} {{\n  bind {HOST}\n  hosts {{\n    192.0.2.200 {' '.join(TARGETS)}\n  }}\n}}\n"
                )
                coredns = self._processes.start("coredns", [binary, "-conf", str(self.folder / "Corefile")])
                coredns.wait_until(self._answers, START_SECONDS)
        except BaseException:
            self._processes.close(0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close(0)

    def _healthy(self) -> bool:
        try:
            self._call("maintenance/status", {})
        except OSError:
            return False
        return True

    def _answers(self) -> bool:
        try:
            dns.query.udp(dns.message.make_query("x.test", "A"), HOST, timeout=0.2, port=self.port)
        except (dns.exception.DNSException, OSError):
            return False
        return True

    def _call(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    # A second writer with etcdctl

    def put(self, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.drop(name, rtype)
        for number, value in enumerate(values):
            plain = value.strip('"').removesuffix(".").rpartition(" " if rtype == "MX" else "\0")[2]
            service: dict[str, Any] = {"text" if rtype == "TXT" else "host": plain, "ttl": ttl}
            if rtype == "MX":
                service["mail"] = True
            key = _path(name) + (f"/x{number}" if number else "")
            self._call("kv/put", {"key": _b64(key), "value": _b64(json.dumps(service))})

    def drop(self, name: str, rtype: str) -> None:
        for key, value in self._below(_path(name)):
            owner = _owner(key)
            if owner == name and _meaning(json.loads(value))[0] == rtype:
                self._call("kv/deleterange", {"key": _b64(key)})

    def remove_zone(self, zone: str) -> None:
        for key, _ in self._below(_path(zone)):
            self._call("kv/deleterange", {"key": _b64(key)})

    def read(self, zone: str) -> Records:
        found: dict[tuple[str, str], tuple[int, set[str]]] = {}
        for key, value in self._below(_path(zone)):
            service = json.loads(value)
            rtype, text = _meaning(service)
            found.setdefault((_owner(key), rtype), (service["ttl"], set()))[1].add(text)
        return {at: (ttl, frozenset(values)) for at, (ttl, values) in found.items()}

    def _below(self, path: str) -> list[tuple[str, str]]:
        answer = self._call("kv/range", {"key": _b64(path), "range_end": _b64(path[:-1] + chr(ord(path[-1]) + 1))})
        pairs = [
            (base64.b64decode(kv["key"]).decode(), base64.b64decode(kv["value"]).decode())
            for kv in answer.get("kvs") or ()
        ]
        return [(key, value) for key, value in pairs if key == path or key.startswith(path + "/")]

    def ask(self, name: str, rtype: str) -> set[str] | None:
        if not self.serves:
            return None
        # The plugin looks for an alias only when asked for an address, as resolvers do.
        query = dns.message.make_query(name, "A" if rtype == "CNAME" else rtype)
        answer = dns.query.udp_with_fallback(query, HOST, timeout=5, port=self.port)[0]
        asked = dns.name.from_text(name)
        return {
            data.to_text()
            for rrset in answer.answer
            if rrset.name == asked and rrset.rdtype == dns.rdatatype.from_text(rtype)
            for data in rrset
        }


def _path(name: str) -> str:
    return "/".join([PREFIX, *reversed(name.split("."))])


def _owner(key: str) -> str:
    labels = key.removeprefix(PREFIX + "/").split("/")
    if labels[-1].startswith("_decco-") or (labels[-1][0] == "x" and labels[-1][1:].isdigit()):
        labels.pop()
    return ".".join(reversed(labels))


def _meaning(service: dict[str, Any]) -> tuple[str, str]:
    host = service.get("host", "")
    if service.get("mail"):
        return "MX", f"10 {host}."
    if not host:
        return "TXT", f'"{service["text"]}"'
    if ":" in host:
        return "AAAA", host
    return ("A", host) if host.replace(".", "").isdigit() else ("CNAME", f"{host}.")


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


if __name__ == "__main__":
    print(build() or "no CoreDNS: it needs Go to be built")
