"""CoreDNS with a real etcd."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import urlsplit

from decco.dns.provider import Provider
from decco.dns.providers.coredns.client import CoreDnsProvider
from decco.dns.providers.coredns.settings import Settings as CoreDnsSettings
from testbed import prerequisites
from testbed.dns.coredns import CoreDns
from testbed.dns.server import HOST, Records
from testbed.dns.wire import HttpRequests, Trouble, http_answer
from tests.dns.backends.base import Answers, WiredBackend


def _etcd(status: int, code: int, message: str) -> Callable[[bytes], bytes]:
    return http_answer(status, json.dumps({"error": message, "message": message, "code": code}))


class CoreDnsBackend(WiredBackend):
    kind = "coredns"
    framing = HttpRequests(r"^POST /v3/kv/txn ")
    troubles: ClassVar[Answers] = {
        Trouble.FAILS: _etcd(503, 14, "etcdserver: request timed out"),
        Trouble.REFUSED: _etcd(403, 7, "etcdserver: permission denied"),
        Trouble.THROTTLED: _etcd(429, 8, "etcdserver: too many requests"),
    }
    types = frozenset({"A", "AAAA", "CNAME", "TXT", "MX"})
    unfit: ClassVar[dict[str, str]] = {
        "wildcard_answers": "the etcd plugin serves no wildcards",
        "zone_deleted_and_created_again": "a zone in etcd is only a prefix, which cannot be missing",
        "a_thousand_names_in_two_calls": "etcd takes 128 operations per transaction, so it is 16 calls",
        "a_foreign_name_in_mixed_case": "the plugin reads keys in lower case, so such a key is not a name",
        "bad_credentials": "this etcd needs none; one that does is in test_dns_etcd_login.py",
        "clock_skew": "nothing that etcd checks has a time",
    }

    @classmethod
    def missing(cls) -> str:
        line = prerequisites.reason(*prerequisites.ETCD)
        return f"coredns: {line.removeprefix(prerequisites.SKIP)}" if line else ""

    def start(self) -> None:
        self.server = CoreDns().__enter__()

    def stop(self) -> None:
        self.server.__exit__()

    def create_zone(self, zone: str) -> None:
        return

    def remove_zone(self, zone: str) -> None:
        self.server.remove_zone(zone)

    def port(self) -> int:
        return urlsplit(self.server.url).port or 0

    def provider_at(self, port: int, *zones: str) -> Provider:
        return CoreDnsProvider(CoreDnsSettings(name=self.kind, zones=zones, endpoints=(f"http://{HOST}:{port}",)))

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.server.put(name, ttl, rtype, *values)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        self.server.drop(name, rtype)

    def read(self, zone: str) -> Records:
        return self.server.read(zone)

    def ask(self, name: str, rtype: str) -> set[str] | None:
        return self.server.ask(name, rtype)
