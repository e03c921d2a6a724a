"""Every provider next to the real or modelled service that it talks to, in one shape for the contract suite."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar
from urllib.parse import urlsplit

import dns.rcode
import dns.tsig
import pytest

from decco.dns.clouddns import CloudDnsProvider
from decco.dns.coredns import CoreDnsProvider
from decco.dns.memory import MemoryProvider
from decco.dns.provider import Provider
from decco.dns.records import RecordSet
from decco.dns.rfc2136 import Rfc2136Provider
from decco.dns.route53 import Credentials, Route53Provider
from testbed import assets, prerequisites
from testbed.dns.bind import Bind
from testbed.dns.clouddns_model import CloudDnsModel
from testbed.dns.coredns import CoreDns
from testbed.dns.endpoints import OURS, Endpoints
from testbed.dns.knot import Knot
from testbed.dns.moto import MotoServer, Route53Writer, moto_server
from testbed.dns.powerdns import PowerDns
from testbed.dns.route53_model import Route53Model
from testbed.dns.server import HOST, KEY_NAME, NameServer, Records
from testbed.dns.wire import DnsMessages, Framing, HttpRequests, Trouble, Wire, dns_answer, http_answer
from testbed.faults import refuse
from testbed.found import AssetsMissing
from testbed.proxy import FaultProxy
from tests.dns.lines import ConnectedEndpoints, Line, MemoryLine

Answers = dict[Trouble, Callable[[bytes], bytes]]
SKEW_SECONDS = 3600.0
WRONG_SECRET = "d3Jvbmcga2V5IHdyb25nIGtleSB3cm9uZyBrZXkgISE="


class Backend:
    """A DNS service under test; all methods but ``provider`` act as a person or program that is not decco."""

    kind: ClassVar[str]
    real: ClassVar[bool] = True
    """Whether it is the real program; False for models."""
    types: ClassVar[frozenset[str]] = frozenset({"A", "AAAA", "CNAME", "TXT", "MX", "SRV", "CAA"})
    """Types that the service can hold."""
    unfit: ClassVar[dict[str, str]] = {}
    """Case -> why it does not apply to this service."""

    @classmethod
    def missing(cls) -> str:
        """One line that says what to install, or ""."""
        return ""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def create_zone(self, zone: str) -> None:
        raise NotImplementedError

    def remove_zone(self, zone: str) -> None:
        raise NotImplementedError

    def provider(self, *zones: str) -> Provider:
        raise NotImplementedError

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        """Set a record set; values as in a zone file."""
        raise NotImplementedError

    def drop(self, zone: str, name: str, rtype: str) -> None:
        raise NotImplementedError

    def read(self, zone: str) -> Records:
        """Everything in the zone but its own SOA, NS and name server."""
        raise NotImplementedError

    def ask(self, name: str, rtype: str) -> set[str] | None:
        """What a resolver would receive at this very name; None where nothing serves DNS."""
        return None

    refusal: ClassVar[str] = "ProviderRefused"
    """Reason that is reported for unknown credentials."""
    lookups: ClassVar[int] = 0
    """Requests that precede the first reading of a zone."""
    troubles: ClassVar[Answers] = {}
    """What the service says in troubles that are answers."""

    def stranger(self, *zones: str) -> Provider:
        """A provider whose credentials the service refuses."""
        raise NotImplementedError

    @contextmanager
    def skewed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Let the provider's clock be an hour away from the service's."""
        raise NotImplementedError
        yield

    @asynccontextmanager
    async def line(self, *zones: str) -> AsyncIterator[Line]:
        """A provider on a line that can be troubled."""
        raise NotImplementedError
        yield


class WiredBackend(Backend):
    """A service on a TCP port of loopback."""

    framing: ClassVar[Framing]

    def port(self) -> int:
        raise NotImplementedError

    def provider_at(self, port: int, *zones: str) -> Provider:
        raise NotImplementedError

    def provider(self, *zones: str) -> Provider:
        return self.provider_at(self.port(), *zones)

    @asynccontextmanager
    async def line(self, *zones: str) -> AsyncIterator[Line]:
        async with Wire(self.port(), self.framing, self.troubles) as wire:
            yield Line(self.provider_at(wire.port, *zones), wire.trouble, wire.quiet)


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
        url = f"http://{HOST}:{port}"
        return Route53Provider(self.kind, zones, credentials=Credentials("test", "test"), endpoint_url=url)

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
        return Route53Provider(self.kind, zones, credentials=Credentials("nobody", "test"), endpoint_url=self.url)

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


def _google(status: int, reason: str, message: str = "injected") -> Callable[[bytes], bytes]:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return http_answer(status, json.dumps({"error": error}))


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
        return CoreDnsProvider(self.kind, zones, [f"http://{HOST}:{port}"])

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.server.put(name, ttl, rtype, *values)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        self.server.drop(name, rtype)

    def read(self, zone: str) -> Records:
        return self.server.read(zone)

    def ask(self, name: str, rtype: str) -> set[str] | None:
        return self.server.ask(name, rtype)


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

        return CloudDnsProvider(self.kind, zones, project="p", token=token, url=f"http://{HOST}:{port}")

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.model.zones[self.ids[zone]].records[name.lower(), rtype] = (ttl, tuple(values))

    def drop(self, zone: str, name: str, rtype: str) -> None:
        del self.model.zones[self.ids[zone]].records[name, rtype]

    def read(self, zone: str) -> Records:
        records = self.model.zones[self.ids[zone]].records
        return {at: (ttl, frozenset(values)) for at, (ttl, values) in records.items() if at[1] not in ("SOA", "NS")}


def _kubernetes(status: int) -> Callable[[bytes], bytes]:
    return http_answer(status, refuse(status).body.decode())


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


BACKENDS: tuple[type[Backend], ...] = (
    MemoryBackend,
    BindBackend,
    KnotBackend,
    PowerDnsBackend,
    MotoBackend,
    Route53ModelBackend,
    CloudDnsBackend,
    CoreDnsBackend,
    ExternalDnsBackend,
)
