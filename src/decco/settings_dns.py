"""Settings ``dns.*``: the DNS providers, one model per kind.

A provider's credentials come from a Secret of decco's own namespace (``secretName``; the keys are named in each
model), or without one from where its platform keeps them.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from decco.forms import DnsLabel, Form, NonEmpty, Seconds, Section
from decco.hostnames import WrongName, normalise

_URL = re.compile(r"https?://[^/\s]+/?")
_PROJECT = re.compile(r"[a-z0-9.:-]+")
_PATH = re.compile(r"/[a-zA-Z0-9_./-]+")
_MANAGED_ZONE = re.compile(r"[a-z0-9-]+")


def _zone(text: str) -> str:
    try:
        return normalise(text)
    except WrongName as error:
        raise ValueError(f"cannot be a zone: {error}") from error


ZoneName = Annotated[str, AfterValidator(_zone), Form("a DNS name, without '*'", lambda name: not name.startswith("*"))]
Url = Annotated[str, Form("a URL such as https://host:port", lambda text: _URL.fullmatch(text) is not None)]
PerSecond = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ProviderSettings(Section):
    """What all kinds have in common."""

    name: DnsLabel | None = None
    """Name of the provider in metrics, logs and conditions; by default its type."""
    zones: Annotated[tuple[ZoneName, ...], Form("a list of at least one DNS name", bool)]
    """Zones that this provider serves; a host name belongs to the longest zone that holds it."""
    secret_name: NonEmpty | None = None
    """Secret in decco's namespace with the credentials."""
    timeout_seconds: Seconds = 30.0
    """Longest time for one call; a whole zone may take ten times as long to read."""
    requests_per_second: PerSecond | None = None
    """Calls per second at most, averaged; without it as many as there are batches, one after the other per zone."""


class TsigAlgorithm(StrEnum):
    SHA256 = "hmac-sha256"
    SHA384 = "hmac-sha384"
    SHA512 = "hmac-sha512"
    SHA1 = "hmac-sha1"
    MD5 = "hmac-md5.sig-alg.reg.int"


_ALGORITHMS = {f"hmac{member.name.lower()}": member.value for member in TsigAlgorithm}


def _algorithm(text: object) -> object:
    """Other spellings in use: HMACSHA256, HMAC-SHA256, hmac-sha256., hmac-md5."""
    if not isinstance(text, str):
        return text
    plain = re.sub("[^a-z0-9]", "", text.lower()).removesuffix("sigalgregint")
    return _ALGORITHMS.get(plain, text)


class Rfc2136Settings(ProviderSettings):
    """BIND, Knot, PowerDNS, Windows. The Secret holds ``secret``, the TSIG key in base64 or as tsig-keygen writes it,
    and may hold ``keyName``.
    """

    type: Literal["rfc2136"] = "rfc2136"
    host: NonEmpty
    """Primary server: address or name."""
    port: Annotated[int, Field(ge=1, le=65535)] = 53
    """TCP port for updates and transfers."""
    tsig_key_name: ZoneName | None = None
    """Name of the TSIG key, where the key's text has none or several; without a key nothing is signed, which only a
    server that trusts our address accepts.
    """
    tsig_algorithm: Annotated[TsigAlgorithm, BeforeValidator(_algorithm)] = TsigAlgorithm.SHA256
    """Algorithm of the TSIG key, where the key's text does not say it."""
    tsig_secret_file: NonEmpty | None = None
    """File with the key, in place of ``secretName``: in base64, as tsig-keygen and rndc-confgen write it, as
    dnssec-keygen writes it, or as ``algorithm:name:secret``.
    """

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        if self.secret_name and self.tsig_secret_file:
            raise ValueError("give the TSIG key by secretName or by tsigSecretFile, not by both")
        if self.tsig_key_name and not (self.secret_name or self.tsig_secret_file):
            raise ValueError("tsigKeyName needs the key itself: secretName or tsigSecretFile")
        return self


class Route53Settings(ProviderSettings):
    """Amazon Route 53. The Secret holds ``accessKeyId`` and ``secretAccessKey``, and may hold ``sessionToken``; without
    one the usual chain applies: environment, web identity of the service account, files, instance.
    """

    type: Literal["route53"] = "route53"
    visibility: Literal["public", "private"] = "public"
    """Which hosted zones are meant, where both kinds have the same name."""
    zone_ids: Annotated[dict[ZoneName, NonEmpty], Form("a mapping of zones to texts", lambda _: True)] = Field(
        default_factory=dict
    )
    """Hosted zone IDs of zones whose name alone is not enough, or that decco may not look up."""
    endpoint_url: Url | None = None
    """Another endpoint: a VPC endpoint, or a stand-in for tests."""
    requests_per_second: PerSecond | None = 4.0
    """The service allows five per account in total, for all its users."""


class CloudDnsSettings(ProviderSettings):
    """Google Cloud DNS. The Secret holds ``key.json``, a service account's key; without one the usual chain applies:
    GOOGLE_APPLICATION_CREDENTIALS, workload identity, the metadata server.
    """

    type: Literal["clouddns"] = "clouddns"
    project: Annotated[str, Form("the ID of a project", lambda text: _PROJECT.fullmatch(text) is not None)]
    """ID of the project that has the managed zones."""
    visibility: Literal["public", "private"] = "public"
    """Which managed zones are meant, where both kinds serve the same name."""
    zone_ids: Annotated[
        dict[ZoneName, str],
        Form(
            "a mapping of zones to names of managed zones", lambda ids: all(map(_MANAGED_ZONE.fullmatch, ids.values()))
        ),
    ] = Field(default_factory=dict)
    """Names of managed zones where a zone's own name is not enough."""
    url: Url = "https://dns.googleapis.com"
    """Another endpoint: private access, or a stand-in for tests."""


class ExternalDnsSettings(ProviderSettings):
    """ExternalDNS's DNSEndpoint objects in decco's own namespace; no credentials but decco's own."""

    type: Literal["externaldns"] = "externaldns"


class CoreDnsSettings(ProviderSettings):
    """CoreDNS with its etcd plugin. The Secret may hold ``username`` and ``password``, and ``ca.crt``, ``tls.crt``,
    ``tls.key`` in PEM for the connection to etcd.
    """

    type: Literal["coredns"] = "coredns"
    endpoints: Annotated[tuple[Url, ...], Form("a list of at least one URL", bool)]
    """URLs of etcd's client port; the next one is tried where one cannot be reached."""
    path: Annotated[str, Form("a path such as /skydns", lambda text: _PATH.fullmatch(text) is not None)] = "/skydns"
    """The plugin's own setting ``path``."""


class MemorySettings(ProviderSettings):
    """Records in this process only, lost when it ends: to try decco out."""

    type: Literal["memory"] = "memory"


class NoneSettings(ProviderSettings):
    """No records: the names of these zones are managed elsewhere, and count as published."""

    type: Literal["none"] = "none"


AnyProvider = Annotated[
    Rfc2136Settings
    | Route53Settings
    | CloudDnsSettings
    | CoreDnsSettings
    | ExternalDnsSettings
    | MemorySettings
    | NoneSettings,
    Field(discriminator="type"),
]


class DnsSettings(Section):
    providers: tuple[AnyProvider, ...] = ()
    """The providers of the records. A zone may be named by two providers, which then both get its records (split
    horizon)."""
    ttl: Annotated[int, Field(ge=1, le=86_400)] = 180
    """Seconds that resolvers may keep a record."""
    gather_milliseconds: Annotated[int, Field(ge=0, le=200)] = 200
    """How long a change waits for others to share its call."""
    compare_seconds: Seconds = 3600.0
    """Interval between comparisons of whole zones with the desired records."""
    no_address_grace_seconds: Annotated[float, Field(ge=0)] = 600.0
    """How long records stay while the edge has no address."""
    retry_base_seconds: Seconds = 1.0
    """First pause after a failed call to a provider; it doubles up to retryMaxSeconds."""
    retry_max_seconds: Seconds = 300.0
    """Longest pause between two tries of a failing provider."""
    adopt: bool = False
    """Give names that carry this clusterId and an owner that no longer exists to the object that now requests them:
    after a cluster was restored from a backup. Leave it off while two clusters share a clusterId."""

    @field_validator("providers")
    @classmethod
    def _names_differ(cls, providers: tuple[AnyProvider, ...]) -> tuple[AnyProvider, ...]:
        seen: set[str] = set()
        for provider in providers:
            name = provider.name or provider.type
            if name in seen:
                raise ValueError(f"has two providers called {name}: give each a name of its own")
            seen.add(name)
        return providers

    @property
    def secret_names(self) -> frozenset[str]:
        """Secrets that have to be read before the providers can be made."""
        return frozenset(p.secret_name for p in self.providers if p.secret_name)
