"""The provider itself is the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from decco.dns.provider import Provider
from decco.dns.providers.memory.client import MemoryProvider
from decco.dns.records import RecordSet
from testbed.dns.server import Records
from tests.dns.backends.base import Backend
from tests.dns.lines import Line, MemoryLine


class MemoryBackend(Backend):
    kind = "memory"
    real = False
    unfit: ClassVar[dict[str, str]] = {
        "bad_credentials": "memory needs none",
        "clock_skew": "memory has no clock",
        "truncated_reading": "memory reads without a line",
    }

    def start(self) -> None:
        self.memory = MemoryProvider("memory", ())

    def create_zone(self, zone: str) -> None:
        self.memory.contents[zone] = {}

    def remove_zone(self, zone: str) -> None:
        del self.memory.contents[zone]

    def provider(self, *zones: str) -> Provider:
        provider = MemoryProvider("memory", zones)
        provider.contents = self.memory.contents
        return provider

    @asynccontextmanager
    async def line(self, *zones: str) -> AsyncIterator[Line]:
        provider = MemoryLine(self.provider(*zones))
        yield Line(provider, provider.trouble, provider.quiet)

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        name = name.lower()
        plain = tuple(sorted(v.strip('"').removesuffix(".") for v in values))
        self.memory.contents[zone].setdefault(name, {})[rtype] = RecordSet(name, rtype, ttl, plain)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        del self.memory.contents[zone][name][rtype]
        if not self.memory.contents[zone][name]:
            del self.memory.contents[zone][name]

    def read(self, zone: str) -> Records:
        return {
            (name, rtype): (s.ttl, frozenset(_shown(rtype, v) for v in s.values))
            for name, types in self.memory.contents[zone].items()
            for rtype, s in types.items()
        }


def _shown(rtype: str, value: str) -> str:
    return {"CNAME": f"{value}.", "TXT": f'"{value}"', "MX": f"{value}."}.get(rtype, value)
