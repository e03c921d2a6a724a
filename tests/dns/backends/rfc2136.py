"""BIND, Knot and PowerDNS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import dns.rcode
import dns.tsig
import pytest

from decco.dns.provider import Provider
from decco.dns.providers.rfc2136.client import Rfc2136Provider
from testbed.dns.bind import Bind
from testbed.dns.knot import Knot
from testbed.dns.powerdns import PowerDns
from testbed.dns.server import HOST, KEY_NAME, NameServer, Records
from testbed.dns.wire import DnsMessages, Trouble, dns_answer
from tests.dns.backends.base import SKEW_SECONDS, Answers, WiredBackend

WRONG_SECRET = "d3Jvbmcga2V5IHdyb25nIGtleSB3cm9uZyBrZXkgISE="


class NameServerBackend(WiredBackend):
    framing = DnsMessages()
    troubles: ClassVar[Answers] = {
        Trouble.FAILS: dns_answer(dns.rcode.SERVFAIL),
        Trouble.REFUSED: dns_answer(dns.rcode.REFUSED),
        Trouble.NOT_SERVED: dns_answer(dns.rcode.NOTAUTH),
    }
    server_class: ClassVar[type[NameServer]]

    @classmethod
    def missing(cls) -> str:
        return cls.server_class.missing()

    def start(self) -> None:
        self.server = self.server_class()
        self.server.__enter__()

    def stop(self) -> None:
        self.server.__exit__(None, None, None)

    def create_zone(self, zone: str) -> None:
        self.server.create_zone(zone)

    def remove_zone(self, zone: str) -> None:
        self.server.remove_zone(zone)

    def port(self) -> int:
        return self.server.port

    def provider_at(self, port: int, *zones: str) -> Provider:
        return Rfc2136Provider(self.kind, zones, HOST, port, self.server.key)

    def stranger(self, *zones: str) -> Provider:
        key = dns.tsig.Key(KEY_NAME, WRONG_SECRET, "hmac-sha256")
        return Rfc2136Provider(self.kind, zones, HOST, self.server.port, key)

    @contextmanager
    def skewed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        real = time.time
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: real() + SKEW_SECONDS)
            yield

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.server.put(zone, name, ttl, rtype, *values)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        self.server.drop(zone, name, rtype)

    def read(self, zone: str) -> Records:
        return self.server.read(zone)

    def ask(self, name: str, rtype: str) -> set[str] | None:
        return self.server.ask(name, rtype)


class BindBackend(NameServerBackend):
    kind = "bind"
    server_class = Bind


class KnotBackend(NameServerBackend):
    kind = "knot"
    server_class = Knot


class PowerDnsBackend(NameServerBackend):
    kind = "powerdns"
    server_class = PowerDns
    refusal = "ZoneNotFound"  # it answers NOTAUTH to a wrong key and to a wrong time alike; the message names both
