"""Settings of the provider ``externaldns``."""

from __future__ import annotations

from typing import ClassVar, Literal

from decco.dns.provider_settings import ProviderSettings
from decco.objects import Resource


class Settings(ProviderSettings):
    """ExternalDNS's DNSEndpoint objects in decco's own namespace; no credentials but decco's own."""

    platform_credentials = False
    title = "The cluster serves DNSEndpoints of ExternalDNS, which needs its source crd."
    kind: ClassVar[Resource] = Resource("externaldns.k8s.io", "v1alpha1", "dnsendpoints", "DNSEndpoint")

    type: Literal["externaldns"] = "externaldns"
