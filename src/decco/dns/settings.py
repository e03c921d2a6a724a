"""Settings ``dns.*``. The settings of each provider are in its package, see ``providers/__init__.py``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from decco.dns.provider_settings import ProviderSettings
from decco.dns.providers import settings_models
from decco.forms import DnsLabel, Seconds, Section, Variants

AnyProvider = Annotated[ProviderSettings, Variants(settings_models)]


class FederationSettings(Section):
    id: DnsLabel | None = None
    """Name of the federation: clusters with the same id, and each with a clusterId of its own, serve the names of their
    Spaces and Apps together, each with its own addresses. Without it a name belongs to one cluster."""
    compare_seconds: Seconds = 60.0
    """Interval between comparisons of zones with shared names, in which other clusters make changes."""
    withdraw_seconds: Annotated[float, Field(ge=0)] = 60.0
    """How long a shared name may fail to answer at this cluster's edge before its addresses are withdrawn. Those of the
    last cluster stay."""


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
    federation: FederationSettings = FederationSettings()
    adopt: bool = False
    """Give names that carry this clusterId and an owner that no longer exists to the Space that had them, after a
    cluster was restored from a backup: its restored namespace contains the grant of the name. Leave it off while two
    clusters share a clusterId. ``decco dns release`` does the same once, also for Spaces whose namespace is new."""

    @field_validator("providers")
    @classmethod
    def _names_differ(cls, providers: tuple[AnyProvider, ...]) -> tuple[AnyProvider, ...]:
        seen: set[str] = set()
        for provider in providers:
            if provider.label in seen:
                raise ValueError(f"has two providers called {provider.label}: give each a name of its own")
            seen.add(provider.label)
        return providers

    @property
    def secret_names(self) -> frozenset[str]:
        """Secrets that have to be read before the providers can be made."""
        return frozenset(p.secret_name for p in self.providers if p.secret_name)
