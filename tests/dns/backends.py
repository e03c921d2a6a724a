"""Every provider next to the real or modelled service that it talks to, in one shape for the contract suite."""

from __future__ import annotations

from typing import ClassVar

from decco.dns.clouddns import CloudDnsProvider
from decco.dns.coredns import CoreDnsProvider
from decco.dns.externaldns import ExternalDnsProvider
from decco.dns.memory import MemoryProvider
from decco.dns.provider import Provider
from decco.dns.records import RecordSet
from decco.dns.rfc2136 import Rfc2136Provider
from decco.dns.route53 import Credentials, Route53Provider
from testbed.dns import install
from testbed.dns.bind import Bind
from testbed.dns.clouddns_model import CloudDnsModel
from testbed.dns.coredns import CoreDns
from testbed.dns.endpoints_model import EndpointsModel
from testbed.dns.knot import Knot
from testbed.dns.moto import MotoServer, Route53Writer, moto_server
from testbed.dns.powerdns import PowerDns
from testbed.dns.route53_model import Route53Model
from testbed.dns.server import HOST, NameServer, Records


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
        """What a resolver would be told at this very name; None where nothing serves DNS."""
        return None


class MemoryBackend(Backend):
    kind = "memory"
    real = False

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


class NameServerBackend(Backend):
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

    def provider(self, *zones: str) -> Provider:
        return Rfc2136Provider(self.kind, zones, HOST, self.server.port, self.server.key)

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


class Route53Backend(Backend):
    real = False
    url: str

    def _begin(self, url: str) -> None:
        self.url = url
        self.writer = Route53Writer(url)
        self.ids: dict[str, str] = {}

    def provider(self, *zones: str) -> Provider:
        return Route53Provider(self.kind, zones, credentials=Credentials("test", "test"), endpoint_url=self.url)

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.writer.put(self.ids[zone], name, ttl, rtype, *values)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        self.writer.drop(self.ids[zone], name, rtype)

    def read(self, zone: str) -> Records:
        return self.writer.read(self.ids[zone])


class MotoBackend(Route53Backend):
    kind = "moto"
    unfit: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "a_and_aaaa",
            "a_name_taken_behind_our_back",
            "changed_behind_our_back",
            "random_interleavings_with_a_second_writer",
            "two_clusters_on_one_zone",
        ),
        "moto carries a batch out change by change, compares no values, and takes later names for the same",
    )

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
        self._begin(self.model.url)

    def stop(self) -> None:
        self.model.__exit__()

    def create_zone(self, zone: str) -> None:
        self.ids[zone] = self.model.create_zone(zone)

    def remove_zone(self, zone: str) -> None:
        del self.model.zones[self.ids.pop(zone)]


class CoreDnsBackend(Backend):
    kind = "coredns"
    types = frozenset({"A", "AAAA", "CNAME", "TXT", "MX"})
    unfit: ClassVar[dict[str, str]] = {
        "wildcard_answers": "the etcd plugin serves no wildcards",
        "zone_deleted_and_made_anew": "a zone in etcd is only a prefix, which cannot be missing",
        "a_thousand_names_in_two_calls": "etcd takes 128 operations per transaction, so it is 16 calls",
        "a_foreign_name_in_mixed_case": "the plugin looks keys up in lower case, so such a key is no name",
    }

    @classmethod
    def missing(cls) -> str:
        return "" if not install.missing("etcd") else "coredns: install Debian's etcd-server"

    def start(self) -> None:
        self.server = CoreDns().__enter__()

    def stop(self) -> None:
        self.server.__exit__()

    def create_zone(self, zone: str) -> None:
        return

    def remove_zone(self, zone: str) -> None:
        self.server.remove_zone(zone)

    def provider(self, *zones: str) -> Provider:
        return CoreDnsProvider(self.kind, zones, [self.server.url])

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.server.put(name, ttl, rtype, *values)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        self.server.drop(name, rtype)

    def read(self, zone: str) -> Records:
        return self.server.read(zone)

    def ask(self, name: str, rtype: str) -> set[str] | None:
        return self.server.ask(name, rtype)


class CloudDnsBackend(Backend):
    kind = "clouddns"
    real = False

    def start(self) -> None:
        self.model = CloudDnsModel().__enter__()
        self.ids: dict[str, str] = {}

    def stop(self) -> None:
        self.model.__exit__()

    def create_zone(self, zone: str) -> None:
        self.ids[zone] = self.model.create_zone(zone)

    def remove_zone(self, zone: str) -> None:
        del self.model.zones[self.ids.pop(zone)]

    def provider(self, *zones: str) -> Provider:
        async def token() -> str:
            return "token"

        return CloudDnsProvider(self.kind, zones, project="p", token=token, url=self.model.url)

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.model.zones[self.ids[zone]].records[name.lower(), rtype] = (ttl, tuple(values))

    def drop(self, zone: str, name: str, rtype: str) -> None:
        del self.model.zones[self.ids[zone]].records[name, rtype]

    def read(self, zone: str) -> Records:
        records = self.model.zones[self.ids[zone]].records
        return {at: (ttl, frozenset(values)) for at, (ttl, values) in records.items() if at[1] not in ("SOA", "NS")}


class ExternalDnsBackend(Backend):
    kind = "dnsendpoint"
    real = False
    unfit: ClassVar[dict[str, str]] = {
        "zone_deleted_and_made_anew": "objects know no zone, so none can be missing",
        "a_thousand_names_in_two_calls": "each name is an object, and a request to the API server",
        "record_without_mark_and_mark_without_record": "a mark in an object of others is not believed",
        "a_name_taken_behind_our_back": "objects of others are seen when they are read, not by the API server",
    }

    def start(self) -> None:
        self.model = EndpointsModel()

    def create_zone(self, zone: str) -> None:
        return

    def remove_zone(self, zone: str) -> None:
        self.model.objects.clear()

    def provider(self, *zones: str) -> Provider:
        return ExternalDnsProvider(self.kind, zones, self.model, "decco")

    def put(self, zone: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.model.put(name, ttl, rtype, *values)

    def drop(self, zone: str, name: str, rtype: str) -> None:
        self.model.drop(name, rtype)

    def read(self, zone: str) -> Records:
        return self.model.read(zone)


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
