"""A real API server with the CRD, and a model of ExternalDNS that publishes the objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import ClassVar
from urllib.parse import urlsplit

from decco.dns.provider import Provider
from testbed import assets
from testbed.dns.endpoints import OURS, Endpoints
from testbed.dns.server import HOST, Records
from testbed.dns.wire import HttpRequests, Trouble, Wire, http_answer
from testbed.faults import refuse
from testbed.found import AssetsMissing
from testbed.proxy import FaultProxy
from tests.dns.backends.base import Answers, Backend
from tests.dns.lines import ConnectedEndpoints, Line


def _kubernetes(status: int) -> Callable[[bytes], bytes]:
    return http_answer(status, refuse(status).body.decode())


SHARING = (
    "each_cluster_adds_and_withdraws_its_own",
    "all_begin_and_withdraw_at_the_same_moment",
    "a_cluster_that_leaves_waits_for_another_one",
    "a_standby_cluster_takes_over_and_gives_back",
    "one_that_stands_by_takes_over_and_gives_back",
    "a_cluster_with_an_old_view_changes_nothing_of_others",
    "a_lost_answer_adds_nothing_twice",
    "clusters_of_no_or_another_federation_are_refused",
    "a_name_becomes_shared_without_a_moment_of_absence",
)


class ExternalDnsBackend(Backend):
    kind = "dnsendpoint"
    framing = HttpRequests(r"^(POST|PUT|DELETE) ")
    troubles: ClassVar[Answers] = {
        Trouble.FAILS: _kubernetes(503),
        Trouble.REFUSED: _kubernetes(403),
        Trouble.THROTTLED: _kubernetes(429),
    }
    unfit: ClassVar[dict[str, str]] = {
        "zone_deleted_and_created_again": "objects have no zone, so none can be missing",
        "a_thousand_names_in_two_calls": "each name is an object, and a request to the API server",
        "ownership_record_without_record": "an ownership record in an object of others is not trusted",
        "a_name_taken_behind_our_back": "objects of others are seen when they are read, not by the API server",
        "clock_skew": "the API server checks no time but that of certificates",
        **dict.fromkeys(SHARING, "its objects are those of one cluster, so it shares no name"),
    }

    @classmethod
    def missing(cls) -> str:
        try:
            assets.external_dns_crd()
        except AssetsMissing as error:
            return f"dnsendpoint: {error}"
        return ""

    def start(self) -> None:
        self.server = Endpoints().__enter__()

    def stop(self) -> None:
        self.server.__exit__()

    def create_zone(self, zone: str) -> None:
        return

    def remove_zone(self, zone: str) -> None:
        self.server.clear()

    def provider(self, *zones: str) -> Provider:
        return self._as("", *zones)

    def stranger(self, *zones: str) -> Provider:
        return self._as("nobody", *zones)

    def _as(self, user: str, *zones: str) -> Provider:
        cp = self.server.control_plane
        kubeconfig = cp.kubeconfig_for(user) if user else cp.controller_kubeconfig
        return ConnectedEndpoints(self.kind, zones, OURS, kubeconfig=kubeconfig)

    @asynccontextmanager
    async def line(self, *zones: str) -> AsyncIterator[Line]:
        # The proxy of the control plane takes TLS off, so that the wire sees requests.
        async with FaultProxy(self.server.control_plane) as proxy:
            port = urlsplit(proxy.url).port or 0
            async with Wire(port, self.framing, self.troubles) as wire:
                provider = ConnectedEndpoints(self.kind, zones, OURS, url=f"http://{HOST}:{wire.port}")
                yield Line(provider, wire.trouble, wire.quiet)

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.server.put(name, ttl, rtype, *values)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        self.server.drop(name, rtype)

    def read(self, zone: str) -> Records:
        found = self.server.published()
        return {at: held for at, held in found.items() if at[0] == zone or at[0].endswith("." + zone)}
