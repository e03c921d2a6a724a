"""A model of the public discovery document."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import urlsplit

from decco.dns.provider import Provider
from decco.dns.providers.clouddns.client import CloudDnsProvider
from decco.dns.providers.clouddns.settings import Settings as CloudDnsSettings
from testbed.dns.clouddns_model import CloudDnsModel
from testbed.dns.server import HOST, Records
from testbed.dns.wire import HttpRequests, Trouble, http_answer
from tests.dns.backends.base import Answers, WiredBackend


def _google(status: int, reason: str, message: str = "injected") -> Callable[[bytes], bytes]:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return http_answer(status, json.dumps({"error": error}))


class CloudDnsBackend(WiredBackend):
    kind = "clouddns"
    real = False
    lookups = 1
    framing = HttpRequests(r"^POST .*/changes ")
    troubles: ClassVar[Answers] = {
        Trouble.FAILS: _google(503, "backendError"),
        Trouble.REFUSED: _google(403, "forbidden"),
        Trouble.NOT_SERVED: _google(404, "notFound", "The 'parameters.managedZone' resource does not exist."),
        Trouble.THROTTLED: _google(403, "rateLimitExceeded"),
    }
    unfit: ClassVar[dict[str, str]] = {
        "clock_skew": "Google's token endpoint checks the time, not Cloud DNS: see test_dns_google.py"
    }

    def start(self) -> None:
        self.model = CloudDnsModel().__enter__()
        self.model.tokens = {"token"}
        self.ids: dict[str, str] = {}

    def stop(self) -> None:
        self.model.__exit__()

    def create_zone(self, zone: str) -> None:
        self.ids[zone] = self.model.create_zone(zone)

    def remove_zone(self, zone: str) -> None:
        del self.model.zones[self.ids.pop(zone)]

    def port(self) -> int:
        return urlsplit(self.model.url).port or 0

    def provider_at(self, port: int, *zones: str) -> Provider:
        return self._with("token", port, *zones)

    def stranger(self, *zones: str) -> Provider:
        return self._with("stolen", self.port(), *zones)

    def _with(self, text: str, port: int, *zones: str) -> Provider:
        async def token(rejected: str | None = None) -> str:
            del rejected  # this one has no other
            return text

        settings = CloudDnsSettings(name=self.kind, zones=zones, project="p", url=f"http://{HOST}:{port}")
        return CloudDnsProvider(settings, token)

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.model.zones[self.ids[zone]].records[name.lower(), rtype] = (ttl, tuple(values))

    def drop(self, zone: str, name: str, rtype: str) -> None:
        del self.model.zones[self.ids[zone]].records[name, rtype]

    def read(self, zone: str) -> Records:
        records = self.model.zones[self.ids[zone]].records
        return {at: (ttl, frozenset(values)) for at, (ttl, values) in records.items() if at[1] not in ("SOA", "NS")}
