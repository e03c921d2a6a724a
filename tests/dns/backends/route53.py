"""moto, and a strict model of the documented limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from decco.dns.provider import Provider
from decco.dns.providers.route53.client import Keys, Route53Provider
from decco.dns.providers.route53.settings import Settings as Route53Settings
from testbed.dns.moto import MotoServer, Route53Writer, moto_server
from testbed.dns.route53_model import Route53Model
from testbed.dns.server import HOST, Records
from testbed.dns.wire import HttpRequests, Trouble, http_answer
from tests.dns.backends.base import SKEW_SECONDS, Answers, WiredBackend


def _aws(status: int, code: str) -> Callable[[bytes], bytes]:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>injected</Message></Error></ErrorResponse>"
    return http_answer(status, body, "text/xml")


class Route53Backend(WiredBackend):
    real = False
    lookups = 1
    framing = HttpRequests(r"^POST .*/rrset/? ")
    troubles: ClassVar[Answers] = {
        Trouble.FAILS: _aws(500, "InternalFailure"),
        Trouble.REFUSED: _aws(403, "AccessDenied"),
        Trouble.NOT_SERVED: _aws(404, "NoSuchHostedZone"),
        Trouble.THROTTLED: _aws(400, "Throttling"),
    }
    url: str

    def _begin(self, url: str) -> None:
        self.url = url
        self.writer = Route53Writer(url)
        self.ids: dict[str, str] = {}

    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def provider_at(self, port: int, *zones: str) -> Provider:
        return self._with("test", f"http://{HOST}:{port}", *zones)

    def _with(self, key: str, url: str, *zones: str) -> Provider:
        return Route53Provider(Route53Settings(name=self.kind, zones=zones, endpoint_url=url), Keys(key, "test"))

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.writer.put(self.ids[zone], name, ttl, rtype, *values)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        self.writer.drop(self.ids[zone], name, rtype)

    def read(self, zone: str) -> Records:
        return self.writer.read(self.ids[zone])


class MotoBackend(Route53Backend):
    kind = "moto"
    unfit: ClassVar[dict[str, str]] = {
        **dict.fromkeys(
            (
                "a_and_aaaa",
                "a_name_taken_behind_our_back",
                "changed_behind_our_back",
                "random_interleavings_with_a_second_writer",
                "two_clusters_on_one_zone",
                "each_cluster_adds_and_withdraws_its_own",
                "all_begin_and_withdraw_at_the_same_moment",
                "a_cluster_that_leaves_waits_for_another_one",
                "a_standby_cluster_takes_over_and_gives_back",
                "one_that_stands_by_takes_over_and_gives_back",
                "a_cluster_with_an_old_view_changes_nothing_of_others",
            ),
            "moto carries a batch out change by change, compares no values, and takes later names for the same",
        ),
        "bad_credentials": "moto takes any key",
        "clock_skew": "moto checks no signature",
    }

    @classmethod
    def missing(cls) -> str:
        return "" if moto_server() else "moto: install the Python package moto[server]"

    def start(self) -> None:
        self.server = MotoServer().__enter__()
        self._begin(self.server.url)

    def stop(self) -> None:
        self.server.__exit__()

    def create_zone(self, zone: str) -> None:
        self.ids[zone] = self.writer.create_zone(zone)

    def remove_zone(self, zone: str) -> None:
        self.writer.remove_zone(self.ids.pop(zone))


class Route53ModelBackend(Route53Backend):
    kind = "route53"

    def start(self) -> None:
        self.model = Route53Model().__enter__()
        self.model.keys = frozenset({"test"})
        self._begin(self.model.url)

    def stranger(self, *zones: str) -> Provider:
        return self._with("nobody", self.url, *zones)

    @contextmanager
    def skewed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.model.clock_ahead = SKEW_SECONDS
        yield
        self.model.clock_ahead = 0.0

    def stop(self) -> None:
        self.model.__exit__()

    def create_zone(self, zone: str) -> None:
        self.ids[zone] = self.model.create_zone(zone)

    def remove_zone(self, zone: str) -> None:
        del self.model.zones[self.ids.pop(zone)]
